-- End a lease, if it is one's own.
-- KEYS: lease   ARGV: router
local lease, router = KEYS[1], ARGV[1]
if redis.call('TYPE', lease).ok == 'string' and redis.call('GET', lease) == router then
  return redis.call('DEL', lease)
end
return 0
