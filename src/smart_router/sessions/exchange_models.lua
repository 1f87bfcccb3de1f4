-- Put what this router tells in place of what it told before; read what the others told, and the notes of its models.
-- KEYS: told, notes of a model...
-- ARGV: router, alive_ms, ttl_s of notes, what it tells (JSON), per model: ms since its last request here ('' for none)
-- Returns {{router, age_ms, JSON} of each other router that lives,
--          {idle_ms, awake_ms, wake_s, pinned, who drains it} of each model}, nil for what is not known.
local told, router, alive_ms, ttl, models = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

for_a_hash(told)
tell(told, router, alive_ms, models)

local others, all = {}, redis.call('HGETALL', told)
for i = 1, #all, 2 do
  local at, till, said = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
  local age, left = since(at), tonumber(till)
  -- As nobody speaks for longer than *till - at*, what was told later than that from now was told by another clock.
  local lives = age and now <= left and tonumber(at) - now <= left - tonumber(at)
  if not lives then
    redis.call('HDEL', told, all[i])
  elseif all[i] ~= router then
    others[#others + 1] = {all[i], age, said}
  end
end

local notes = {}
for i = 2, #KEYS do
  local key, here = KEYS[i], tonumber(ARGV[i + 3])
  for_a_hash(key)
  local found = redis.call('HMGET', key, 'used', 'woke', 'wake_s', 'pinned', 'draining')
  local idle = since(found[1])
  if here and (not idle or here <= idle) then
    idle = here
    redis.call('HSET', key, 'used', string.format('%.0f', now - here))
  end
  redis.call('EXPIRE', key, ttl)
  notes[i - 1] = {idle, since(found[2]), found[3], found[4], found[5]}
end
return {others, notes}
