-- Append messages to the conversation of a session that still exists; the oldest make room.
-- KEYS: session, history   ARGV: ttl_s, most messages, most bytes, overhead per message, message...
local session, history = KEYS[1], KEYS[2]
local ttl, most, room, overhead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local known = redis.pcall('HLEN', session)
if known == 0 then
  return 0
elseif type(known) == 'table' then  -- an error
  return string.find(known.err, 'WRONGTYPE') and 0 or known
end
-- First of all writes: a full Redis refuses only the first one of a script.
local length = redis.pcall('RPUSH', history, unpack(ARGV, 5))
if type(length) == 'table' then
  if not string.find(length.err, 'WRONGTYPE') then
    return length
  end
  redis.call('DEL', history)
  length = redis.call('RPUSH', history, unpack(ARGV, 5))
end
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', history, ttl)

local messages = redis.call('LRANGE', history, -most, -1)
local kept, total = 0, 0
for i = #messages, 1, -1 do
  total = total + #messages[i] + overhead
  if total > room then
    break
  end
  kept = kept + 1
end
if kept == 0 then
  redis.call('DEL', history)
elseif kept < length then
  redis.call('LTRIM', history, -kept, -1)
end
return kept
