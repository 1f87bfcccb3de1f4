-- Count an exchange and set the pin, unless another exchange changed it since this one began.
-- KEYS: session, history   ARGV: format, ttl_s, owner, expected turn, group, lane (JSON), place (group, use case, model, replica)
-- Returns the session as a flat list of fields and values.
local session, history = KEYS[1], KEYS[2]
local format, ttl, owner, expected, group, lane, place = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

local kind = redis.call('TYPE', session).ok
local function counts(field)
  local value = redis.call('HGET', session, field) or ''
  return #value < 16 and string.match(value, '^%d+$')
end
local readable = kind == 'hash' and redis.call('HGET', session, 'v') == format and counts('count') and counts('turn')
if not readable then
  redis.call('DEL', session, history)
  redis.call('HSET', session, 'v', format, 'owner', owner, 'turn', 1, 'group', group, 'place', place,
             'lane:' .. group, lane, 'count', 1, 'created', now, 'accessed', now)
else
  redis.call('HINCRBY', session, 'count', 1)
  redis.call('HSET', session, 'accessed', now)
  if redis.call('HGET', session, 'turn') == expected then
    if redis.call('HGET', session, 'place') ~= place then
      redis.call('HINCRBY', session, 'turn', 1)
    end
    redis.call('HSET', session, 'group', group, 'place', place, 'lane:' .. group, lane)
  end
end
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', history, ttl)
return redis.call('HGETALL', session)
