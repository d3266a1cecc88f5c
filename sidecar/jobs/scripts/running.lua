-- Prefix of the scripts that begin, renew and end runs: the jobs in progress of each lane, by the end of their leases,
-- and the jobs that ended, in all and by the hour.
-- The server's clock and not the one of clock.lua: a lease ends by the server's, too.
local function run_key(lane) return ARGV[1]..'running:'..(lane or 'night') end
local function server_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function runs(lane, name, lease_ms)
  local key, ms = run_key(lane), server_ms()
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', ms))
  redis.call('ZADD', key, string.format('%.0f', ms + lease_ms), name)
  -- The last lease of all: nothing in it counts any more.
  redis.call('PEXPIRE', key, lease_ms)
end
local function rests(lane, name) redis.call('ZREM', run_key(lane), name) end
local function ended(lane, name, state)
  rests(lane, name)
  local field, all = (lane or 'night')..':'..state, ARGV[1]..'ended'
  local hour = all..':'..string.format('%.0f', math.floor(server_ms() / 3600000))
  redis.call('HINCRBY', all, field, 1)
  redis.call('HINCRBY', hour, field, 1)
  -- The sums last until no job has ended for a month, an hour's for the day that is shown.
  redis.call('PEXPIRE', all, 30 * 86400000)
  redis.call('PEXPIRE', hour, 25 * 3600000)
end
