-- Set the pin, unless another exchange changed it since this one began; count the exchange if begin had not found any.
-- KEYS: session, history, index   ARGV: format, ttl_s, owner, expected turn, group, lane (JSON), place (group, use case, model,
-- replica), how it was chosen (1: this turn decides alone; 0; apart: without Redis, then the later one stands), when, id,
-- most listed
-- Returns the session as a flat list of fields and values.
local session, history = KEYS[1], KEYS[2]
local format, ttl, owner, expected, group, lane, place, how, chosen, id, most = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

local function counts(value)
  return value and #value < 16 and string.match(value, '^%d+$')
end
local function seconds(value)
  return value and #value < 24 and string.match(value, '^%d+%.?%d*$') and tonumber(value) or 0
end
local function use_case(of)
  return of and string.match(of, '^[^\n]*\n([^\n]*)')
end
local found = redis.pcall('HMGET', session, 'v', 'turn', 'count', 'place', 'chosen')
if found.err and not string.find(found.err, 'WRONGTYPE') then
  return found
end
local turn, count, before = found[2], found[3], found[5]
if found[1] ~= format or not counts(turn) or not counts(count) then
  if redis.call('EXISTS', session, history) > 0 then  -- a full Redis refuses only the first write of a script
    redis.call('DEL', session, history)
  end
  redis.call('HSET', session, 'v', format, 'owner', owner, 'turn', 1, 'group', group, 'place', place,
             'lane:' .. group, lane, 'count', 1, 'created', now, 'accessed', now, 'chosen', chosen)
  list(KEYS[3], session, id, time, ttl, most)
else
  if expected == '0' then
    count = string.format('%d', count + 1)
  end
  local replaces
  if how == 'apart' then
    local later = seconds(chosen) - seconds(before)
    replaces = later > 0 or (later == 0 and tonumber(expected) > tonumber(turn))
  else
    replaces = turn == expected
    if how ~= '1' and use_case(place) == use_case(found[4]) then
      chosen = before or '0'
    elseif seconds(chosen) <= seconds(before) then
      chosen = string.format('%.6f', seconds(before) + 0.000001)
    end
  end
  if replaces then
    if found[4] ~= place then
      turn = string.format('%d', turn + 1)
    end
    redis.call('HSET', session, 'count', count, 'accessed', now, 'turn', turn, 'group', group, 'place', place,
               'lane:' .. group, lane, 'chosen', chosen)
  else
    redis.call('HSET', session, 'count', count, 'accessed', now)
  end
end
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', history, ttl)
return redis.call('HGETALL', session)
