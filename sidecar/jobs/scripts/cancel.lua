-- Remove one submitter of a job; the last one cancels the job.
-- ARGV: prefix, id, submitter, keep_ms, '1' if any submitter of the caller's may go in its place, and how those begin.
local P, id, submitter, keep_ms, any, own = unpack(ARGV)
local job, by = P..'job:'..id, P..'by:'..id
local r = redis.call('HMGET', job, 'status', 'gen')
if not r[1] then return 0 end
if redis.call('SREM', by, submitter) == 0 and any == '1' then
  if own == '' then redis.call('SPOP', by) end
  for _, name in ipairs(own ~= '' and redis.call('SMEMBERS', by) or {}) do
    if string.sub(name, 1, #own) == own then
      redis.call('SREM', by, name)
      break
    end
  end
end
if redis.call('SCARD', by) > 0 or r[1] == 'cancelled' then return 1 end
local name = id..'.'..r[2]
for _, queue in ipairs(KEYS) do redis.call('ZREM', queue, name) end
redis.call('DEL', P..'text:'..id, P..'arq:job:'..name)
redis.call('HDEL', job, 'data', 'error', 'code')
redis.call('HSET', job, 'status', 'cancelled')
redis.call('PEXPIRE', job, keep_ms)
return 1
