"""Scripts that mean harm, or are careless enough to do it: each may only spoil its own result.

Name → (states its run may end in, source). One that gets out calls `log("ESCAPED …")`.
"""

FAILED, TIMEOUT, OK = {"failed"}, {"timeout"}, {"ok"}

LOOPS: dict[str, tuple[set[str], str]] = {
    "plain loop": (TIMEOUT, "while true do end"),
    "loop with goto": (TIMEOUT, "::again:: goto again"),
    "loop under pcall": (TIMEOUT, "while true do pcall(function() while true do end end) end"),
    "loop that calls pcall": (TIMEOUT, "local function f() pcall(f) f() end while true do pcall(f) end"),
    "loop in a coroutine": (FAILED, "coroutine.wrap(function() while true do end end)()"),
    "loop in __index": (TIMEOUT, "local t = setmetatable({}, {__index = function() while true do end end}) return t.x"),
    "loop in __close": (
        TIMEOUT,
        "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
    ),
    "loop in __close while failing": (
        TIMEOUT,
        "local x <close> = setmetatable({}, {__close = function() while true do end end}) error('now')",
    ),
    "loop in __gc": (FAILED, "setmetatable({}, {__gc = function() while true do end end})"),
    "loop in __gc set later": (
        OK,
        "local m = {} setmetatable({}, m) m.__gc = function() while true do end end "
        "for i = 1, 1e5 do local t = {} end log('done')",
    ),
    "loop in __tostring of an error": (
        FAILED,
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
    ),
    "loop in __tostring of a log line": (
        TIMEOUT,
        "log(setmetatable({}, {__tostring = function() while true do end end}))",
    ),
    "loop in __name": (TIMEOUT, "local t = setmetatable({}, {__name = 'x'}) while true do tostring(t) end"),
    "loop in an iterator": (TIMEOUT, "for _ in function() return 1 end do end"),
    "loop in a comparison": (TIMEOUT, "table.sort({1, 2, 3, 4}, function() while true do end end)"),
    "loop in a replacement": (TIMEOUT, "string.gsub('x', '.', function() while true do end end)"),
    "pattern that backtracks": (TIMEOUT, "string.find(string.rep('a', 100000), '.-.-.-.-b')"),
    "pattern under pcall": (TIMEOUT, "while true do pcall(string.find, string.rep('a', 100000), '.-.-.-.-b') end"),
    "pattern of gsub": (TIMEOUT, "string.gsub(string.rep('a', 200000), '.-.-.-.-b', '')"),
    "pattern of gmatch": (TIMEOUT, "for _ in string.gmatch(string.rep('a', 200000), '.-.-.-.-b') do end"),
    "pattern of a method": (TIMEOUT, "(('a'):rep(100000)):match('.-.-.-.-b')"),
    "move without end": (TIMEOUT, "table.move({}, 1, math.maxinteger - 1, 2)"),
    "concat without end": (
        FAILED | TIMEOUT,
        "table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1e15)",
    ),
    "empty repetitions": (TIMEOUT, "string.rep('', 1e15)"),
    "length of many": (TIMEOUT, "while true do utf8.len(string.rep('x', 1000000)) end"),
    "sort with a bad order": (
        FAILED | OK,
        "local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t, function() return true end)",
    ),
}

