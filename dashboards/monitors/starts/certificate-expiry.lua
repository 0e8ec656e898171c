-- How many days are left until a certificate expires.
local host, port = param("host"), param("port")
local found, problem = tls.expiry(host, port)
if not found then
  status("certificate", "unknown", problem)
  return
end

local days = found.expires_in_s / 86400
gauge("certificate.days_left", days)
local state = days < param("critical_days") and "critical" or days < param("warning_days") and "warning" or "ok"
if not found.trusted and param("must_be_trusted") then state = "critical" end
status("certificate", state, string.format("%s expires in %.0f days%s", host, days, found.trusted and "" or ", and is not trusted"))
