-- A ping: the node was heard, what it has finished is settled, what waits for it is leased; one round trip.
-- Comes after contact.lua and lease.lua.
--
-- KEYS    nodes, deadlines, queue, commands, live ask of one account (and node)
-- ARGV    1 node  2 now  3 interval ms  4 late after pings  5 instance or ''  6 skew ms or ''  7 lease ms
--         8 commands at most; then id, state, message of each finished command
-- result  state or '', Unix ms of the last clash or 0, {id, MessagePack, …} leased, {id, …} settled, live ask or false
-- atomic  see contact.lua and lease.lua; as one script a ping is one round trip

local now = tonumber(ARGV[2])
local record = note_contact(KEYS[1], KEYS[2], ARGV[1], {
  now = now,
  interval = tonumber(ARGV[3]),
  late_after = tonumber(ARGV[4]),
  instance = ARGV[5],
  skew = tonumber(ARGV[6]),
})
local settled = settle_commands(KEYS[3], KEYS[4], now, 9)
local leased = lease_commands(KEYS[3], KEYS[4], now, tonumber(ARGV[7]), tonumber(ARGV[8]))
return { record.state or '', record.clash or 0, leased, settled, redis.call('GET', KEYS[5]) }
