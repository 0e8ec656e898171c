"""Runs one monitor and ends: a process of its own, started by process.py, that holds nothing worth stealing.

It is given its job as a line of JSON on descriptor 0, a socket, and answers on it: `{"ask": …}` for what the agent has
to do for the monitor, at the end `{"done": …}`. Between reading the job and running it, the process gives up what it
will not need: the right to open files and sockets, to start processes, to write files, and more memory and processor
time than the job allows. It imports little, as every run pays for it.
"""

import json
import math
import os
import re
import resource
import signal
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from lupa import LuaError, LuaMemoryError, lua54

NOBODY = 65_534
SLACK_BYTES = 48_000_000
"""What Python may need on top of the monitor's own memory: one answer of the agent, as bytes, text and values."""
MARGIN_S = 0.25
"""For the hook in api.lua to end it first, with its line: this timer counts in ticks, the hook exactly."""
READ_BYTES = 65_536
POSITION = re.compile(r"monitor:(\d+): ")
LABEL = re.compile(r'([^=,{}]+)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")
DEPTH_MAX = 20
JSON_MAX_BYTES = 262_144


def main() -> NoReturn:
    """Run the job on descriptor 0 and end without looking back: no destructor of Lua or Python runs."""
    os.closerange(3, 65_536)  # whatever the agent was started with
    job = json.loads(_read_line())
    status = _opened("/proc/self/status")
    before = _peak_bytes(status)
    lua = lua54.LuaRuntime(
        encoding=None,
        attribute_filter=_refuse,
        register_eval=False,
        register_builtins=False,
        max_memory=int(job["limits"]["memory_bytes"]),
    )
    _restrain(job["limits"])
    began_s = _cpu_s()
    done = _guarded(lua, job)
    done |= {"cpu_ms": 1000 * (_cpu_s() - began_s), "memory_bytes": max(0, _peak_bytes(status) - before)}
    _write({"done": done})
    os._exit(0)


def _refuse(_object: object, _name: object, _is_setting: bool) -> str:
    raise AttributeError("not available")


def _restrain(limits: dict[str, Any]) -> None:
    """Give up all that the job does not need; what one system does not know, the others still hold."""
    with suppress(OSError):
        os.nice(10)
    most_s = limits["cpu_s"] * 1.2 + MARGIN_S
    signal.setitimer(signal.ITIMER_PROF, most_s)
    cpu_s = math.ceil(_cpu_s() + most_s) + 1
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    for kind, most in (
        (resource.RLIMIT_AS, _used_bytes() + limits["memory_bytes"] + SLACK_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    if os.geteuid() == 0:  # root could take it all back
        for give_up in (
            partial(os.setgroups, []),
            partial(os.setresgid, NOBODY, NOBODY, NOBODY),
            partial(os.setresuid, NOBODY, NOBODY, NOBODY),
        ):
            with suppress(OSError):
                give_up()


def _guarded(lua: Any, job: dict[str, Any]) -> dict[str, Any]:
    try:
        return _run(lua, job)
    except (LuaMemoryError, MemoryError):
        return {"message": "not enough memory", "line": 0}
    except LuaError as error:
        return {"message": str(error), "line": 0}


def _run(lua: Any, job: dict[str, Any]) -> dict[str, Any]:
    given = [_to_lua(lua, job[name]) for name in ("limits", "facts", "parameters")]
    compiles, step = lua.execute(job["api"].encode(), *given, name=b"=api", mode=b"t")
    problem = compiles(job["source"].encode())
    if problem is not None:
        return _problem(problem, None)
    if job["is_check"]:
        return {}
    answer = None
    while True:
        said = step(answer)
        if said[0] == b"done":
            return _done(*said[1:])
        kind, args = said[1].decode(), _from_lua(said[2])
        if kind in HERE:
            reply = HERE[kind](args, job)
        else:
            _write({"ask": kind, "args": args})
            reply = json.loads(_read_line())
        answer = _to_lua(lua, reply)


def _done(samples: Any, statuses: Any, logs: Any, message: Any = None, line: Any = None) -> dict[str, Any]:
    said = {"samples": _from_lua(samples) or [], "statuses": _from_lua(statuses) or [], "log": _from_lua(logs) or []}
    return said if message is None else said | _problem(message, line)


def _problem(message: bytes, line: int | None) -> dict[str, Any]:
    """What went wrong without the position in front of it, and the line."""
    text = message.decode(errors="replace")
    found = POSITION.match(text)
    return {"message": POSITION.sub("", text, count=1), "line": int(found[1]) if found else line or 0}


def _series(args: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """The host's series of one metric, as the last snapshot had them."""
    found = []
    for key, value in job["facts"].get("metrics", {}).items():
        name, _, rest = key.partition("{")
        if name == args["name"]:
            labels = {label: ESCAPED.sub(_unescaped, text) for label, text in LABEL.findall(rest)}
            found.append({"labels": labels, "value": value})
    return {"value": found}


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def _decode(args: dict[str, Any], _job: dict[str, Any]) -> dict[str, Any]:
    if len(args["text"]) > JSON_MAX_BYTES:
        return {"message": f"the text is longer than {JSON_MAX_BYTES} bytes"}
    try:
        return {"value": json.loads(args["text"])}
    except (ValueError, RecursionError) as error:
        return {"message": f"that is no JSON: {error}"}


HERE = {"series": _series, "json.decode": _decode}
"""What is asked for and needs no agent."""


def _to_lua(lua: Any, value: Any, depth: int = 0) -> Any:
    """Plain values as Lua's own; anything else would be a Python object in Lua's hands."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else _as_float(value)
        case str():
            return value.encode(errors="replace")
        case dict() | list() if depth < DEPTH_MAX:
            pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
            table = lua.table()
            for key, each in pairs:
                table[_to_lua(lua, key)] = _to_lua(lua, each, depth + 1)
            return table
    raise LuaError("a value is nested too deeply")


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _from_lua(value: Any) -> Any:
    """Plain values of api.lua's own tables: a sequence becomes a list."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if lua54.lua_type(value) != "table":
        return value
    if len(value):
        return [_from_lua(value[place]) for place in range(1, len(value) + 1)]
    return {key.decode(errors="replace"): _from_lua(each) for key, each in value.items()}


def _read_line() -> bytes:
    """One line; the agent never sends more than one at a time. Ends the process when the agent is gone."""
    parts = [b""]
    while not parts[-1].endswith(b"\n"):
        part = os.read(0, READ_BYTES)
        if not part:
            os._exit(1)
        parts.append(part)
    return b"".join(parts)


def _write(message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(0, data) :]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:  # no Linux
        return -1


def _used_bytes() -> int:
    """Address space in use."""
    statm = _opened("/proc/self/statm")
    return resource.getpagesize() * int(os.pread(statm, 100, 0).split()[0]) if statm >= 0 else 1 << 34


def _peak_bytes(status: int) -> int:
    """The most memory this process has held."""
    if status < 0:
        return 0
    found = re.search(rb"VmHWM:\s+(\d+) kB", os.pread(status, 8192, 0))
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        os._exit(2)
