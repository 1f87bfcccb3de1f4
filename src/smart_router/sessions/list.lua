-- Before the other scripts: which sessions an owner has, by when they were last used (microseconds since the epoch). An
-- entry outlives its session, by as much again at most: who reads the list looks each of them up. The session knows when
-- it was put there (seconds).
local function list(index, session, id, time, ttl, most)
  local now = time[1] * 1000000 + time[2]
  local added = redis.pcall('ZADD', index, string.format('%.0f', now), id)
  if type(added) == 'table' then  -- it is of another type
    redis.call('DEL', index)
    added = redis.call('ZADD', index, string.format('%.0f', now), id)
  end
  if added == 1 then
    redis.call('ZREMRANGEBYSCORE', index, '-inf', string.format('(%.0f', now - 2000000 * ttl))
    redis.call('ZREMRANGEBYRANK', index, 0, -1 - most)
  end
  redis.call('EXPIRE', index, 2 * ttl)
  redis.call('HSET', session, 'listed', time[1])
end
