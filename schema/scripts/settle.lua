-- The sweep has judged nodes, and recorded what changed: write it down, unless a contact came in between.
--
-- KEYS    nodes, deadlines of one account
-- ARGV    1 now; then for each node: name, `last` the judgement is based on ('' when Redis had no record), state,
--         Unix ms when to look again ('' never), `last` to keep, interval ms for a new record, id of the node,
--         1 when `last` is presumed, reason of a goodbye ('' none), ms announced with it, 1 while two machines clash
-- result  number of nodes that were heard meanwhile
-- atomic  a contact between the sweep's reading and this writing must not be overwritten; such a node keeps its
--         contact and is due again at once

local now = tonumber(ARGV[1])
local heard = 0
for i = 2, #ARGV, 11 do
  local name, seen, state, due = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3])
  local packed = redis.call('HGET', KEYS[1], name)
  local record = packed and cmsgpack.unpack(packed) or {}
  local is_heard = record.last ~= seen
  if is_heard and not record.last then
    -- Redis lost it after we read it: the next reconciliation puts it back.
  elseif is_heard then
    heard = heard + 1
    record.state, record.node = state, ARGV[i + 6]
    redis.call('HSET', KEYS[1], name, cmsgpack.pack(record))
    redis.call('ZADD', KEYS[2], now, name)
  elseif not due then
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  else
    record.state, record.last, record.node = state, tonumber(ARGV[i + 4]), ARGV[i + 6]
    record.interval = record.interval or tonumber(ARGV[i + 5])
    record.back = nil
    record.presumed = ARGV[i + 7] == '1' or nil
    local bye = ARGV[i + 8] ~= '' and ARGV[i + 8] or nil
    record.bye, record.away = bye, bye and tonumber(ARGV[i + 9])
    record.clashing = ARGV[i + 10] == '1' or nil
    if not record.clashing then record.clash = nil end
    redis.call('HSET', KEYS[1], name, cmsgpack.pack(record))
    redis.call('ZADD', KEYS[2], due, name)
  end
end
return heard
