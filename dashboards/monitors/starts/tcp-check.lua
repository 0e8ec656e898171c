-- Whether a port takes connections, and how long that takes.
local host, port = param("host"), param("port")
local took_ms, problem = tcp.check(host, port, 3)

gauge("tcp.up", took_ms and 1 or 0)
if took_ms then
  gauge("tcp.took_ms", took_ms)
  status("tcp", "ok", string.format("%s:%d took %.0f ms", host, port, took_ms))
else
  status("tcp", "critical", string.format("%s:%d: %s", host, port, problem))
end
