-- Whether a program runs, and how many of it do.
local name, least = param("process"), param("at_least")
local count = processes(name)

gauge("process.count", count, { process = name })
if count < least then
  status("process", param("state"), string.format("%d of %s run, %d should", count, name, least))
else
  status("process", "ok", string.format("%d of %s run", count, name))
end
