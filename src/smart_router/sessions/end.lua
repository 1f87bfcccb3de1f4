-- Forget a session and its conversation.
-- KEYS: session, history, index   ARGV: id
-- Returns how many of the first two there were.
redis.pcall('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1], KEYS[2])
