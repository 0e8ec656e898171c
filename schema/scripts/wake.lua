-- A held ping is woken: lease what waits. No contact, since nothing was heard. Comes after lease.lua.
--
-- KEYS    queue, commands of one node
-- ARGV    1 now  2 lease ms  3 commands at most
-- result  {id, MessagePack, …} leased
-- atomic  see lease.lua

return lease_commands(KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
