-- Prefix of the scripts that a full Redis must run too: after a script's first write, Redis refuses no other for want of
-- memory, and a deletion is never refused. So a job begins, goes on and ends whole; only new jobs are refused.
redis.call('DEL', ARGV[1]..'nothing')
