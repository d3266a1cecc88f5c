-- Prefix of the scripts that need a time: the server's, in ms, the same for every process. A clock that is set back
-- stands still instead, so that no job that was enqueued before waits for its time to come again.
local function now(least)
  local time = redis.call('TIME')
  local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  return math.max(ms, least, tonumber(redis.call('GET', ARGV[1]..'clock') or '0'))
end
local function remember(ms, record_ms)
  redis.call('SET', ARGV[1]..'clock', string.format('%.0f', ms), 'PX', record_ms)
end
