-- note_contact(nodes, deadlines, name, contact): a node was heard. Shared by heartbeat.lua and touch.lua.
--
-- contact  now, late_after (pings), instance ('' unknown), floor (ms) and one of
--          interval (ms, what the node was asked to keep) or neither, for a node that only sends snapshots
-- returns  the record as it is now; record.state is nil for a node that Redis did not know
--
-- Why in Redis: reading the record, comparing the instance and writing record and deadline must not interleave with
-- another contact or with the sweep's settle.lua, which relies on `last` to see that a contact came in between.

local CADENCE_MAX_MS = 300000
local CLASH_INTERVALS = 10

-- A node that never pinged is expected at its own cadence: the last gap, but falling slowly, so that one quick
-- repetition does not make the next ordinary gap look like silence. Our own outages must not raise it for ever: capped.
local function cadence(record, contact)
  local gap = record.last and contact.now - record.last or 0
  local expected = math.max(contact.floor, gap, math.floor((record.interval or 0) * 0.9))
  return math.min(expected, math.max(contact.floor, CADENCE_MAX_MS))
end

-- One change of instance is a new installation; the former one coming back soon after is two machines of one name.
local function note_instance(record, contact)
  if contact.instance == '' or contact.instance == record.instance then return end
  local window = CLASH_INTERVALS * record.interval
  if contact.instance == record.other and contact.now - record.other_last < window then record.clash = contact.now end
  record.other, record.other_last = record.instance, record.last
  record.instance = contact.instance
end

local function note_contact(nodes, deadlines, name, contact)
  local packed = redis.call('HGET', nodes, name)
  local record = packed and cmsgpack.unpack(packed) or {}
  if contact.interval then
    record.interval, record.pinged = contact.interval, true
  elseif not record.pinged then
    record.interval = cadence(record, contact)
  end
  note_instance(record, contact)
  record.last = contact.now
  if contact.skew then record.skew = contact.skew end
  redis.call('HSET', nodes, name, cmsgpack.pack(record))
  -- Known to be online: look again when it would be late. Anything else the sweep settles at once.
  local due = record.state == 'online' and contact.now + record.interval * contact.late_after or contact.now
  redis.call('ZADD', deadlines, due, name)
  return record
end
