-- Before the other scripts: the time, and what they do alike. Moments are Redis's, in milliseconds since the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Milliseconds since a moment; false for one that is absent or cannot be read. None is to come: a clock may be set back.
local function since(moment)
  if not (moment and #moment < 16 and string.match(moment, '^%d+$')) then
    return false
  end
  return math.max(0, now - tonumber(moment))
end

-- What is of another type makes way.
local function for_a_hash(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end

-- Keep what a router says of its models (JSON), for as long as it counts as alive without another word.
local function tell(told, router, alive_ms, models)
  redis.call('HSET', told, router, string.format('%.0f %.0f ', now, now + alive_ms) .. models)
  if redis.call('PTTL', told) < alive_ms then
    redis.call('PEXPIRE', told, alive_ms)
  end
end
