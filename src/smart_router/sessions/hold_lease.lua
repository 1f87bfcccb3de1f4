-- Take a lease, or prolong one's own.
-- KEYS: lease   ARGV: router, for_ms
-- Returns 1, or 0 if somebody else has it. Nobody has what is of another type, or would never end.
local lease, router, for_ms = KEYS[1], ARGV[1], ARGV[2]
if redis.call('TYPE', lease).ok == 'string' and redis.call('PTTL', lease) >= 0 then
  if redis.call('GET', lease) ~= router then
    return 0
  end
  redis.call('PEXPIRE', lease, for_ms)
  return 1
end
redis.call('SET', lease, router, 'PX', for_ms)
return 1
