-- Remove one submitter of a job; the last one cancels the job. The same call again changes nothing.
-- ARGV: prefix, id, submitter, keep_ms, '1' if the submitter is anonymous, and how submitters of the caller's token begin.
local P, id, submitter, keep_ms, anonymous, own = unpack(ARGV)
local job, by, left = P..'job:'..id, P..'by:'..id, 'left'..own
local r = redis.call('HMGET', job, 'status', 'gen', 'lane')
if not r[1] then return 0 end
if redis.call('SREM', by, submitter) == 1 then
  if anonymous == '1' then redis.call('HSET', job, left, 1) end
elseif anonymous == '1' and not redis.call('HGET', job, left) and redis.call('SCARD', by) == 1 then
  -- Somebody who has the id alone may take the only submitter away, and never one of several or another token's.
  if string.sub(redis.call('SMEMBERS', by)[1], 1, #own) == own then redis.call('DEL', by) end
end
if redis.call('SCARD', by) > 0 or r[1] == 'cancelled' then return 1 end
local name = id..'.'..r[2]
for _, queue in ipairs(KEYS) do redis.call('ZREM', queue, name) end
redis.call('DEL', P..'text:'..id, P..'arq:job:'..name)
leaves(id)
if r[1] == 'queued' or r[1] == 'in_progress' then ended(r[3], name, 'cancelled') end
redis.call('HDEL', job, 'data', 'error', 'code')
redis.call('HSET', job, 'status', 'cancelled')
redis.call('PEXPIRE', job, keep_ms)
return 1
