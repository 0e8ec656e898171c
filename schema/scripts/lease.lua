-- settle_commands(queue, commands, now, from): note what became of commands; ARGV[from], … are id, state, message.
-- lease_commands(queue, commands, now, lease, at_most): hand out what waits. Shared by heartbeat.lua and wake.lua.
--
-- Why in Redis: a command must go to one of two pings that come at once, and one that is reported finished while it is
-- leased again must stay finished.

-- Returns the ids that were open until now; unknown and ended ones are ignored, so a report may be repeated.
local function settle_commands(queue, commands, now, from)
  local settled = {}
  for i = from, #ARGV, 3 do
    local packed = redis.call('HGET', commands, ARGV[i])
    if packed and redis.call('ZREM', queue, ARGV[i]) == 1 then
      local command = cmsgpack.unpack(packed)
      command.state, command.message, command.ended = ARGV[i + 1], ARGV[i + 2], now
      redis.call('HSET', commands, ARGV[i], cmsgpack.pack(command))
      settled[#settled + 1] = ARGV[i]
    end
  end
  return settled
end

-- Returns id, MessagePack, id, MessagePack … oldest first. A leased command waits again after `lease` ms, so that one
-- whose reply was lost is handed out once more; an expired one is handed out no more.
local function lease_commands(queue, commands, now, lease, at_most)
  local leased = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, at_most)) do
    local packed = redis.call('HGET', commands, id)
    local command = packed and cmsgpack.unpack(packed)
    if not command then
      redis.call('ZREM', queue, id)
    elseif command.expires <= now then
      command.state, command.ended = 'expired', now
      redis.call('ZREM', queue, id)
      redis.call('HSET', commands, id, cmsgpack.pack(command))
    else
      command.state, command.leased = 'leased', now
      packed = cmsgpack.pack(command)
      redis.call('ZADD', queue, now + lease, id)
      redis.call('HSET', commands, id, packed)
      leased[#leased + 1] = id
      leased[#leased + 1] = packed
    end
  end
  return leased
end
