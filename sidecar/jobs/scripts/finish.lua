-- End a job with its result or failure.
-- ARGV: prefix, id, gen, owner, status, data, error, code, keep_ms, parts done (0: as stored), parts in all.
local P, id, gen, owner, status, data, error, code, keep_ms, done, total = unpack(ARGV)
local job, lease = P..'job:'..id, P..'lease:'..id
local holder = redis.call('GET', lease)
if holder == owner then redis.call('DEL', lease) end
local r = redis.call('HMGET', job, 'status', 'gen', 'lane')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
-- An answer counts whichever run found it; a failure counts only where no other run has the job.
if status ~= 'complete' and holder and holder ~= owner then return 'lost' end
redis.call('HSET', job, 'status', status, 'data', data, 'error', error, 'code', code)
if done ~= '0' then redis.call('HSET', job, 'done', done, 'total', total) end
redis.call('DEL', P..'text:'..id)
leaves(id)
ended(r[3], id..'.'..gen, status)
redis.call('PEXPIRE', job, keep_ms)
redis.call('PEXPIRE', P..'by:'..id, keep_ms)
return 'ended'
