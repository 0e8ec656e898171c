"""Streams some metrics fast while somebody looks: what a ping's answer asks for, until the server says it is enough."""

import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition

import msgspec

from agent.client import Client, Unreachable
from agent.config import AgentConfig
from agent.parts import Metrics, Part
from agent.seldom import Seldom

log = logging.getLogger(__name__)

PATH = "/api/v1/live"
EVERY_MIN_S, EVERY_MAX_S = 0.1, 60.0
SHARE_MAX = 0.1
"""Of one core's time for measuring: a part that is dear to read is read less often than asked."""
TIMEOUT_S = 5.0
GIVE_UP_S = 20.0
"""After so long without an answer the stream ends; the next ping's answer may ask again."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 2.0
FIRST_S = 0.25
"""Between a collector's first reading and the first point: a rate over less would be noise."""


class Ask(msgspec.Struct, frozen=True):
    """What is to be streamed: metric names without labels, a point every so many milliseconds."""

    id: str
    metrics: tuple[str, ...]
    every_ms: int

    @property
    def every_s(self) -> float:
        return min(max(self.every_ms / 1000, EVERY_MIN_S), EVERY_MAX_S)


class _Answer(msgspec.Struct):
    live: Ask | None = None


class LiveCollector:
    """Reads only the parts that have the wanted metrics; its rates are its own, so snapshots do not notice it."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self._names: dict[str, set[str]] = {}
        self._seldom = Seldom()
        for name in parts:
            self._read(name)  # also the reading that rates begin with

    def collect(self, wanted: Sequence[str]) -> Metrics:
        """The wanted metrics that can be read now, every series of each."""
        names = set(wanted)
        # A metric no part is known to have may be one that only comes with a second reading.
        useful = [part for part in self._parts if names & self._names[part]]
        if names - set().union(*self._names.values()):
            useful = list(self._parts)
        found: Metrics = {}
        for part in useful:
            found |= self._read(part)
        return {key: round(value, 3) for key, value in found.items() if _name(key) in names}

    def _read(self, part: str) -> Metrics:
        try:
            metrics = self._parts[part](time.monotonic())
        except Exception as error:  # as in agent.collect: it costs only its own metrics
            self._seldom.warn(part, f"{part} cannot be measured live: {error!r}")
            metrics = {}
        self._names.setdefault(part, set()).update(map(_name, metrics))
        return {key: value for key, value in metrics.items() if math.isfinite(value)}


class Live:
    """One stream for all that look. `run` is a thread's work; `ask` and `stop` may be called by others."""

    def __init__(self, config: AgentConfig, instance: str, client: Client, parts: Callable[[], Mapping[str, Part]]):
        self._node = config.node
        self._instance = instance
        self._client = client
        self._parts = parts
        self._changed = Condition()
        self._ask: Ask | None = None
        self._is_stopping = False

    @property
    def serves(self) -> str | None:
        """The id of what is streamed now, for the ping: a server that asks for just that need not answer early."""
        ask = self._ask
        return ask.id if ask else None

    def ask(self, ask: Ask) -> bool:
        """Stream this from now on; False when it is what is streamed already."""
        with self._changed:
            is_new = self._ask != ask
            self._ask = ask
            self._changed.notify()
        return is_new

    def stop(self) -> None:
        """End now; a post under way is given up."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._client.abort()

    def run(self) -> None:
        while self._waits_for_ask():
            log.info("somebody looks: streaming %s", ", ".join(self._ask.metrics) if self._ask else "")
            try:
                self._stream(LiveCollector(self._parts()))
            except Exception as error:  # the edge of this thread: the next ask must find it alive
                log.warning("the live stream failed: %r", error)
                self._enough(self._ask)
            log.info("the live stream has ended")
        self._client.close()

    def _waits_for_ask(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._ask is not None or self._is_stopping)
            return not self._is_stopping

    def _stream(self, collector: LiveCollector) -> None:
        heard_s, due_s = time.monotonic(), time.monotonic() + FIRST_S
        failures = 0
        if self._ask is not None:
            self._rest_until(due_s, self._ask)
        while (ask := self._ask) is not None and not self._is_stopping:
            began_s = time.monotonic()
            metrics = collector.collect(ask.metrics)
            cost_s = time.monotonic() - began_s
            if self._post(ask, metrics):
                heard_s, failures = time.monotonic(), 0
            elif time.monotonic() - heard_s > GIVE_UP_S:
                return self._enough(ask)
            else:
                failures += 1
                pause_s = min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0**failures)
                due_s = max(due_s, time.monotonic() + random.uniform(PAUSE_MIN_S, pause_s))  # noqa: S311
            due_s = _next_due_s(due_s, max(ask.every_s, cost_s / SHARE_MAX), time.monotonic())
            self._rest_until(due_s, ask)
        return None

    def _rest_until(self, due_s: float, ask: Ask) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._ask != ask or self._is_stopping, timeout=max(0.0, due_s - time.monotonic())
            )

    def _post(self, ask: Ask, metrics: Metrics) -> bool:
        """Send one point and take the answer's ask; False when the server did not take it."""
        snapshots = [{"ts": round(time.time(), 3), "metrics": metrics}]
        body = {"node": self._node, "instance": self._instance, "ask": ask.id, "snapshots": snapshots}
        try:
            reply = self._client.post(PATH, msgspec.json.encode(body), {"Content-Type": "application/json"}, TIMEOUT_S)
        except Unreachable:
            return False
        answer = reply.decoded(_Answer) if reply.status == 200 else None
        if answer is None:
            return False
        if answer.live is None:
            self._enough(ask)
        elif answer.live != ask:
            self.ask(answer.live)
        return True

    def _enough(self, ask: Ask | None) -> None:
        """Nobody looks any more, unless a ping has brought another ask meanwhile."""
        with self._changed:
            if self._ask == ask:
                self._ask = None


def _next_due_s(due_s: float, every_s: float, now_s: float) -> float:
    """The next instant of the grid; those missed are skipped."""
    return due_s + every_s * max(1, -(-(now_s - due_s) // every_s))


def _name(key: str) -> str:
    return key.partition("{")[0]
