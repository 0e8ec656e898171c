-- Issue a command and wake a ping that waits for it.
--
-- KEYS    queue, commands of one node
-- ARGV    1 id  2 MessagePack of the command  3 now  4 Unix ms when it expires  5 '1' when it takes the place of open
--         ones of its kind  6 ms that records are kept  7 channel  8 message
-- result  ids of the superseded commands
-- atomic  a ping must see the new command and not the one it supersedes; the wake comes after the command is there

local command = cmsgpack.unpack(ARGV[2])
local now, expires, keep = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local superseded = {}
local records = redis.call('HGETALL', KEYS[2])
for i = 1, #records, 2 do
  local id, other = records[i], cmsgpack.unpack(records[i + 1])
  if other.ended and other.ended + keep < now then
    redis.call('HDEL', KEYS[2], id)
  elseif ARGV[5] == '1' and not other.ended and other.kind == command.kind and id ~= ARGV[1] then
    other.state, other.ended = 'superseded', now
    redis.call('ZREM', KEYS[1], id)
    redis.call('HSET', KEYS[2], id, cmsgpack.pack(other))
    superseded[#superseded + 1] = id
  end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left < expires - now + keep then redis.call('PEXPIRE', key, expires - now + keep) end
end
redis.call('PUBLISH', ARGV[7], ARGV[8])
return superseded
