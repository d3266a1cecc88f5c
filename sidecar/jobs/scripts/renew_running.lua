-- Hold on to requests under way, or forget them: KEYS the counters, ARGV lease_ms (0 forgets), then an id for each key.
local lease = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i, key in ipairs(KEYS) do
  if lease > 0 then
    -- XX: a request that ended at the same moment does not come back.
    redis.call('ZADD', key..':running', 'XX', string.format('%.0f', now + lease), ARGV[i + 1])
    redis.call('PEXPIRE', key..':running', lease)
  else
    redis.call('ZREM', key..':running', ARGV[i + 1])
  end
end
