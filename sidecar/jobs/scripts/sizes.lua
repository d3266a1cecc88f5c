-- Prefix of the scripts that count the bytes of the texts in the queue: a hash of each job's bytes and their total.
local sizes = ARGV[1]..'sizes'
local function counted(id) return tonumber(redis.call('HGET', sizes, id) or '0') end
local function total() return counted('total') end
-- Return the total with the jobs of `new`, bytes by id.
local function total_with(new)
  local bytes = total()
  for id, size in pairs(new) do bytes = bytes + size - counted(id) end
  return bytes
end
local function leaves(id)
  local size = counted(id)
  if redis.call('HDEL', sizes, id) == 1 and redis.call('HINCRBY', sizes, 'total', -size) <= 0 then
    redis.call('DEL', sizes)
  end
end
