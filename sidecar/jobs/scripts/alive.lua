-- Return the workers alive by the server's clock, the bytes of the texts in the queue, and the jobs of each queue.
-- ARGV: prefix.
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = {redis.call('ZRANGEBYSCORE', ARGV[1]..'workers', ms, '+inf'), total()}
for _, queue in ipairs(KEYS) do found[#found + 1] = redis.call('ZCARD', queue) end
return found
