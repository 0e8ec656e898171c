"""One child process: started, heard, ended."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metrist import orphans
from metrist.health import Check
from metrist.logfile import LogFile
from metrist.pulse import FD_VARIABLE, Pulse

TETHER = Path(__file__).with_name("tether.py")
TAIL_LINES = 5
LINE_MAX_BYTES = 2_000
WORTH_SHOWING = re.compile(
    rb"\[(?:warning|error|critical) *\]"  # our log lines for people
    rb"|\"level\": ?\"(?:warning|error|critical)\""  # for machines
    rb"|^\d{4}-\d\d-\d\d \S+ (?:WARNING|ERROR|CRITICAL) "  # the agent's
)
"""How a line says that somebody should look."""


@dataclass(frozen=True)
class Piece:
    """One process of the platform: how it is started, asked and stopped.

    has_pulse  its loop beats while it turns (`metrist.pulse`), so that a busy one is told from one that hangs
    """

    name: str
    command: list[str]
    env: Mapping[str, str]
    check: Check
    stop_within_s: float = 2.0
    listener: socket.socket | None = field(default=None, compare=False)
    has_pulse: bool = False


class Child(asyncio.SubprocessProtocol):
    """A running piece; what it says goes to its log file, and its warnings to the console too."""

    def __init__(self, name: str, log: LogFile, pid_file: Path, pulse: Pulse | None = None) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.pid = 0
        self._name = name
        self._log = log
        self._pid_file = pid_file
        self._pulse = pulse
        self._partial = b""
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is, for the tests, the operator and the next start."""
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self.pid = transport.get_pid()
        orphans.record(self._pid_file, self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what it said, line by line."""
        self._log.write(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LINE_MAX_BYTES:]
        for line in filter(bytes.strip, lines):
            self._hear(line[:LINE_MAX_BYTES])

    def process_exited(self) -> None:
        """End what it has started itself, and let the watcher know; called even while a grandchild holds the pipe."""
        orphans.kill_group(self.pid)
        orphans.forget(self._pid_file)
        asyncio.get_running_loop().call_later(0.1, self._finish)  # its last words are still in the pipe

    def has_beaten(self) -> bool:
        """Whether its loop turned since this was asked before; of a piece without a pulse nobody knows."""
        return self._pulse is not None and not self.exited.done() and self._pulse.has_beaten()

    def reason(self) -> str:
        """Why it ended, and what it said last, in one line."""
        code = self.exited.result()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{how}: {' | '.join(self.tail)}" if self.tail else how

    async def stop(self, within_s: float) -> None:
        """Ask it to end; when it has not done so in time, kill it and all it has started."""
        self.signal(signal.SIGTERM)
        await asyncio.wait({self.exited}, timeout=within_s)
        if not self.exited.done():
            orphans.kill_group(self.pid)
            await self.exited

    def signal(self, number: int) -> None:
        """Send a signal, unless it is gone already."""
        assert self._transport is not None
        with contextlib.suppress(ProcessLookupError):
            self._transport.send_signal(number)

    def _hear(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.tail.append(text)
        if WORTH_SHOWING.search(line):
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def _finish(self) -> None:
        assert self._transport is not None
        code = self._transport.get_returncode()
        if self._partial.strip():  # it died in the middle of a line
            self._hear(self._partial[:LINE_MAX_BYTES])
        self._transport.close()
        self._log.close()
        if self._pulse is not None:
            self._pulse.close()
        if not self.exited.done():
            self.exited.set_result(0 if code is None else code)


async def spawn(piece: Piece, data_dir: Path) -> Child:
    """Start a piece, tied to this process and in a session of its own, so that Ctrl-C reaches only us.

    Called from the main thread only: the tie is to the thread (see `metrist.tether`).
    """
    log = LogFile(data_dir / "logs" / f"{piece.name}.log")
    pid_file = data_dir / "run" / f"{piece.name}.pid"
    pulse = Pulse() if piece.has_pulse else None
    passed = [piece.listener.fileno()] if piece.listener else []
    _, child = await asyncio.get_running_loop().subprocess_exec(
        lambda: Child(piece.name, log, pid_file, pulse),
        *tethered(piece.command, piece.listener),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**piece.env, **({FD_VARIABLE: str(pulse.writes_fd)} if pulse else {})},
        start_new_session=True,
        pass_fds=[*passed, pulse.writes_fd] if pulse else passed,
    )
    if pulse is not None:
        pulse.hand_over()
    return child


def tethered(command: list[str], listener: socket.socket | None = None) -> list[str]:
    """The command that runs a command which dies with us."""
    listen_fd = listener.fileno() if listener else -1
    return [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(listen_fd), *command]
