-- The exit code of a command that the node's owner has put into its folder of commands.
local name = param("command")
local result, problem = exec.run(name)
if not result then
  status("command", "unknown", problem)
  return
end

gauge("command.exit_code", result.code, { command = name })
log(result.output)
status("command", result.code == 0 and "ok" or "critical", string.format("%s ended with %d", name, result.code))
