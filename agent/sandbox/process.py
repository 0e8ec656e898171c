"""One run of a monitor in a child process, watched from outside."""

import importlib.util
import math
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from agent.sandbox.result import SOURCE_MAX_BYTES, Inputs, Limits, Problem, Result, Sample, State, Status

Ask = Callable[[str, Mapping[str, Any], float], Any]
"""Does what a monitor cannot do itself: kind (`http.get` …), its arguments, and until when on the monotonic clock.

Returns plain values; raises Unable or Refused.
"""

HERE = Path(__file__).parent
SAID_MAX_BYTES = 4_000_000
"""What a child may say in one line; a result at all its limits is smaller."""
READ_BYTES = 65_536
CHECK_S = 5.0
CHUNK = "import sys; sys.path += sys.argv[1:]; import child; child.main()"
KILLED_BY_PROCESSOR_TIME = (signal.SIGPROF, signal.SIGXCPU)
TOO_LONG = "it computed for more than"
NO_INPUTS, LIMITS = Inputs(), Limits()
LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Unable(Exception):
    """It did not work; the monitor gets nil and this message, and may go on."""


class Refused(Exception):
    """It is not allowed here; an error for the monitor."""


class _Done(msgspec.Struct):
    samples: list[Sample] = []
    statuses: list[Status] = []
    log: list[str] = []
    message: str | None = None
    line: int = 0
    cpu_ms: float = 0.0
    memory_bytes: int = 0


class _Said(msgspec.Struct):
    ask: str | None = None
    args: dict[str, Any] = {}
    done: _Done | None = None


class _TimeUp(Exception):
    """The run's time is over."""


class _Broken(Exception):
    """The child has ended, or says what no child of ours says."""


def nothing_here(kind: str, _args: Mapping[str, Any], _until_s: float) -> Any:
    """The answer where nothing can be asked for."""
    raise Unable(f"{kind} is not available here")


def run(source: str, inputs: Inputs = NO_INPUTS, limits: Limits = LIMITS, ask: Ask = nothing_here) -> Result:
    """Run a monitor once, to its end or its limits; never raises for anything a monitor does.

    Blocks, for `limits.wall_s` at most and as long as `ask` does; safe in any number of threads.
    """
    if len(source.encode(errors="replace")) > SOURCE_MAX_BYTES:
        return Result("failed", f"a monitor has at most {SOURCE_MAX_BYTES} bytes")
    return _run(source, inputs, limits, ask, is_check=False)


def check(source: str) -> list[Problem]:
    """What keeps a text from being a monitor; empty when nothing does. Nothing of it is run."""
    if len(source.encode(errors="replace")) > SOURCE_MAX_BYTES:
        return [Problem(0, f"a monitor has at most {SOURCE_MAX_BYTES} bytes")]
    result = _run(source, NO_INPUTS, Limits(wall_s=CHECK_S), nothing_here, is_check=True)
    return [] if result.state == "ok" else [Problem(result.line, result.message)]


def _run(source: str, inputs: Inputs, limits: Limits, ask: Ask, *, is_check: bool) -> Result:
    began_s = time.monotonic()
    job = {
        "api": _api(),
        "source": source.encode(errors="replace").decode(),
        "is_check": is_check,
        "limits": limits,
        "facts": inputs.facts,
        "parameters": inputs.parameters,
    }
    with _Child(began_s + limits.wall_s) as child:
        outcome = _converse(child, job, ask, limits)
    took_ms = 1000 * (time.monotonic() - began_s)
    return msgspec.structs.replace(outcome or child.explain(limits), took_ms=took_ms)


def _converse(child: "_Child", job: Mapping[str, Any], ask: Ask, limits: Limits) -> Result | None:
    """The result; None when the child ended, or was to be ended, without one."""
    refused = False
    try:
        child.send(job)
        while (said := child.receive()).done is None:
            answer, is_refusal = _answer(ask, said, child.until_s)
            refused |= is_refusal
            child.send(answer)
    except _TimeUp:
        return Result("timeout", f"it took longer than {limits.wall_s:g} s")
    except _Broken:
        return None
    return _judged(said.done, limits, refused)


def _answer(ask: Ask, said: _Said, until_s: float) -> tuple[dict[str, Any], bool]:
    try:
        return {"value": ask(said.ask or "", said.args, until_s)}, False
    except Unable as error:
        return {"message": str(error)}, False
    except Refused as error:
        return {"error": str(error)}, True


