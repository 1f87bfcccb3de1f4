-- Append messages to the conversation of a session that still exists; the oldest make room.
-- KEYS: session, history   ARGV: ttl_s, most messages, most bytes, overhead per message, message...
local session, history = KEYS[1], KEYS[2]
local ttl, most, room, overhead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if most == 0 or redis.call('TYPE', session).ok ~= 'hash' then
  return 0
end
if redis.call('TYPE', history).ok ~= 'list' then
  redis.call('DEL', history)
end
for i = 5, #ARGV do
  redis.call('RPUSH', history, ARGV[i])
end
redis.call('LTRIM', history, -most, -1)
local total = 0
local messages = redis.call('LRANGE', history, 0, -1)
for i = #messages, 1, -1 do
  total = total + #messages[i] + overhead
  if total > room then
    redis.call('LTRIM', history, i, -1)
    break
  end
end
redis.call('EXPIRE', session, ttl)
redis.call('EXPIRE', history, ttl)
return redis.call('LLEN', history)
