"""Simulated agents: thousands in one thread, each on a connection and a schedule of its own, as the real agent pings.

HTTP is written by hand, so that an agent costs microseconds: the fleet must not be the bottleneck that it measures.
"""

import asyncio
import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec
import uvloop

T = TypeVar("T")
BACK_OFF_MIN_S = 0.05
METRICS = 10
FILES = 4_096
"""What a process has open beside its agents, at most."""


class _Command(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    ping_interval_s: float = 0.0
    commands: list[_Command] = []


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


@dataclass
class Tally:
    """What a fleet has seen since the last `Fleet.take`.

    took_s    of each answered request, from when it was due; of a held ping, what it took beyond its hold
    failures  by what went wrong; the agent tries again
    """

    took_s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    began_s: float = field(default_factory=time.monotonic)

    @property
    def per_s(self) -> float:
        return len(self.took_s) / (time.monotonic() - self.began_s)

    def quantile_ms(self, q: float) -> float:
        """NaN when nothing was answered."""
        ordered = sorted(self.took_s)
        return ordered[min(int(len(ordered) * q), len(ordered) - 1)] * 1_000 if ordered else float("nan")


@dataclass(frozen=True)
class Plan:
    """How every agent of a fleet behaves.

    waits             pings are held, as the real agent asks; else answered at once
    snapshot_every_s  0 sends none
    metrics           in each snapshot
    back_off_max_s    longest pause after failures, as the agent's own
    """

    host: str
    port: int
    key: str
    interval_s: float = 10.0
    waits: bool = False
    snapshot_every_s: float = 0.0
    metrics: int = METRICS
    timeout_s: float = 30.0
    back_off_max_s: float = 45.0
    prefix: str = "agent"


class Channel(asyncio.Protocol):
    """A connection that posts one body after another: on schedule, and after a failure again with a growing pause."""

    def __init__(self, fleet: "Fleet", head: bytes, tally: Callable[[], Tally]) -> None:
        self._fleet = fleet
        self._loop = fleet.loop
        self._head = head
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[Any] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._received = b""
        self._failures = 0
        self._due_s = self._held_s = 0.0
        self._is_asking = False
        self.is_dead = False

    def body(self) -> tuple[bytes, float]:
        """What to post now, and how long the server may hold it, s."""
        raise NotImplementedError

    def heard(self, answer: bytes, held_s: float) -> float:
        """An answer came; returns the seconds from when this request was due to when the next one is."""
        raise NotImplementedError

    def start(self, after_s: float) -> None:
        self._schedule(self._loop.time() + after_s)

    def die(self) -> None:
        """As a machine without power: nothing more is sent, nothing said."""
        self.is_dead = True
        for each in (self._alarm, self._connecting):
            if each is not None:
                each.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self._received = None, b""
        if self._is_asking and not self.is_dead:
            self._fail("connection lost")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._received = b""
        self._answered(int(head[9:12]), rest)

    def _answered(self, status: int, answer: bytes) -> None:
        if status not in (200, 202):
            self._fail(str(status))
            return
        self._is_asking, self._failures = False, 0
        now_s = self._loop.time()
        self._tally().took_s.append(max(0.0, now_s - self._due_s - self._held_s))
        self._schedule(max(now_s, self._due_s + self.heard(answer, self._held_s)))

    def _schedule(self, due_s: float) -> None:
        self._due_s = due_s
        self._set_alarm(due_s, self._ask)

    def _set_alarm(self, at_s: float, act: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(at_s, act)

    def _ask(self) -> None:
        self._is_asking = True
        if self._transport is None:
            self._set_alarm(self._loop.time() + self._fleet.plan.timeout_s, self._time_out)
            self._connecting = self._loop.create_task(self._connect())
            return
        self._send(self._transport)

    async def _connect(self) -> None:
        plan = self._fleet.plan
        try:
            await self._loop.create_connection(lambda: self, plan.host, plan.port)
        except OSError as error:
            self._fail(type(error).__name__)
            return
        if self._transport is not None:
            self._send(self._transport)

    def _send(self, transport: asyncio.Transport) -> None:
        body, self._held_s = self.body()
        self._set_alarm(self._loop.time() + self._held_s + self._fleet.plan.timeout_s, self._time_out)
        transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body))

    def _time_out(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._fail("time-out")

    def _fail(self, reason: str) -> None:
        """Try again on a new connection, at a random time below 2, 4, 8 … s, as the agent does."""
        self._tally().failures[reason] += 1
        self._is_asking = False
        self._failures += 1
        if self._transport is not None:
            self._transport.abort()
        pause_s = random.uniform(BACK_OFF_MIN_S, min(self._fleet.plan.back_off_max_s, 2.0 ** min(self._failures, 30)))
        self._schedule(self._loop.time() + pause_s)


class Pings(Channel):
    """An agent's pings; it reports every command as done.

    skew_s       its clock is so far ahead of ours
    answered_at  Unix s when its last answered ping was sent; the server heard it then or a little later
    died_at      Unix s; 0 while it lives
    """

    def __init__(self, fleet: "Fleet", name: str) -> None:
        super().__init__(fleet, _head(fleet.plan, "/api/v1/ping"), lambda: fleet.pings)
        self.name = name
        self.skew_s = 0.0
        self.answered_at = 0.0
        self.died_at = 0.0
        self._sent_at = 0.0
        self._finished: list[str] = []
        self._interval_s: float | None = None

    def body(self) -> tuple[bytes, float]:
        self._sent_at = time.time()
        wait_s = self._interval_s if self._fleet.plan.waits and self._interval_s else 0.0
        ping: dict[str, object] = {"node": self.name, "instance": self.name, "sent_at": self._sent_at + self.skew_s}
        if wait_s:
            ping |= {"wait": wait_s}
        ping |= self.about()
        if self._finished:
            ping |= {"finished": [{"id": command, "state": "done"} for command in self._finished]}
        return _encode(ping), wait_s

    def about(self) -> dict[str, object]:
        """What else its pings say of it."""
        return {}

    def heard(self, answer: bytes, held_s: float) -> float:
        self.answered_at = self._sent_at
        found = _decode(answer)
        self._finished = [command.id for command in found.commands]
        is_first, self._interval_s = self._interval_s is None, found.ping_interval_s
        if self._fleet.plan.waits:
            return 0.0 if is_first else held_s
        return self._interval_s

    def die(self) -> None:
        super().die()
        self.died_at = time.time()


class Snapshots(Channel):
    """An agent's snapshots; values with four decimals: few, as those that machines report."""

    def __init__(self, fleet: "Fleet", agent: Pings) -> None:
        super().__init__(fleet, _head(fleet.plan, "/api/v1/snapshots"), lambda: fleet.snapshots)
        self.agent = agent

    def body(self) -> tuple[bytes, float]:
        metrics = {f"fleet.m{number}": round(random.random(), 4) for number in range(self._fleet.plan.metrics)}
        ts = round(time.time() + self.agent.skew_s, 3)
        return _encode({"node": self.agent.name, "ts": ts, "metrics": metrics}), 0.0

    def heard(self, answer: bytes, held_s: float) -> float:
        return self._fleet.plan.snapshot_every_s


class Fleet:
    """Agents in a thread of their own, from `start` to `stop`; every method may be called from another thread."""

    def __init__(self, plan: Plan, size: int, kind: "type[Pings]" = Pings) -> None:
        _allow_files(2 * size + FILES)
        self.plan = plan
        self.loop = uvloop.new_event_loop()
        self.pings, self.snapshots = Tally(), Tally()
        self.agents = [kind(self, f"{plan.prefix}-{number}") for number in range(size)]
        self._senders = [Snapshots(self, agent) for agent in self.agents] if plan.snapshot_every_s else []
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> "Fleet":
        """Each agent begins at a random instant of the first interval."""
        self._thread.start()
        self._call(self._start)
        return self

    def stop(self) -> None:
        """End without a word, as if the network were gone."""
        self._call(self._end)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def kill(self, number: int, among: Sequence[Pings] | None = None) -> list[Pings]:
        """So many agents, chosen at random, die; returns them."""
        return self._call(lambda: self._kill(random.sample(among or self.live, number)))

    @property
    def live(self) -> list[Pings]:
        return [agent for agent in self.agents if not agent.is_dead]

    @property
    def dead(self) -> list[Pings]:
        return [agent for agent in self.agents if agent.is_dead]

    def take(self) -> tuple[Tally, Tally]:
        """What was seen of pings and of snapshots; counting begins anew."""

        def swap() -> tuple[Tally, Tally]:
            taken = self.pings, self.snapshots
            self.pings, self.snapshots = Tally(), Tally()
            return taken

        return self._call(swap)

    def cpu_s(self) -> float:
        """CPU time of the fleet's own thread."""
        return self._call(time.thread_time)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _start(self) -> None:
        for agent in self.agents:
            agent.start(random.uniform(0, self.plan.interval_s))
        for sender in self._senders:
            sender.start(random.uniform(0, self.plan.snapshot_every_s))

    def _end(self) -> None:
        for channel in (*self.agents, *self._senders):
            if not channel.is_dead:
                channel.die()

    def _kill(self, chosen: Sequence[Pings]) -> list[Pings]:
        gone = set(chosen)
        for agent in chosen:
            agent.die()
        for sender in self._senders:
            if sender.agent in gone:
                sender.die()
        return list(chosen)

    def _call(self, work: Callable[[], T]) -> T:
        """Do it in the fleet's thread; returns its result."""

        async def call() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(60)


def _head(plan: Plan, path: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\nAuthorization: Bearer {plan.key}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()


def largest(connections: int) -> int:
    """Of how many agents a fleet may be that keep so many connections each: as many files may be open."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FILES) // connections


def _allow_files(number: int) -> None:
    """Every agent is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
