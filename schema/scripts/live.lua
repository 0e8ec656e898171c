-- A viewer of a node's live data takes, renews or gives back its lease; what the agent is asked follows from all leases.
--
-- KEYS    viewers, ask of one node
-- ARGV    1 viewer  2 now  3 ms the lease lasts, 0 gives it back  4 viewers at most  5 channel  6 message
--         7 ms between points  8… metrics
-- result  what the agent is asked, JSON, '' when nobody looks any more; false when there are too many viewers
-- atomic  of two viewers that come or go together both must be in what is asked

local now, lasts = tonumber(ARGV[2]), tonumber(ARGV[3])
if lasts == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
    return false
  end
  local metrics = {}
  for i = 8, #ARGV do metrics[#metrics + 1] = ARGV[i] end
  local lease = { till = now + lasts, every = tonumber(ARGV[7]), metrics = metrics }
  redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(lease))
end

local wanted, names, every, till = {}, {}, nil, now
local leases = redis.call('HGETALL', KEYS[1])
for i = 1, #leases, 2 do
  local lease = cmsgpack.unpack(leases[i + 1])
  if lease.till <= now then
    redis.call('HDEL', KEYS[1], leases[i])
  else
    every = math.min(every or lease.every, lease.every)
    till = math.max(till, lease.till)
    for _, name in ipairs(lease.metrics) do
      if not wanted[name] then
        wanted[name] = true
        names[#names + 1] = name
      end
    end
  end
end

if not every then
  redis.call('DEL', KEYS[2])
  return ''
end
table.sort(names)
local id = string.sub(redis.sha1hex(every .. '\n' .. table.concat(names, '\n')), 1, 16)
local ask = cjson.encode({ id = id, every_ms = every, metrics = names })
local before = redis.call('GET', KEYS[2])
redis.call('PEXPIRE', KEYS[1], till - now)
redis.call('SET', KEYS[2], ask, 'PX', till - now)
if before ~= ask then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return ask
