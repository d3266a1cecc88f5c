-- Prefix of the scripts that need to know what a newcomer joins.
local P = ARGV[1]
local function record(id) return redis.call('HMGET', P..'job:'..id, 'status', 'gen', 'lane') end
-- Return the record that a newcomer joins; an open record in no queue is left over from a lost job.
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
