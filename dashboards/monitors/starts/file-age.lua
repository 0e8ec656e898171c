-- How old a file is that should be written now and then, such as a backup.
local path, hours = param("path"), param("at_most_hours")
local file_found, problem = file.stat(path)

if not file_found then
  status("file", "critical", path .. ": " .. problem)
  return
end
gauge("file.age_s", file_found.age_s)
gauge("file.size_bytes", file_found.size)
local is_old = file_found.age_s > hours * 3600
status("file", is_old and "critical" or "ok", string.format("%s is %.1f h old", path, file_found.age_s / 3600))