def _judged(done: _Done, limits: Limits, was_refused: bool) -> Result:
    """Look once more at what api.lua has looked at: the child may be no longer ours."""
    if not _is_within(done, limits):
        return Result("failed", "its process said what no monitor says")
    state: State = "ok"
    if done.message is not None:
        state = "timeout" if done.message.startswith(TOO_LONG) else "refused" if was_refused else "failed"
    return Result(
        state,
        message=(done.message or "")[: limits.message_bytes],
        line=done.line,
        cpu_ms=done.cpu_ms,
        memory_bytes=done.memory_bytes,
        samples=done.samples,
        statuses=done.statuses,
        log=done.log,
    )


def _is_within(done: _Done, limits: Limits) -> bool:
    return (
        len(done.samples) <= limits.samples
        and len(done.statuses) <= limits.statuses
        and len(done.log) <= limits.log_lines + 1
        and all(_is_sample(each, limits) for each in done.samples)
        and all(
            len(each.name) <= limits.name_bytes and len(each.message) <= limits.message_bytes + 1
            for each in done.statuses
        )
        and all(len(line) <= limits.log_line_bytes + 1 for line in done.log)
        and 0 <= done.cpu_ms < math.inf
    )


def _is_sample(sample: Sample, limits: Limits) -> bool:
    return (
        math.isfinite(sample.value)
        and 0 < len(sample.name) <= limits.name_bytes
        and sample.name.isprintable()
        and len(sample.labels) <= limits.labels
        and all(len(name) <= limits.label_key_bytes and LABEL_NAME.fullmatch(name) for name in sample.labels)
        and all(len(value) <= limits.label_value_bytes for value in sample.labels.values())
    )


class _Child:
    """The process of one run, and the one way to talk with it. It has ended when the context has."""

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self._rest = b""
        self._status = 0
        self._cpu_s = 0.0

    def __enter__(self) -> "_Child":
        ours, theirs = socket.socketpair()
        with theirs:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", CHUNK, str(HERE), str(_lupa_folder())],
                {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setpgroup=0,  # a Ctrl-C for the agent is none for it
            )
        self._socket = ours
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)  # of one that has ended nothing changes: it is ours to bury
        _pid, self._status, used = os.wait4(self._pid, 0)
        self._cpu_s = used.ru_utime + used.ru_stime

    def send(self, message: Mapping[str, Any]) -> None:
        """One line; raises _TimeUp or _Broken."""
        try:
            self._socket.settimeout(self._left_s())
            self._socket.sendall(msgspec.json.encode(message) + b"\n")
        except TimeoutError as error:
            raise _TimeUp from error
        except OSError as error:
            raise _Broken from error

    def receive(self) -> _Said:
        """The next message; raises _TimeUp or _Broken."""
        while b"\n" not in self._rest:
            try:
                self._socket.settimeout(self._left_s())
                part = self._socket.recv(READ_BYTES)
            except TimeoutError as error:
                raise _TimeUp from error
            except OSError as error:
                raise _Broken from error
            self._rest += part
            if not part or len(self._rest) > SAID_MAX_BYTES:
                raise _Broken
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return msgspec.json.decode(line, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _Broken from error

    def explain(self, limits: Limits) -> Result:
        """Why it ended without a result."""
        cpu_ms = 1000 * self._cpu_s
        if not os.WIFSIGNALED(self._status):
            return Result("failed", "its process could not run it", cpu_ms=cpu_ms)
        number = os.WTERMSIG(self._status)
        if number in KILLED_BY_PROCESSOR_TIME:
            return Result("timeout", f"{TOO_LONG} {limits.cpu_s:g} s", cpu_ms=cpu_ms)
        if number == signal.SIGKILL:
            return Result("failed", "its process was killed, or said what no monitor says", cpu_ms=cpu_ms)
        return Result("failed", f"its process died of {signal.Signals(number).name}", cpu_ms=cpu_ms)

    def _left_s(self) -> float:
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


@cache
def _api() -> str:
    return (HERE / "api.lua").read_text(encoding="utf-8")


@cache
def _lupa_folder() -> Path:
    """Where lupa is installed, found without importing it: only the children need it in memory."""
    found = importlib.util.find_spec("lupa")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("monitors need the library lupa")
    return Path(found.origin).parents[1]
