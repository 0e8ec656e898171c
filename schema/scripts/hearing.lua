-- A process that takes pings says so. When nobody had said so for a while, that while was an outage of ours.
--
-- KEYS    hearing, outages
-- ARGV    1 now  2 ms without a sign that make an outage  3 '1' for a process's first sign  4 ms outages are kept
-- result  Unix ms since when we hear without a break; a process's start begins it anew, for its agents must reconnect
-- atomic  two processes that come back together must record one outage

local now, gap = tonumber(ARGV[1]), tonumber(ARGV[2])
local at, since = unpack(redis.call('HMGET', KEYS[1], 'at', 'since'))
at, since = tonumber(at), tonumber(since)
if at and now - at > gap then
  redis.call('ZADD', KEYS[2], now, string.format('%d-%d', at, now))
  since = now
elseif at and at - now > gap then
  -- The clock was set back: what it called the future is not an outage that is still to come.
  redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('(%d', now), '+inf')
  since = now
elseif not at or ARGV[3] == '1' then
  since = now
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'at', now, 'since', since)
return since
