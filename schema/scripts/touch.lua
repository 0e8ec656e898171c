-- Snapshots came: each of their nodes was heard. Comes after contact.lua.
--
-- KEYS    nodes, deadlines of one account
-- ARGV    1 now  2 least interval ms  3 late after pings  4 instance or ''; then the nodes' names
-- result  names that Redis did not know
-- atomic  see contact.lua; one round trip for a batch of many nodes

local contact = {
  now = tonumber(ARGV[1]),
  floor = tonumber(ARGV[2]),
  late_after = tonumber(ARGV[3]),
  instance = ARGV[4],
}
local unknown = {}
for i = 5, #ARGV do
  if not note_contact(KEYS[1], KEYS[2], ARGV[i], contact).state then unknown[#unknown + 1] = ARGV[i] end
end
return unknown
