-- Take a command back, unless it has ended.
--
-- KEYS    queue, commands of one node
-- ARGV    1 id  2 now
-- result  1 when it was open, else 0
-- atomic  it must not be leased between the look and the change

if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local packed = redis.call('HGET', KEYS[2], ARGV[1])
if not packed then return 0 end
local command = cmsgpack.unpack(packed)
command.state, command.ended = 'cancelled', tonumber(ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], cmsgpack.pack(command))
return 1
