-- What a turn finds: the session, prolonged and with this turn counted, and its conversation; unless its caller has made
-- too many requests.
-- KEYS: session, history, rate, index   ARGV: format, ttl_s, 1 if the conversation is wanted, interval_us (0: no limit),
-- burst, id, most listed
-- Returns {fields and values, messages, admission}; the first is empty for a session that is unknown or unreadable, the
-- last where there is no limit.
local session, history = KEYS[1], KEYS[2]
local format, ttl, wanted, interval, burst, id, most = unpack(ARGV)

local admission = {}
if interval ~= '0' then
  admission = admit(KEYS[3], tonumber(interval), tonumber(burst))
  if admission[1] == 0 then
    return {{}, {}, admission}
  end
end

local found = redis.pcall('HGETALL', session)
if found.err then
  return string.find(found.err, 'WRONGTYPE') and {{}, {}, admission} or found
end
local readable, count, accessed, listed = false, nil, nil, nil  -- the latter three are places in `found`
for i = 1, #found, 2 do
  local name = found[i]
  if name == 'v' then
    readable = found[i + 1] == format
  elseif name == 'count' then
    count = i + 1
  elseif name == 'accessed' then
    accessed = i + 1
  elseif name == 'listed' then
    listed = i + 1
  end
end
if not (readable and count and accessed and #found[count] < 16 and string.match(found[count], '^%d+$')) then
  return {{}, {}, admission}
end

local time = redis.call('TIME')
found[count] = string.format('%d', found[count] + 1)
found[accessed] = time[1] .. '.' .. string.format('%06d', time[2])
redis.call('EXPIRE', session, ttl)  -- before HSET: a full Redis refuses only the first write of a script
redis.call('HSET', session, 'count', found[count], 'accessed', found[accessed])
-- Few turns pay for the index: it is right to a thirtieth of the TTL.
local age = time[1] - (listed and tonumber(found[listed]) or 0)
if not (age >= 0 and age < ttl / 30) then
  list(KEYS[4], session, id, time, ttl, most)
end

-- A conversation lives as long as its session, also when it is not wanted.
if redis.call('EXPIRE', history, ttl) == 0 or wanted ~= '1' then
  return {found, {}, admission}
end
local messages = redis.pcall('LRANGE', history, 0, -1)
return {found, messages.err and {} or messages, admission}
