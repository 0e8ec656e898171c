-- How many lines a log gains, and how many of them hold a word.
local found, problem = file.tail(param("path"), { since_last = true })
if not found then
  status("log", "unknown", problem)
  return
end

local word, count = param("word"), 0
for _, line in ipairs(found.lines) do
  if string.find(line, word, 1, true) then count = count + 1 end
end
gauge("log.lines", #found.lines)
gauge("log.matching_lines", count)
status("log", count > 0 and "warning" or "ok", string.format("%d new lines with %s", count, word))
