-- Return the jobs that ended in the last 24 hours and in all, by lane and state, and the progress of some in progress.
-- ARGV: prefix, jobs in progress of a lane at most, then the lanes.
local P, most = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local hour, recent = math.floor(ms / 3600000), {}
for back = 0, 23 do
  local fields = redis.call('HGETALL', P..'ended:'..string.format('%.0f', hour - back))
  for i = 1, #fields, 2 do recent[fields[i]] = (recent[fields[i]] or 0) + tonumber(fields[i + 1]) end
end
local day, running = {}, {}
for field, count in pairs(recent) do
  day[#day + 1] = field
  day[#day + 1] = count
end
for i = 3, #ARGV do
  local key = P..'running:'..ARGV[i]
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '('..string.format('%.0f', ms), '+inf', 'LIMIT', 0, most)) do
    local id = string.match(name, '^[^.]+')
    local r = redis.call('HMGET', P..'job:'..id, 'action', 'done', 'total')
    running[#running + 1] = {ARGV[i], id, r[1] or '', r[2] or '0', r[3] or '0'}
  end
end
return {day, redis.call('HGETALL', P..'ended'), running}
