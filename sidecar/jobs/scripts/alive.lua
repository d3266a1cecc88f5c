-- Return the workers alive by the server's clock, the bytes of the texts in the queue, then of each queue the jobs in it
-- and those of them that are in progress.
-- ARGV: prefix, the lane of each queue.
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = {redis.call('ZRANGEBYSCORE', ARGV[1]..'workers', ms, '+inf'), total()}
for i, queue in ipairs(KEYS) do
  found[#found + 1] = redis.call('ZCARD', queue)
  found[#found + 1] = redis.call('ZCOUNT', ARGV[1]..'running:'..ARGV[i + 1], '('..string.format('%.0f', ms), '+inf')
end
return found
