"""What became of runs: a line each, kept in memory until the server has it, the oldest dropped when there are many."""

import math
import time
from collections import deque
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import msgspec

from agent import keys
from agent.client import Client, Unreachable
from agent.config import AgentConfig
from agent.monitors.bundle import Monitor
from agent.parts import Metrics
from agent.rates import Rates
from agent.retry import Retry
from agent.sandbox import Result

PATH = "/api/v1/monitors/runs"
KEPT_MAX = 1_000
AT_ONCE_MAX = 200
BODY_MAX_BYTES = 900_000
RATES_MAX = 1_000
REFUSED_FOR_GOOD = (400, 404, 413, 415, 422)
"""What sending again would not change."""

Report = dict[str, Any]


def report_of(monitor: Monitor, result: Result, at_s: float) -> Report:
    """One run, as the server takes it."""
    return {
        "id": monitor.id,
        "version": monitor.version,
        "state": result.state,
        "message": result.message,
        "line": result.line,
        "at": round(at_s, 3),
        "took_ms": round(result.took_ms, 1),
        "cpu_ms": round(result.cpu_ms, 1),
        "memory_bytes": result.memory_bytes,
        "samples": len(result.samples),
        "statuses": result.statuses,
        "log": result.log,
    }


def trial_of(monitor: Monitor, result: Result, at_s: float, command_id: str) -> Report:
    """A trial run, with the values it found: they go nowhere else."""
    return {**report_of(monitor, result, at_s), "trial": command_id, "values": result.samples}


class Samples:
    """Turns results into metrics; remembers each monitor's counters for their rates."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, int], Rates] = {}

    def metrics(self, monitor: Monitor, result: Result, now_s: float) -> Metrics:
        """Series key to value: with the monitor's labels, its name, and a rate in place of a count.

        now_s   monotonic clock when the run began, seconds: its end comes sooner or later
        """
        gauges: Metrics = {}
        counts: Metrics = {}
        for sample in result.samples:
            labels = {**monitor.labels, **sample.labels, "monitor": monitor.name}
            of_kind = gauges if sample.kind == "gauge" else counts
            of_kind[keys.key(sample.name, **labels)] = sample.value
        rates = self._rates_of(monitor).update(counts, now_s) if counts else {}
        return {series: value for series, value in (gauges | rates).items() if math.isfinite(value)}

    def _rates_of(self, monitor: Monitor) -> Rates:
        if len(self._rates) > RATES_MAX:
            self._rates.clear()
        return self._rates.setdefault((monitor.id, monitor.version), Rates())


class Reports:
    """The reports that wait. `add` may be called by any thread, `send` by one."""

    def __init__(self, config: AgentConfig, instance: str, client: Client, retry: Retry) -> None:
        self._path = f"{PATH}?{urlencode({'node': config.node, 'instance': instance})}"
        self._timeout_s = config.timeout_s
        self._client = client
        self._retry = retry
        self._lock = Lock()
        self._waiting: deque[Report] = deque(maxlen=KEPT_MAX)
        self._not_before_s = 0.0

    def add(self, report: Mapping[str, Any]) -> None:
        with self._lock:
            self._waiting.append(dict(report))

    def send(self) -> None:
        """Send what waits, unless the last failure was a moment ago."""
        while time.monotonic() >= self._not_before_s and (batch := self._take()):
            pause_s = self._post(batch)
            if pause_s:
                self._not_before_s = time.monotonic() + pause_s
                self._put_back(batch)

    def _take(self) -> list[Report]:
        with self._lock:
            batch: list[Report] = []
            size = 0
            while self._waiting and len(batch) < AT_ONCE_MAX:
                size += len(msgspec.json.encode(self._waiting[0]))
                if batch and size > BODY_MAX_BYTES:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _put_back(self, batch: list[Report]) -> None:
        with self._lock:
            free = KEPT_MAX - len(self._waiting)
            self._waiting.extendleft(reversed(batch[-free:] if free else []))

    def _post(self, batch: list[Report]) -> float:
        headers = {"Content-Type": "application/json"}
        try:
            reply = self._client.post(self._path, msgspec.json.encode(batch), headers, self._timeout_s)
        except Unreachable as error:
            return self._retry.unreachable(error)
        if reply.status in (200, 202, 204) or (reply.status in REFUSED_FOR_GOOD and reply.is_problem):
            self._retry.succeeded()
            return 0
        return self._retry.refused(reply, time.time())
