-- Begin a run of a job under a lease, or return why not.
-- ARGV: prefix, id, gen, owner, lease_ms, the most restarts after a crash, keep_ms.
local P, id, gen, owner, lease_ms, crashes, keep_ms = unpack(ARGV)
local job = P..'job:'..id
local r = redis.call('HMGET', job, 'status', 'gen', 'lane')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return {'ended'} end
local lease = P..'lease:'..id
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return {'held', redis.call('PTTL', lease)} end
local text = redis.call('GET', P..'text:'..id)
-- A caller that has the lease already got no answer to its first call: that is no restart.
local crashed = r[1] == 'in_progress' and not holder and redis.call('HINCRBY', job, 'crashes', 1) or 0
if not text or crashed > tonumber(crashes) then
  redis.call('DEL', P..'text:'..id)
  leaves(id)
  ended(r[3], id..'.'..gen, 'failed')
  redis.call('PEXPIRE', job, keep_ms)
  redis.call('PEXPIRE', P..'by:'..id, keep_ms)
  if not text then
    redis.call('HSET', job, 'status', 'failed', 'code', 'timeout', 'error', 'The job waited for too long.')
    return {'expired'}
  end
  redis.call('HSET', job, 'status', 'failed', 'code', 'internal',
    'error', 'The worker ended again and again while it was at this job.')
  return {'crashed'}
end
redis.call('SET', lease, owner, 'PX', lease_ms)
redis.call('PEXPIRE', P..'arq:in-progress:'..id..'.'..gen, lease_ms)
redis.call('HSET', job, 'status', 'in_progress')
runs(r[3], id..'.'..gen, lease_ms)
return {'go', text, tonumber(redis.call('HGET', job, 'tries') or '0'), crashed}
