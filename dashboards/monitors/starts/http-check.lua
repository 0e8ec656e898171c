-- Whether an address answers as it should, and how long that takes.
local answer, problem = http.get { url = param("url"), timeout = 5 }

if not answer then
  gauge("http.up", 0)
  status("http", "critical", problem)
  return
end
local is_right = answer.status == param("status")
gauge("http.up", is_right and 1 or 0)
gauge("http.took_ms", answer.took_ms)
status("http", is_right and "ok" or "critical", "it answers " .. answer.status)
