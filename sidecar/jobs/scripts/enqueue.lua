-- Enqueue a list of jobs, whole or not at all; each entry joins a job or begins one.
-- ARGV: prefix, room, text_ms, record_ms, keep_ms, lane, then id, action, submitter and arq's payload of each.
local room, text_ms, record_ms = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local keep_ms, lane = tonumber(ARGV[5]), ARGV[6]
-- The server's clock, in ms, is the same for every process that enqueues.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held, fresh = 0, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 7, #ARGV, 4 do
  local id = ARGV[i]
  if not fresh[id] and not joined(id) then
    if redis.call('EXISTS', P..'text:'..id) == 0 then return 'missing' end
    fresh[id] = true
    held = held + 1
    if held > room then return 'full' end
  end
end
local states = {}
for i = 7, #ARGV, 4 do
  local id, action, submitter, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local job, by, r = P..'job:'..id, P..'by:'..id, joined(id)
  if not r then
    local old = redis.call('HGET', job, 'gen')
    local gen = now
    if old and tonumber(old) >= gen then gen = tonumber(old) + 1 end
    gen = string.format('%.0f', gen)
    redis.call('DEL', job, by)
    redis.call('HSET', job, 'status', 'queued', 'gen', gen, 'lane', lane, 'action', action)
    redis.call('PEXPIRE', job, record_ms)
    redis.call('PEXPIRE', P..'text:'..id, text_ms)
    redis.call('PSETEX', P..'arq:job:'..id..'.'..gen, record_ms, payload)
    -- Thousandths keep a list's order.
    redis.call('ZADD', P..'arq:queue:'..lane, string.format('%.3f', now + (i - 7) / 4000), id..'.'..gen)
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
  redis.call('PEXPIRE', by, math.max(redis.call('PTTL', job), 1))
  states[#states + 1] = r[1]
end
return states
