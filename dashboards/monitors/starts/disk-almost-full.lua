-- How full each file system is, and a word when one is almost full.
local warn, crit = param("warning_percent"), param("critical_percent")

for _, disk in ipairs(series("disk.used_percent")) do
  local mount, used = disk.labels.mount or "?", disk.value
  local state = used >= crit and "critical" or used >= warn and "warning" or "ok"
  status("disk:" .. mount, state, string.format("%s is %.0f %% full", mount, used))
  gauge("disk.room_percent", 100 - used, { mount = mount })
end
