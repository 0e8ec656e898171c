-- What a monitor sees, and what becomes of what it says.
--
-- Arguments: limits, facts, parameters.
-- Result: `compile(source)`, which returns a problem or nil, and `step(answer)`; child.py calls them.
--
-- The monitor runs in a coroutine of ours. What it cannot do itself (HTTP, files …) it asks for by yielding to
-- `step`, so no Python object, not even a function, is ever inside this Lua state: there is nothing to climb out by.
-- Here only what Lua can tell itself is limited; processor, memory and time are limited for the process.

local limits, facts, parameters = ...

local type, next, pairs, tostring, tonumber = type, next, pairs, tostring, tonumber
local error, pcall, xpcall, rawget, setmetatable = error, pcall, xpcall, rawget, setmetatable
local select, concat, unpack, min, huge = select, table.concat, table.unpack, math.min, math.huge
local yield, resume, create = coroutine.yield, coroutine.resume, coroutine.create
local find, sub, format, rep, getmetatable = string.find, string.sub, string.format, string.rep, getmetatable
local getinfo, sethook, clock, load = debug.getinfo, debug.sethook, os.clock, load

local CHUNK = "=monitor"
local STATES = { ok = true, warning = true, critical = true, unknown = true }
local HOOK_INSTRUCTIONS = 100000
local LOG_PARTS = 20
local began = clock()

local samples, statuses, logs = {}, {}, {}
local dropped_logs = 0

-- Errors that name the line of the monitor, whoever of us raises them.

local function line_of_monitor()
  for level = 2, 200 do
    local info = getinfo(level, "Sl")
    if not info then return nil end
    if info.source == CHUNK and info.currentline > 0 then return info.currentline end
  end
end

local function fail(text, ...)
  local line = line_of_monitor()
  error((line and format("monitor:%d: ", line) or "") .. format(text, ...), 0)
end

local function need(value, kind, what)
  if type(value) ~= kind then fail("%s must be a %s, not %s", what, kind, type(value)) end
  return value
end

-- A value's text without the address it lives at, and cut to a length.

local function text_of(value)
  local kind = type(value)
  if kind == "function" or kind == "thread" or kind == "userdata" then return kind end
  if kind ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") ~= nil then return tostring(value) end
  return "table"
end

local function cut(text, bytes)
  if #text <= bytes then return text end
  return sub(text, 1, bytes) .. "…"
end

-- Results

local function check_name(name)
  if type(name) ~= "string" or not find(name, "^[%a_][%w_.:/-]*$") or #name > limits.name_bytes then
    fail("%s is no metric name: letters, digits and _ . : / -, at most %d", cut(text_of(name), 60), limits.name_bytes)
  end
end

local function copy_labels(labels)
  local copy, count = {}, 0
  if labels == nil then return copy end
  if type(labels) ~= "table" then fail("labels must be a table, not %s", type(labels)) end
  for key, value in next, labels do
    count = count + 1
    if count > limits.labels then fail("more than %d labels", limits.labels) end
    if type(key) ~= "string" or not find(key, "^[%a_][%w_.]*$") or #key > limits.label_key_bytes then
      fail("%s is no label name: letters, digits, _ and .", cut(text_of(key), 60))
    end
    if key == "monitor" then fail("the label monitor is set by Metrist") end
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      fail("the value of label %s must be a text, not %s", key, kind)
    end
    value = tostring(value)
    if #value > limits.label_value_bytes or find(value, "%c") then
      fail("the value of label %s is longer than %d or has a control character", key, limits.label_value_bytes)
    end
    copy[key] = value
  end
  return copy
end

