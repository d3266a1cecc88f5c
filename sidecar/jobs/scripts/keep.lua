-- Store a finished part of a job, and the job's progress.
-- ARGV: prefix, id, gen, the part's key, its text, part_ms, parts done, parts in all.
local P, id, gen, part, text, part_ms, done, total = unpack(ARGV)
redis.call('SET', part, text, 'PX', part_ms)
local job = P..'job:'..id
local r = redis.call('HMGET', job, 'status', 'gen', 'done')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
-- Progress only grows: a run that begins anew finds its parts again, and a late run is behind.
if tonumber(done) >= tonumber(r[3] or '0') then redis.call('HSET', job, 'done', done, 'total', total) end
return 'held'
