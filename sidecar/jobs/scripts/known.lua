-- Return which ids would be joined, so that only other texts are sent; 'full' where the queue has no room for those.
-- ARGV: prefix, room, ids.
local held, known, new = 0, {}, {}
for _, queue in ipairs(KEYS) do held = held + redis.call('ZCARD', queue) end
for i = 3, #ARGV do
  known[i - 2] = joined(ARGV[i]) and 1 or 0
  if known[i - 2] == 0 and not new[ARGV[i]] then
    new[ARGV[i]] = true
    held = held + 1
    if held > tonumber(ARGV[2]) then return 'full' end
  end
end
return known
