-- A ping: the node was heard, what it has finished is settled, what waits for it is leased; one round trip.
-- Comes after contact.lua and lease.lua.
--
-- KEYS    nodes, deadlines, queue, commands, live ask of one account (and node)
-- ARGV    1 node  2 now  3 interval ms  4 late after pings  5 instance or ''  6 skew ms or ''  7 reason of a goodbye
--         or ''  8 ms it announces with that  9 run of the agent or ''  10 lease ms  11 commands at most; then id, state,
--         message of each finished command
-- result  state or '', Unix ms of the last clash or 0, {id, MessagePack, …} leased, {id, …} settled, live ask or false,
--         id of the node as the sweep settled it or '', 1 when Redis had no record of the node
-- atomic  see contact.lua and lease.lua; as one script a ping is one round trip

local now = tonumber(ARGV[2])
local bye = ARGV[7] ~= '' and ARGV[7] or nil
local record, is_first = note_contact(KEYS[1], KEYS[2], ARGV[1], {
  now = now,
  interval = tonumber(ARGV[3]),
  late_after = tonumber(ARGV[4]),
  instance = ARGV[5],
  skew = tonumber(ARGV[6]),
  bye = bye,
  away = bye and tonumber(ARGV[8]),
  run = ARGV[9] ~= '' and ARGV[9] or nil,
})
local settled = settle_commands(KEYS[3], KEYS[4], now, 12)
local leased = lease_commands(KEYS[3], KEYS[4], now, tonumber(ARGV[10]), tonumber(ARGV[11]))
local ask = redis.call('GET', KEYS[5])
return { record.state or '', record.clash or 0, leased, settled, ask, record.node or '', is_first and 1 or 0 }
