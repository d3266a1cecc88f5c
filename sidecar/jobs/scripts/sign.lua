-- Give a sign of life and return the time in ms. A full Redis takes the sign too.
-- ARGV: prefix, member, ms that the sign lasts, the worker's own time in ms, record_ms.
local workers = ARGV[1]..'workers'
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', workers, '-inf', ms)
redis.call('ZADD', workers, ms + tonumber(ARGV[3]), ARGV[2])
ms = now(tonumber(ARGV[4]))
remember(ms, ARGV[5])
return ms
