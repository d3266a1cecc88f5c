-- Return which ids would be joined, so that only other texts are sent; 'full' or 'bytes' where the queue has no room.
-- ARGV: prefix, room, room for bytes, then id and bytes of each.
local most = tonumber(ARGV[3])
local held, known, new = 0, {}, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local there = joined(id)
  known[#known + 1] = there and 1 or 0
  if not there and not new[id] then
    new[id] = tonumber(ARGV[i + 1])
    held = held + 1
    if held > tonumber(ARGV[2]) then return 'full' end
  end
end
if next(new) and total_with(new) > most then
  -- A text that expired, or whose record was lost, left without a word.
  for _, id in ipairs(redis.call('HKEYS', sizes)) do
    if id ~= 'total' and redis.call('EXISTS', P..'text:'..id) == 0 then leaves(id) end
  end
  if total_with(new) > most then return 'bytes' end
end
return known
