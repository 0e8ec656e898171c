-- Take a lease, or prolong our own.
--
-- KEYS    lease
-- ARGV    1 token  2 ms
-- result  1 when it is ours now, else 0
-- atomic  a lease that ran out and was taken by another between the look and the prolonging must stay theirs

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
