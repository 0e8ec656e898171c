"""Runs each monitor in its own time: one thread and one grid of instants each, so that none waits for another."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from agent.monitors.allowed import Allowed
from agent.monitors.bundle import Monitor
from agent.monitors.parameters import misfit
from agent.monitors.reach import Reach
from agent.sandbox import Inputs, Limits, Result, run
from agent.schedule import Schedule, phase_of

log = logging.getLogger(__name__)

FIRST_WITHIN_S = 5.0
"""A new set begins to run within so long, each monitor at its own moment: thousands of nodes were told at once."""
AT_ONCE = 32
"""Children at one time; a monitor that finds no place within a second lets this run go."""
PLACE_S = 1.0

Facts = Callable[[], Mapping[str, Any]]
Sink = Callable[[Monitor, Result, float], None]
"""Takes a result, with the run's beginning in Unix seconds."""


class Timetable:
    """The monitors of the current set, running. Safe to use from several threads."""

    def __init__(self, instance: UUID, allowed: Allowed, facts: Facts, sink: Sink) -> None:
        self._instance = instance
        self._allowed = allowed
        self._facts = facts
        self._sink = sink
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._running: dict[bytes, threading.Event] = {}

    def run_these(self, monitors: Sequence[Monitor]) -> None:
        """Go on with those that run already, unchanged; end the others, begin the new ones."""
        with self._lock:
            wanted = {msgspec.json.encode(each): each for each in monitors}
            for gone in self._running.keys() - wanted.keys():
                self._running.pop(gone).set()
            for key, monitor in wanted.items():
                if key not in self._running:
                    stopping = self._running[key] = threading.Event()
                    name = f"monitor {monitor.name}"
                    threading.Thread(target=self._run_forever, args=(monitor, stopping), name=name, daemon=True).start()

    def run_once(self, monitor: Monitor, reach: Reach) -> Result:
        """One run, now; what is not allowed here is not even begun."""
        missing = self._allowed.missing(monitor.capabilities)
        if missing:
            return Result("refused", f"this node does not allow {', '.join(missing)}")
        if problem := misfit(monitor.declared, monitor.parameters):
            return Result("refused", problem)
        if not self._places.acquire(timeout=PLACE_S):
            return Result("failed", f"{AT_ONCE} monitors run here already")
        try:
            inputs = Inputs(facts=self._facts(), parameters=monitor.parameters)
            return run(monitor.script, inputs, limits_of(monitor), reach.ask)
        finally:
            self._places.release()

    def stop(self) -> None:
        """Begin no more runs, and forget those under way."""
        self.run_these(())

    def _run_forever(self, monitor: Monitor, stopping: threading.Event) -> None:
        reach = Reach(self._allowed, monitor.capabilities)
        began_s = time.monotonic()
        phase_s = phase_of(uuid5(self._instance, monitor.id), monitor.interval_s)
        schedule = Schedule(monitor.interval_s, phase_s, began_s, time.time())
        due_s = began_s + random.uniform(0, min(FIRST_WITHIN_S, monitor.interval_s))  # noqa: S311
        rest_s = monitor.interval_s / 2  # a counter's first rate over less would be noise
        while not stopping.wait(max(0.0, due_s - time.monotonic())):
            at_s = time.time()
            try:
                result = self.run_once(monitor, reach)
                if not stopping.is_set():
                    self._sink(monitor, result, at_s)
            except Exception as error:  # the edge of this thread: the next run may go well
                log.warning("monitor %s could not be run: %r", monitor.name, error)
            due_s, rest_s = schedule.next_after(time.monotonic() + rest_s), 0.0


def limits_of(monitor: Monitor) -> Limits:
    """A monitor's limits as the sandbox takes them."""
    return Limits(
        cpu_s=monitor.limits.cpu_ms / 1000,
        wall_s=monitor.timeout_s,
        memory_bytes=monitor.limits.memory_mb * 1_000_000,
        samples=monitor.limits.samples,
    )
