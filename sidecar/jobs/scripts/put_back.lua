-- Put a job back into its queue.
-- ARGV: prefix, id, gen, owner, 1 where a try failed, else 0.
local P, id, gen, owner, failed = unpack(ARGV)
local job, lease = P..'job:'..id, P..'lease:'..id
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return 0 end
redis.call('DEL', lease)
local r = redis.call('HMGET', job, 'status', 'gen', 'lane')
if r[2] ~= gen or r[1] ~= 'in_progress' then return 0 end
redis.call('HSET', job, 'status', 'queued')
rests(r[3], id..'.'..gen)
redis.call('HINCRBY', job, 'tries', failed)
return 1