BOMBS: dict[str, tuple[set[str], str]] = {
    "doubling text": (FAILED, "local s = 'x' while true do s = s .. s end"),
    "long repetition": (FAILED, "string.rep('x', 1e9)"),
    "long repetition by a method": (FAILED, "return ('x'):rep(1e9)"),
    "long repetition of separators": (FAILED, "string.rep('', 1e5, string.rep('x', 1000))"),
    "big table": (FAILED, "local t = {} for i = 1, 1e9 do t[i] = i end"),
    "many tables": (FAILED, "local t = {} while true do t = {t, {}} end"),
    "many closures": (FAILED, "local t = {} while true do t[#t + 1] = function() return t end end"),
    "bomb under pcall": (
        TIMEOUT | FAILED,
        "local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) end",
    ),
    "deep recursion": (FAILED, "local function f() return 1 + f() end f()"),
    "deep recursion of pcall": (FAILED | TIMEOUT | OK, "local function f() pcall(f) end f()"),
    "deep recursion of metamethods": (
        FAILED,
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.x",
    ),
    "deep recursion in C": (FAILED, "local function f(s) return string.gsub(s, '.', f) end f('x')"),
    "deep recursion of sort": (FAILED | TIMEOUT, "local function f() table.sort({1, 2}, f) end f()"),
    "deep pattern": (FAILED, "string.find('x', string.rep('(', 1000))"),
    "deep nesting of text": (FAILED, "local x = " + "(" * 1000 + "1" + ")" * 1000),
    "deep nesting of tables": (FAILED, "local x = " + "{" * 1000 + "}" * 1000),
    "deep nesting of blocks": (FAILED, "do " * 1000 + "end " * 1000),
    "many values": (FAILED, "return table.unpack({}, 1, 1e7)"),
    "many arguments": (FAILED, "select('#', table.unpack({}, 1, 1e7))"),
    "many bytes": (FAILED, "string.byte(string.rep('x', 1000000), 1, -1)"),
    "wide format": (FAILED, "string.format('%99999d', 1)"),
    "long format": (FAILED, "string.format(string.rep('%99d', 1000000), 1)"),
    "long concatenation": (FAILED, "local t = {} for i = 1, 1e6 do t[i] = string.rep('x', 1000) end table.concat(t)"),
    "deep JSON": (OK, "log(select(2, json.decode(string.rep('[', 200000))))"),
    "JSON a little too deep": (FAILED, "json.decode(string.rep('[', 100) .. string.rep(']', 100))"),
    "huge JSON number": (OK, "log(json.decode('[1' .. string.rep('0', 400) .. ']'))"),
    "big JSON": (FAILED | OK, "for i = 1, 100 do json.decode('[' .. string.rep('{},', 80000) .. '1]') end"),
}

FLOODS: dict[str, tuple[set[str], str]] = {
    "log flood": (OK, "for i = 1, 1e5 do log('xxxxxxxxxx') end log(string.rep('x', 10000))"),
    "log without end": (TIMEOUT, "while true do log('x') end"),
    "sample flood": (FAILED, "while true do gauge('a', 1) end"),
    "sample flood under pcall": (TIMEOUT, "while true do pcall(gauge, 'a', 1) end"),
    "status flood": (FAILED, "while true do status('a', 'ok') end"),
    "label flood": (FAILED, "local l = {} for i = 1, 1000 do l['l' .. i] = i end gauge('a', 1, l)"),
    "long name": (FAILED, "gauge(string.rep('a', 201), 1)"),
    "no name": (FAILED, "gauge('', 1)"),
    "name with a line end": (FAILED, "gauge('a\\nb', 1)"),
    "name with a brace": (FAILED, "gauge('a{b=\"c\"}', 1)"),
    "name with a NUL": (FAILED, "gauge('a\\0b', 1)"),
    "no number": (FAILED, "gauge('a', 0/0)"),
    "endless number": (FAILED, "gauge('a', 1/0)"),
    "a text for a number": (FAILED, "gauge('a', '1')"),
    "long label": (FAILED, "gauge('a', 1, {x = string.rep('x', 257)})"),
    "label with a line end": (FAILED, "gauge('a', 1, {x = 'a\\nb'})"),
    "bad label name": (FAILED, "gauge('a', 1, {['a b'] = 'x'})"),
    "somebody else's label": (FAILED, "gauge('a', 1, {monitor = 'other'})"),
    "unknown state": (FAILED, "status('a', 'fine')"),
    "long message": (OK, "status('a', 'ok', string.rep('x', 100000))"),
    "long error": (FAILED, "error(string.rep('x', 1000000))"),
    "no UTF-8": (OK, "log('\\xff\\xfe') status('a', 'ok', '\\xff') gauge('a', 1, {x = '\\xff'})"),
    "error that is nil": (FAILED, "error(nil)"),
    "error that is a table": (FAILED, "error({message = 'x'})"),
    "error that is a function": (FAILED, "error(print)"),
    "flood of questions": (TIMEOUT, "while true do series('x') end"),
    "big question": (FAILED | OK, "http.get{url = string.rep('x', 1000000)}"),
}

