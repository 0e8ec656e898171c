-- note_contact(nodes, deadlines, name, contact): a node was heard. Shared by heartbeat.lua and touch.lua.
--
-- contact  now, late_after (pings), instance ('' unknown), and either interval (ms, what a ping was asked to keep) or
--          floor (ms), for snapshots; of a ping also run (of the agent, or nil), skew (ms, or nil), bye (reason of a
--          goodbye, or nil), away (ms)
-- returns  the record as it is now, and whether it was made just now; record.state is nil until the sweep has seen it
--
-- Why in Redis: reading the record, comparing the instance and writing record and deadline must not interleave with
-- another contact or with the sweep's settle.lua, which relies on `last` to see that a contact came in between.

local CADENCE_MAX_MS = 300000
local CLASH_INTERVALS = 10
local CLASH_SHOWN_MS = 600000
local SLOW_PINGS = 5

-- A node that never pinged is expected at its own cadence: the last gap, but falling slowly, so that one quick
-- repetition does not make the next ordinary gap look like silence. Our own outages must not raise it for ever: capped.
-- Of a node heard once no gap is known, so the longest is presumed: silence that nobody promised to end is no lateness.
local function cadence(record, contact)
  local most = math.max(contact.floor, CADENCE_MAX_MS)
  if not record.interval then return most end
  local expected = math.max(contact.floor, contact.now - record.last, math.floor(record.interval * 0.9))
  return math.min(expected, most)
end

-- A request's way makes a clock look behind, never ahead: the largest of the last few is the nearest to the truth. So
-- a larger one is believed at once, and smaller ones, the largest of them, when that many came in a row.
local function note_skew(record, skew)
  local is_nearer = not record.skew or skew >= record.skew
  local slow = is_nearer and 0 or (record.slow or 0) + 1
  local best = slow > 1 and math.max(record.slow_skew, skew) or skew
  if is_nearer or slow == SLOW_PINGS then
    record.skew, record.slow, record.slow_skew = best, nil, nil
  else
    record.slow, record.slow_skew = slow, best
  end
end

-- A snapshot tells no run, and need not: what it tells fits every run of its instance.
local function is_of(instance, run, contact)
  return instance == contact.instance and (not run or not contact.run or run == contact.run)
end

-- One change is a new installation, or a restart; the former one coming back soon after is two machines of one name.
-- A cloned machine has the same instance, but not the same run.
local function note_instance(record, contact)
  if contact.instance == '' then return end
  if is_of(record.instance, record.run, contact) then
    record.run = record.run or contact.run
    return
  end
  local window = CLASH_INTERVALS * record.interval
  local is_back = is_of(record.other, record.other_run, contact)
  if is_back and contact.now - record.other_last < window then record.clash = contact.now end
  record.other, record.other_run, record.other_last = record.instance, record.run, record.last
  record.instance, record.run = contact.instance, contact.run
end

-- When the sweep must look at a node that is known to be online: when it would be late; at once, while it does not know
-- of a clash; and when that is over.
local function deadline(record, contact)
  local due = contact.now + record.interval * contact.late_after
  if not record.clash then return due end
  return record.clashing and math.min(due, record.clash + CLASH_SHOWN_MS) or contact.now
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
  if contact.skew then note_skew(record, contact.skew) end
  -- Anything else than a node that is known to be online is settled at once; the end of a goodbye, too,
  -- and `back` says so until it is, however soon the next contact comes.
  record.back = record.back or record.bye and true
  local is_plain = record.state == 'online' and not contact.bye and not record.back
  local due = is_plain and deadline(record, contact) or contact.now
  record.last, record.presumed, record.bye, record.away = contact.now, nil, contact.bye, contact.away
  redis.call('HSET', nodes, name, cmsgpack.pack(record))
  redis.call('ZADD', deadlines, due, name)
  return record, not packed
end
