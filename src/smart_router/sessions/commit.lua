-- Set the pin, unless another exchange changed it since this one began; count the exchange if begin had not found any.
-- KEYS: session, history   ARGV: format, ttl_s, owner, expected turn, group, lane (JSON), place (group, use case, model, replica)
-- Returns the session as a flat list of fields and values.
local session, history = KEYS[1], KEYS[2]
local format, ttl, owner, expected, group, lane, place = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

local function counts(value)
  return value and #value < 16 and string.match(value, '^%d+$')
end
local found = redis.pcall('HMGET', session, 'v', 'turn', 'count', 'place')
if found.err and not string.find(found.err, 'WRONGTYPE') then
  return found
end
local turn, count = found[2], found[3]
if found[1] ~= format or not counts(turn) or not counts(count) then
  if redis.call('EXISTS', session, history) > 0 then  -- a full Redis refuses only the first write of a script
    redis.call('DEL', session, history)
  end
  redis.call('HSET', session, 'v', format, 'owner', owner, 'turn', 1, 'group', group, 'place', place,
             'lane:' .. group, lane, 'count', 1, 'created', now, 'accessed', now)
else
  if expected == '0' then
    count = string.format('%d', count + 1)
  end
  if turn == expected then
    if found[4] ~= place then
      turn = string.format('%d', turn + 1)
    end
    redis.call('HSET', session, 'count', count, 'accessed', now, 'turn', turn, 'group', group, 'place', place,
               'lane:' .. group, lane)
  else
    redis.call('HSET', session, 'count', count, 'accessed', now)
  end
end
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', history, ttl)
return redis.call('HGETALL', session)
