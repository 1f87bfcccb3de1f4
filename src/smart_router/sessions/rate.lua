-- Before the other scripts: the generic cell rate algorithm, see decide/admission.py. Kept is one number, in microseconds.
-- Returns {1 or 0, remaining, reset_us, retry_after_us}.
local function admit(kept, interval, burst)
  local time = redis.call('TIME')
  local now, room = time[1] * 1000000 + time[2], burst * interval
  local tat = redis.pcall('GET', kept)
  if type(tat) ~= 'string' or #tat > 16 or not string.match(tat, '^%d+$') then
    tat = now  -- what is absent, or cannot be read
  end
  local start = math.min(math.max(tonumber(tat), now), now + room)
  local ahead = start - now + interval
  if ahead > room then
    return {0, 0, start - now, ahead - room}
  end
  local ms = math.ceil(ahead / 1000)
  redis.call('PEXPIRE', kept, ms)  -- first: a full Redis refuses only the first write of a script that needs room
  redis.call('SET', kept, string.format('%.0f', now + ahead), 'PX', ms)
  return {1, math.floor((room - ahead) / interval), ahead, 0}
end