local function add_sample(kind, name, value, labels)
  if type(value) ~= "number" then fail("the value of %s must be a number, not %s", name, type(value)) end
  if value ~= value or value == huge or value == -huge then fail("the value of %s is not finite", name) end
  if #samples >= limits.samples then fail("more than %d samples in one run", limits.samples) end
  samples[#samples + 1] = { kind = kind, name = name, value = value + 0.0, labels = labels }
end

local function gauge(name, value, labels)
  check_name(name)
  add_sample("gauge", name, value, copy_labels(labels))
end

local function counter(name, value, labels)
  check_name(name)
  add_sample("counter", name, value, copy_labels(labels))
end

local function status(name, state, message)
  check_name(name)
  if not STATES[state] then fail("a state is ok, warning, critical or unknown, not %s", cut(text_of(state), 60)) end
  if message ~= nil and type(message) ~= "string" then fail("a message must be a text, not %s", type(message)) end
  if #statuses >= limits.statuses then fail("more than %d statuses in one run", limits.statuses) end
  statuses[#statuses + 1] = { name = name, state = state, message = cut(message or "", limits.message_bytes) }
end

local function log(...)
  if #logs >= limits.log_lines then
    dropped_logs = dropped_logs + 1
    return
  end
  local parts = {}
  for i = 1, min(select("#", ...), LOG_PARTS) do
    parts[i] = cut(text_of((select(i, ...))), limits.log_line_bytes)
  end
  logs[#logs + 1] = cut(concat(parts, "\t"), limits.log_line_bytes)
end

-- What only the agent can do: `ask` yields to it and gives back value, message.

local function plain(options)
  local copy = {}
  for key, value in next, options do
    local kind = type(value)
    if type(key) == "string" and (kind == "string" or kind == "number" or kind == "boolean") then copy[key] = value end
  end
  return copy
end

local function ask(kind, args)
  local answer = yield("ask", kind, args)
  if answer.error then fail("%s", answer.error) end
  return answer.value, answer.message
end

local http, tcp, tls, file, exec, json = {}, {}, {}, {}, {}, {}

function http.get(options)
  if type(options) == "string" then options = { url = options } end
  local args = plain(need(options, "table", "what http.get gets"))
  need(args.url, "string", "url")
  local headers = rawget(options, "headers")
  if headers ~= nil then args.headers = plain(need(headers, "table", "headers")) end
  return ask("http.get", args)
end

function tcp.check(host, port, timeout)
  return ask("tcp.check", { host = need(host, "string", "host"), port = need(port, "number", "port"), timeout = timeout and need(timeout, "number", "timeout") })
end

function tls.expiry(host, port, timeout)
  return ask("tls.expiry", { host = need(host, "string", "host"), port = need(port or 443, "number", "port"), timeout = timeout and need(timeout, "number", "timeout") })
end

function file.stat(path)
  return ask("file.stat", { path = need(path, "string", "path") })
end

function file.tail(path, options)
  local args = plain(need(options or {}, "table", "what file.tail gets"))
  args.path = need(path, "string", "path")
  return ask("file.tail", args)
end

function exec.run(name)
  return ask("exec.run", { name = need(name, "string", "name") })
end

function json.decode(text)
  return ask("json.decode", { text = need(text, "string", "text") })
end

local function processes(name)
  return ask("processes", { name = need(name, "string", "name") })
end

local function series(name)
  return ask("series", { name = need(name, "string", "name") })
end

local function param(name, default)
  local value = parameters[need(name, "string", "name")]
  if value == nil then value = default end
  if value == nil then fail("there is no parameter %s", cut(name, 60)) end
  return value
end

-- The parts of Lua that compute and nothing else. What makes code from text, looks into functions, or ends the
-- process is not here: load, require, debug, io, os, coroutine, collectgarbage, string.dump.

local function pick(from, ...)
  local picked = {}
  for _, name in next, { ... } do picked[name] = from[name] end
  return picked
end

local safe_string = pick(string, "byte", "char", "find", "gmatch", "gsub", "len", "lower", "match", "reverse", "sub", "upper")

function safe_string.rep(text, count, between)
  if type(text) == "string" and type(count) == "number" then
    local each = #text + (type(between) == "string" and #between or 0)
    if each * count > limits.text_bytes then fail("string.rep makes at most %d bytes", limits.text_bytes) end
  end
  return rep(text, count, between)
end

function safe_string.format(pattern, ...)
  if type(pattern) == "string" and find(pattern, "%%[^%a%%]*p") then fail("%%p is not available") end
  local args = { ... }
  local count = select("#", ...)
  for i = 1, count do
    local kind = type(args[i])
    if kind == "table" or kind == "function" then args[i] = text_of(args[i]) end
  end
  return format(pattern, unpack(args, 1, count))
end

local function safe_setmetatable(object, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then fail("__gc is not available") end
  return setmetatable(object, meta)
end

local environment = {
  gauge = gauge, counter = counter, status = status, log = log, print = log, param = param, series = series,
  processes = processes, facts = facts, http = http, tcp = tcp, tls = tls, file = file, exec = exec, json = json,
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, rawequal = rawequal,
  rawget = rawget, rawlen = rawlen, rawset = rawset, select = select, tonumber = tonumber, tostring = text_of,
  type = type, getmetatable = getmetatable, setmetatable = safe_setmetatable,
  string = safe_string,
  math = pick(math, "abs", "ceil", "floor", "fmod", "huge", "max", "maxinteger", "min", "mininteger", "modf", "pi",
    "random", "sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "deg", "rad", "tointeger", "type", "ult"),
  table = pick(table, "concat", "insert", "move", "pack", "remove", "sort", "unpack"),
  utf8 = pick(utf8, "char", "charpattern", "codepoint", "codes", "len", "offset"),
}

-- A name that nobody gave a value is a slip of the pen more often than a wish for nil.
setmetatable(environment, {
  __index = function(_, name) fail("nothing here is called %s", cut(text_of(name), 60)) end,
  __metatable = false,
})

-- ("x"):rep goes where string.rep goes, and the way to the other one is closed.
local strings = getmetatable("")
strings.__index = safe_string
strings.__metatable = false

-- Running

local function on_error(reason)
  local message = type(reason) == "string" and reason or ("an error that is a " .. type(reason))
  return { message = message, line = line_of_monitor() }
end

local function watch_time()
  if clock() - began > limits.cpu_s then fail("it computed for more than %g s", limits.cpu_s) end
end

local run

local function compile(source)
  local chunk, problem = load(source, CHUNK, "t", environment)
  if not chunk then return problem end
  run = create(function() return xpcall(chunk, on_error) end)
  sethook(run, watch_time, "", HOOK_INSTRUCTIONS)
end

-- Results: "ask", kind, args: answer it with the next step; or "done", samples, statuses, logs, message, line.
local function step(answer)
  local is_alive, first, kind, args = resume(run, answer)
  if is_alive and first == "ask" then return "ask", kind, args end
  if dropped_logs > 0 then logs[#logs + 1] = format("(%d more lines)", dropped_logs) end
  if is_alive and first == true then return "done", samples, statuses, logs end
  local problem = is_alive and kind or first
  if type(problem) ~= "table" then problem = { message = text_of(problem) } end
  return "done", samples, statuses, logs, problem.message, problem.line
end

return compile, step