ESCAPES: dict[str, tuple[set[str], str]] = {
    name: (
        FAILED,
        f"local function found() return {what} end local ok, got = pcall(found) "
        "if ok and got ~= nil then log('ESCAPED', type(got)) end error('nothing')",
    )
    for name, what in {
        "load": "load('return 1')",
        "loadstring": "loadstring('return 1')",
        "loadfile": "loadfile('/etc/passwd')",
        "dofile": "dofile('/etc/passwd')",
        "require": "require('os')",
        "package": "package.loadlib",
        "io": "io.open('/etc/passwd')",
        "os": "os.execute('true')",
        "debug": "debug.getregistry()",
        "coroutine": "coroutine.running()",
        "collectgarbage": "collectgarbage('count')",
        "warn": "warn('@on')",
        "_G": "_G",
        "_ENV.os": "_ENV.os",
        "rawget of _ENV": "rawget(_ENV, 'os')",
        "metatable of _ENV": "getmetatable(_ENV) or nil",
        "next of _ENV": "(function() for k in next, _ENV do if k == 'os' or k == 'load' then return k end end end)()",
        "python": "python.builtins",
        "python.eval": "python.eval('1')",
        "python by name": "_ENV['py' .. 'thon']",
        "dump": "string.dump(function() end)",
        "dump by a method": "('').dump",
        "dump by __index": "getmetatable('').__index.dump",
        "metatable of texts": "getmetatable('') or nil",
        "new metatable for texts": "setmetatable('', {})",
        "the whole string library": "rawget(string, 'dump')",
        "attribute of a function": "gauge.__globals__",
        "attribute of a function of http": "http.get.__class__",
        "call of facts": "facts()",
        "attribute of facts": "facts.__class__",
        "attribute of a parameter": "(param('x')).__class__",
        "error of a capability": "select(2, pcall(http.get, 'x')).__traceback__",
        "error of wrong arguments": "select(2, pcall(http.get)).__class__",
        "error of a conversion": "select(2, pcall(json.decode, '\\xff')).__class__",
        "address by %p": "string.format('%p', {})",
        "address by %p with width": "string.format('%20p', print)",
        "address of a table": "tostring({}):match('0x')",
        "address of a function": "tostring(print):match('0x')",
        "address by %s": "string.format('%s', print):match('0x')",
        "address by concatenation": "('' .. select(2, pcall(function() return print .. '' end))):match('0x')",
        "setmetatable of a function": "setmetatable(print, {})",
        "__metatable": "setmetatable(setmetatable({}, {__metatable = 1}), {})",
        "xpcall": "xpcall(print, print)",
        "os by a level": "getfenv(0)",
        "setfenv": "setfenv(1, {})",
        "newproxy": "newproxy(true)",
        "jit": "jit.off()",
        "ffi": "ffi.C",
        "bit32": "bit32",
        "arg": "arg",
        "yield": "coroutine.yield('ask', 'exec.run', {name = 'x'})",
    }.items()
} | {
    "bytecode": (FAILED, "\x1bLua\x54\x00\x19\x93\r\n\x1a\n"),
    "first line as of a shell": (FAILED, "#!/bin/sh\nlog('ESCAPED')"),
    "NUL in the text": (FAILED, "log('a')\0log('ESCAPED')"),
    "own _ENV": (FAILED, "local _ENV = {} log('x')"),
    "own _ENV by setmetatable": (
        FAILED,
        "local log = log local _ENV = setmetatable({}, {__index = _ENV}) if os then log('ESCAPED') end",
    ),
    "new names for ours": (
        OK,
        "string.format = 1 table = nil gauge = log math.huge = 0 rawset(_ENV, 'type', 1) log('x')",
    ),
    "traps in our tables": (
        OK,
        "math.min = function() log('ESCAPED') end table.concat = nil select = nil next = nil pcall = nil log('a', 'b')",
    ),
    "traps in labels": (
        OK,
        "local l = setmetatable({}, {__pairs = function() return function() while true do end end end, "
        "__index = function() while true do end end, __len = function() while true do end end}) gauge('a', 1, l)",
    ),
    "traps in options": (
        OK,
        "http.get(setmetatable({url = 'http://x'}, {__index = function() return 'y' end, __pairs = error}))",
    ),
    "yield across C": (FAILED, "string.gsub('x', '.', function() http.get('http://x') end)"),
    "question in a metamethod": (
        OK,
        "local t = setmetatable({}, {__index = function() return http.get('x') end}) log(t.x)",
    ),
    "question in __close": (OK, "do local x <close> = setmetatable({}, {__close = function() http.get('x') end}) end"),
    "an answer of its own": (OK, "log('{\"done\": {\"samples\": []}}\\n') print('\\n{}\\n')"),
}

HOSTILE = {
    f"{kind}: {name}": each
    for kind, scripts in (("loop", LOOPS), ("bomb", BOMBS), ("flood", FLOODS), ("escape", ESCAPES))
    for name, each in scripts.items()
}
