"""The changes of a job's state, each one script, so that it happens whole or not at all whoever else is at it.

KEYS are the queues of LANES in their order. ARGV begins with the prefix. A record's `gen` is the point in time, in
ms, when it was enqueued; arq knows a job as "id.gen", so that what is left of an earlier one of that id meets nothing.
Keys are made from the prefix inside the scripts: one Redis, no cluster.
"""

from typing import Final

_OPEN: Final = """
local P = ARGV[1]
local function record(id) return redis.call('HMGET', P..'job:'..id, 'status', 'gen', 'lane') end
-- What a newcomer joins; an open record that stands in no queue is the ruin of a lost one.
local function joined(id)
  local r = record(id)
  if r[1] == 'complete' then return r end
  if r[1] == 'queued' or r[1] == 'in_progress' then
    local name = id..'.'..r[2]
    for _, queue in ipairs(KEYS) do
      if redis.call('ZSCORE', queue, name) then return r end
    end
  end
  return nil
end
"""

KNOWN: Final = (
    _OPEN
    + """
local held, known, new = 0, {}, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 3, #ARGV do
  known[i - 2] = joined(ARGV[i]) and 1 or 0
  if known[i - 2] == 0 and not new[ARGV[i]] then
    new[ARGV[i]] = true
    held = held + 1
    if held > tonumber(ARGV[2]) then return 'full' end
  end
end
return known
"""
)
"""ARGV: prefix, room, ids. Which of them would be joined: their texts need not be sent. Where there
is no room for the others nothing need."""

ENQUEUE: Final = (
    _OPEN
    + """
local now, room, text_ms, record_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local keep_ms, lane = tonumber(ARGV[6]), ARGV[7]
local held, fresh = 0, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 8, #ARGV, 4 do
  local id = ARGV[i]
  if not fresh[id] and not joined(id) then
    if redis.call('EXISTS', P..'text:'..id) == 0 then return 'missing' end
    fresh[id] = true
    held = held + 1
    if held > room then return 'full' end
  end
end
local states = {}
for i = 8, #ARGV, 4 do
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
    redis.call('ZADD', P..'arq:queue:'..lane, string.format('%.3f', now + (i - 8) / 4000), id..'.'..gen)
    r = {'queued'}
  elseif r[1] == 'complete' then
    redis.call('DEL', P..'text:'..id)
    -- Who joins it today collects it tomorrow.
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
"""
)
"""ARGV: prefix, now, room, text_ms, record_ms, keep_ms, lane, then id, action, submitter and arq's payload of each."""

CANCEL: Final = """
local P, id, user, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job, by = P..'job:'..id, P..'by:'..id
local r = redis.call('HMGET', job, 'status', 'gen')
if not r[1] then return 0 end
if user ~= '' then
  redis.call('SREM', by, user)
elseif redis.call('SREM', by, '-') == 0 then
  redis.call('SPOP', by)
end
if redis.call('SCARD', by) > 0 or r[1] == 'cancelled' then return 1 end
local name = id..'.'..r[2]
for _, queue in ipairs(KEYS) do redis.call('ZREM', queue, name) end
redis.call('DEL', P..'text:'..id, P..'arq:job:'..name)
redis.call('HDEL', job, 'data', 'error', 'code')
redis.call('HSET', job, 'status', 'cancelled')
redis.call('PEXPIRE', job, keep_ms)
return 1
"""
"""ARGV: prefix, id, submitter or blank, keep_ms."""

BEGIN: Final = """
local P, id, gen, owner, lease_ms, crashes, keep_ms = unpack(ARGV)
local job = P..'job:'..id
local r = redis.call('HMGET', job, 'status', 'gen')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return {'ended'} end
local lease = P..'lease:'..id
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return {'held', redis.call('PTTL', lease)} end
local text = redis.call('GET', P..'text:'..id)
-- With the lease its own already, it asks again because it did not hear the answer.
local crashed = r[1] == 'in_progress' and not holder and redis.call('HINCRBY', job, 'crashes', 1) or 0
if not text or crashed > tonumber(crashes) then
  redis.call('DEL', P..'text:'..id)
  redis.call('PEXPIRE', job, keep_ms)
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
return {'go', text, tonumber(redis.call('HGET', job, 'tries') or '0'), crashed}
"""
"""ARGV: prefix, id, gen, owner, lease_ms, the most restarts after a crash, keep_ms."""

RENEW: Final = """
local P, id, gen, owner, lease_ms = unpack(ARGV)
local r = redis.call('HMGET', P..'job:'..id, 'status', 'gen')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
local lease = P..'lease:'..id
local holder = redis.call('GET', lease)
if r[1] == 'queued' or (holder and holder ~= owner) then return 'lost' end
redis.call('SET', lease, owner, 'PX', lease_ms)
redis.call('SET', P..'arq:in-progress:'..id..'.'..gen, '1', 'PX', lease_ms)
return 'held'
"""
"""ARGV: prefix, id, gen, owner, lease_ms. `held`: go on; `ended`: cancelled or done by another; `lost`: another's now,
or waiting again after another had it."""

KEEP: Final = """
local P, id, gen, part, text, part_ms, done, total = unpack(ARGV)
redis.call('SET', part, text, 'PX', part_ms)
local job = P..'job:'..id
local r = redis.call('HMGET', job, 'status', 'gen')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
redis.call('HSET', job, 'done', done, 'total', total)
return 'held'
"""
"""ARGV: prefix, id, gen, the part's key, its text, part_ms, parts done, parts in all."""

FINISH: Final = """
local P, id, gen, owner, status, data, error, code, keep_ms, done, total = unpack(ARGV)
local job, lease = P..'job:'..id, P..'lease:'..id
local holder = redis.call('GET', lease)
if holder == owner then redis.call('DEL', lease) end
local r = redis.call('HMGET', job, 'status', 'gen')
if r[2] ~= gen or (r[1] ~= 'queued' and r[1] ~= 'in_progress') then return 'ended' end
-- An answer is an answer, whoever found it; a failure is none where another is at it.
if status ~= 'complete' and holder and holder ~= owner then return 'lost' end
redis.call('HSET', job, 'status', status, 'data', data, 'error', error, 'code', code)
if done ~= '0' then redis.call('HSET', job, 'done', done, 'total', total) end
redis.call('DEL', P..'text:'..id)
redis.call('PEXPIRE', job, keep_ms)
redis.call('PEXPIRE', P..'by:'..id, keep_ms)
return 'ended'
"""
"""ARGV: prefix, id, gen, owner, status, data, error, code, keep_ms, parts done (0: as was said), parts in all."""

PUT_BACK: Final = """
local P, id, gen, owner, failed = unpack(ARGV)
local job, lease = P..'job:'..id, P..'lease:'..id
local holder = redis.call('GET', lease)
if holder and holder ~= owner then return 0 end
redis.call('DEL', lease)
local r = redis.call('HMGET', job, 'status', 'gen')
if r[2] ~= gen or r[1] ~= 'in_progress' then return 0 end
redis.call('HSET', job, 'status', 'queued')
redis.call('HINCRBY', job, 'tries', failed)
return 1
"""
"""ARGV: prefix, id, gen, owner, 1 where a try failed, else 0. The job waits again."""
