-- Enqueue a list of jobs, whole or not at all; each entry joins a job or begins one.
-- ARGV: prefix, room, room for bytes, text_ms, record_ms, keep_ms, lane, then id, action, submitter, arq's payload and
-- bytes of each.
local room, most, text_ms, record_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local keep_ms, lane = tonumber(ARGV[6]), ARGV[7]
local ms = now(0)
local held, fresh = 0, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 8, #ARGV, 5 do
  local id = ARGV[i]
  if not fresh[id] and not joined(id) then
    if redis.call('EXISTS', P..'text:'..id) == 0 then return 'missing' end
    fresh[id] = tonumber(ARGV[i + 4])
    held = held + 1
    if held > room then return 'full' end
  end
end
if next(fresh) and total_with(fresh) > most then return 'bytes' end
-- The first write: a full Redis refuses it, and with it the list.
if next(fresh) then remember(ms, record_ms) end
local states = {}
for i = 8, #ARGV, 5 do
  local id, action, submitter, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local job, by, r = P..'job:'..id, P..'by:'..id, joined(id)
  if not r then
    local before = redis.call('HMGET', job, 'gen', 'lane')
    local gen, old = ms, before[1]
    if old then
      if tonumber(old) >= gen then gen = tonumber(old) + 1 end
      -- Of a lost job a run may be at work yet.
      rests(before[2], id..'.'..old)
    end
    gen = string.format('%.0f', gen)
    redis.call('DEL', job, by)
    redis.call('HSET', job, 'status', 'queued', 'gen', gen, 'lane', lane, 'action', action)
    redis.call('PEXPIRE', job, record_ms)
    redis.call('PEXPIRE', P..'text:'..id, text_ms)
    redis.call('PSETEX', P..'arq:job:'..id..'.'..gen, record_ms, payload)
    -- Thousandths keep a list's order.
    redis.call('ZADD', P..'arq:queue:'..lane, string.format('%.3f', ms + (i - 8) / 5000), id..'.'..gen)
    leaves(id)
    redis.call('HSET', sizes, id, ARGV[i + 4])
    redis.call('HINCRBY', sizes, 'total', ARGV[i + 4])
    r = {'queued'}
  elseif r[1] == 'complete' then
    redis.call('DEL', P..'text:'..id)
    -- A caller that joins today collects the result tomorrow.
    if redis.call('PTTL', job) < keep_ms then redis.call('PEXPIRE', job, keep_ms) end
  elseif r[1] == 'queued' and lane == 'day' and r[3] ~= 'day' then
    local name = id..'.'..r[2]
    local score = redis.call('ZSCORE', P..'arq:queue:'..r[3], name)
    if score then
      redis.call('ZREM', P..'arq:queue:'..r[3], name)
      redis.call('ZADD', P..'arq:queue:day', score, name)
      redis.call('HSET', job, 'lane', 'day')
    end
  end
  redis.call('SADD', by, submitter)
  local own = string.match(submitter, '^(t[^:]+:)%-$') or submitter == '-' and ''
  if own then redis.call('HDEL', job, 'left'..own) end
  redis.call('PEXPIRE', by, math.max(redis.call('PTTL', job), 1))
  states[#states + 1] = r[1]
end
if next(fresh) then redis.call('PEXPIRE', sizes, record_ms) end
return states
