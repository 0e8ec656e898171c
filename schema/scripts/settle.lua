-- The sweep has judged nodes, and recorded what changed: write it down, unless a contact came in between.
--
-- KEYS    nodes, deadlines of one account
-- ARGV    1 now; then for each node: name, `last` the judgement is based on ('' when Redis had no record), state,
--         Unix ms when to look again ('' never), `last` to keep, interval ms for a new record
-- result  number of nodes that were heard meanwhile
-- atomic  a contact between the sweep's reading and this writing must not be overwritten; such a node keeps its
--         contact and is due again at once

local now = tonumber(ARGV[1])
local heard = 0
for i = 2, #ARGV, 6 do
  local name, seen, state, due = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3])
  local packed = redis.call('HGET', KEYS[1], name)
  local record = packed and cmsgpack.unpack(packed) or {}
  local is_heard = record.last ~= seen
  if is_heard and not record.last then
    -- Redis lost it after we read it: the next reconciliation puts it back.
  elseif is_heard then
    heard = heard + 1
    record.state = state
    redis.call('HSET', KEYS[1], name, cmsgpack.pack(record))
    redis.call('ZADD', KEYS[2], now, name)
  elseif not due then
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  else
    record.state, record.last = state, tonumber(ARGV[i + 4])
    record.interval = record.interval or tonumber(ARGV[i + 5])
    redis.call('HSET', KEYS[1], name, cmsgpack.pack(record))
    redis.call('ZADD', KEYS[2], due, name)
  end
end
return heard
