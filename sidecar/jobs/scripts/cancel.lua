-- Remove one submitter of a job; the last one cancels the job. The same call again changes nothing.
-- ARGV: prefix, id, submitter or blank, keep_ms.
local P, id, user, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, by = P..'job:'..id, P..'by:'..id
local r = redis.call('HMGET', job, 'status', 'gen')
if not r[1] then return 0 end
if user ~= '' then
  redis.call('SREM', by, user)
elseif redis.call('SREM', by, '-') == 1 then
  redis.call('HSET', job, 'left', 1)
elseif not redis.call('HGET', job, 'left') and redis.call('SCARD', by) == 1 then
  -- Somebody who has the id alone may take the only submitter away, and never one of several.
  redis.call('DEL', by)
end
if redis.call('SCARD', by) > 0 or r[1] == 'cancelled' then return 1 end
local name = id..'.'..r[2]
for _, queue in ipairs(KEYS) do redis.call('ZREM', queue, name) end
redis.call('DEL', P..'text:'..id, P..'arq:job:'..name)
leaves(id)
redis.call('HDEL', job, 'data', 'error', 'code')
redis.call('HSET', job, 'status', 'cancelled')
redis.call('PEXPIRE', job, keep_ms)
return 1
