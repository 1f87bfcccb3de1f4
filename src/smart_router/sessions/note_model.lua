-- Note of a model what is not ''.
-- KEYS: told, notes of the model
-- ARGV: router, alive_ms, ttl_s of notes, then woke (1 or 0), wake_s, pinned (1 or 0), draining (1 or 0)
local told, notes, router, alive_ms, ttl = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local woke, wake_s, pinned, draining = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local function put(name, wanted, value)
  if wanted == '1' then
    redis.call('HSET', notes, name, value)
  elseif wanted == '0' then
    redis.call('HDEL', notes, name)
  end
end
for_a_hash(notes)
put('woke', woke, string.format('%.0f', now))
put('wake_s', wake_s ~= '' and '1', wake_s)
put('pinned', pinned ~= '' and '1', pinned)  -- that it is not is known, too
put('draining', draining, router)
redis.call('EXPIRE', notes, ttl)

if draining == '1' then  -- which it does while it lives
  for_a_hash(told)
  if redis.call('HEXISTS', told, router) == 0 then
    tell(told, router, alive_ms, '{}')
  end
end
return 1
