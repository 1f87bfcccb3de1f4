-- Add to what sessions go on to, by the last two models; halve what has been counted often.
-- KEYS: habits   ARGV: ttl_s, most_seen, most_pairs, then pair, what to add (JSON) of each pair
-- Returns {pair, JSON...} of all.
local habits, ttl, most_seen, most_pairs = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function is_count(found)
  return type(found) == 'number' and found >= 0 and found < 1e9
end

local function read(json)
  local readable, found = pcall(cjson.decode, json or '')
  if not (readable and type(found) == 'table' and is_count(found.visits) and type(found.steps) == 'table') then
    return {visits = 0, steps = {}}
  end
  local steps = {}
  for model, count in pairs(found.steps) do
    if type(model) == 'string' and is_count(count) then
      steps[model] = count
    end
  end
  return {visits = found.visits, steps = steps}
end

for_a_hash(habits)
for i = 4, #ARGV, 2 do
  local habit, more = read(redis.call('HGET', habits, ARGV[i])), read(ARGV[i + 1])
  habit.visits = habit.visits + more.visits
  for model, count in pairs(more.steps) do
    habit.steps[model] = (habit.steps[model] or 0) + count
  end
  while habit.visits > most_seen do
    habit.visits = habit.visits / 2
    for model, count in pairs(habit.steps) do
      habit.steps[model] = count / 2
    end
  end
  redis.call('HSET', habits, ARGV[i], cjson.encode(habit))
end
if redis.call('HLEN', habits) > most_pairs then
  redis.call('DEL', habits)
end
redis.call('EXPIRE', habits, ttl)
return redis.call('HGETALL', habits)
