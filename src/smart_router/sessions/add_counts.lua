-- Add to the sums, once for each number of a process.
-- KEYS: sums, the last number taken of this process   ARGV: number, ttl_s of each, name, amount, name, amount...
-- Returns 1 if the amounts were added, 0 if they had been before.
local sums, taken = KEYS[1], KEYS[2]
local number, ttl, in_doubt = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local last = tonumber(redis.call('GET', taken) or 0)
if last and last >= number then
  return 0
end
redis.call('SET', taken, number, 'EX', in_doubt)
if redis.call('TYPE', sums).ok ~= 'hash' then
  redis.call('DEL', sums)
  local time = redis.call('TIME')
  redis.call('HSET', sums, 'since', time[1])
end
for i = 4, #ARGV, 2 do
  redis.call('HINCRBYFLOAT', sums, ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', sums, ttl)
return 1
