-- What a person asks of a session. Turns that are committed meanwhile do not touch these fields.
-- KEYS: session   ARGV: format, how (0; apart: without Redis, then what was said later stands), when, then field, value...
-- A field is kept as when and value, with a line break between. Returns the session as a flat list of fields and values,
-- empty for one that is unknown or unreadable.
local session, format, how, at = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local function seconds(value)
  return value and #value < 24 and string.match(value, '^%d+%.?%d*$') and tonumber(value) or 0
end
local readable = redis.pcall('HGET', session, 'v')
if type(readable) == 'table' and not string.find(readable.err, 'WRONGTYPE') then
  return readable
elseif readable ~= format then
  return {}
end
for i = 4, #ARGV, 2 do
  local before = redis.call('HGET', session, ARGV[i])
  before = seconds(before and string.match(before, '^[^\n]*'))
  local now = seconds(at)
  if how ~= 'apart' then
    now = math.max(now, before + 0.000001)
  end
  if now > before then
    redis.call('HSET', session, ARGV[i], string.format('%.6f\n', now) .. ARGV[i + 1])
  end
end
return redis.call('HGETALL', session)
