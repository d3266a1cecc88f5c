-- Count a request at every scope, or refuse it and count nothing.
-- KEYS: one name a scope. ARGV: id, lease_ms, day, then of each scope requests_per_minute, at_once, tokens_per_day and
-- how many requests count towards the first. A limit of 0 is none.
-- Returns nothing, or of the limit that refuses longest: the scope's index, the limit's and the ms (0: unknown).
local id, lease, day = ARGV[1], tonumber(ARGV[2]), ARGV[3]
-- The server's clock, in ms, is the same for every process that counts.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function limits(i)
  local at = i * 4
  return tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
end
local worst = nil
-- Longer than any other wait: the end of the day, which the caller knows.
local END_OF_DAY = 2 * 86400000
local function refuse(i, limit, wait)
  if not worst or wait > worst[3] then worst = {i, limit, wait} end
end
for i, key in ipairs(KEYS) do
  local minute, at_once, tokens, more = limits(i)
  if tokens > 0 and tonumber(redis.call('GET', key..':spent:'..day) or '0') >= tokens then refuse(i, 3, END_OF_DAY) end
  if at_once > 0 then
    redis.call('ZREMRANGEBYSCORE', key..':running', '-inf', now)
    if redis.call('ZCARD', key..':running') >= at_once then refuse(i, 2, 0) end
  end
  if minute > 0 then
    -- The newest come first: the one at this index must be out of the minute for `more` to fit in.
    local blocking = redis.call('LINDEX', key..':minute', minute - more)
    local wait = blocking and tonumber(blocking) + 60000 - now or 0
    if wait > 0 then refuse(i, 1, wait) end
  end
end
if worst then
  if worst[2] == 3 then worst[3] = 0 end
  return worst
end
for i, key in ipairs(KEYS) do
  local minute, at_once, _, more = limits(i)
  if minute > 0 then
    local text = string.format('%.0f', now)
    for _ = 1, more do redis.call('LPUSH', key..':minute', text) end
    redis.call('LTRIM', key..':minute', 0, minute - 1)
    redis.call('PEXPIRE', key..':minute', 60000)
  end
  if at_once > 0 and lease > 0 then
    redis.call('ZADD', key..':running', string.format('%.0f', now + lease), id)
    redis.call('PEXPIRE', key..':running', lease)
  end
end
return {}
