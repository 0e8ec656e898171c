-- Give a lease back at a clean stop, so that a successor need not wait for its end.
--
-- KEYS    lease
-- ARGV    1 token
-- result  1 when it was ours, else 0
-- atomic  must not drop what another has taken meanwhile

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
