-- Renew a lease. 'held': go on; 'ended': the job is over; 'lost': another run has the job, or put the job back.
-- ARGV: prefix, id, gen, owner, lease_ms.
local P, id, gen, owner, lease_ms = unpack(ARGV)
local r = redis.call('HMGET', P..'job:'..id, 'status', 'gen', 'lane')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
local lease = P..'lease:'..id
local holder = redis.call('GET', lease)
if r[1] == 'queued' or (holder and holder ~= owner) then return 'lost' end
redis.call('SET', lease, owner, 'PX', lease_ms)
redis.call('SET', P..'arq:in-progress:'..id..'.'..gen, '1', 'PX', lease_ms)
runs(r[3], id..'.'..gen, lease_ms)
return 'held'
