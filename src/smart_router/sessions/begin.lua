-- What a turn finds: the session, prolonged, and its conversation.
-- KEYS: session, history   ARGV: format, ttl_s, 1 if the conversation is wanted
-- Returns {fields and values, messages}; the first is empty for a session that is unknown or unreadable.
local session, history = KEYS[1], KEYS[2]
local format, ttl, wanted = unpack(ARGV)
if redis.call('TYPE', session).ok ~= 'hash' or redis.call('HGET', session, 'v') ~= format then
  return {{}, {}}
end
redis.call('EXPIRE', session, ttl)
local messages = {}
if redis.call('TYPE', history).ok == 'list' then
  redis.call('EXPIRE', history, ttl)
  if wanted == '1' then
    messages = redis.call('LRANGE', history, 0, -1)
  end
end
return {redis.call('HGETALL', session), messages}
