"""Monitors on this machine: what the loop and the pinger see of them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.buffer import Buffer
from agent.client import Client
from agent.commands import Failed
from agent.config import AgentConfig
from agent.monitors.allowed import Allowed
from agent.monitors.bundle import Bundle, Monitor, Untrusted, opened
from agent.monitors.fetch import Fetcher
from agent.monitors.kept import Kept
from agent.monitors.reach import Reach
from agent.monitors.reports import Reports, Samples, report_of, trial_of
from agent.monitors.schedule import Timetable
from agent.outage import Outage
from agent.parts import Metrics
from agent.retry import Retry
from agent.sandbox import Result
from agent.state import State

SEND_EVERY_S = 10.0
TRIALS_AT_ONCE = 2
PROBLEM_MAX_CHARS = 200


class Monitors:
    """Fetches, runs and reports; everything in threads of its own."""

    def __init__(
        self,
        config: AgentConfig,
        allowed: Allowed,
        kept: State,
        buffer: Buffer,
        clients: Callable[[], Client],
        outage: Outage,
        wake_sender: Callable[[], None],
    ) -> None:
        self._config = config
        self._allowed = allowed
        self._buffer = buffer
        self._wake_sender = wake_sender
        self._every_s = min(config.interval_s, SEND_EVERY_S)
        self._kept = Kept(kept.monitors_dir, config.node, config.monitor_key)
        instance = str(kept.instance)
        self._samples = Samples()
        self._reports_client, fetch_client = clients(), clients()
        self._reports = Reports(config, instance, self._reports_client, Retry("runs of monitors", config, outage))
        retry = Retry("monitors", config, outage)
        self._fetcher = Fetcher(config, instance, fetch_client, self._kept, retry, self._run_set)
        self._timetable = Timetable(kept.instance, allowed, self._facts, self._take)
        self._trials = threading.BoundedSemaphore(TRIALS_AT_ONCE)
        self._send_now = threading.Event()
        self._stopping = threading.Event()
        self._metrics: Metrics = {}

    @property
    def hash(self) -> str:
        """Of the set that runs; "" for none."""
        return self._kept.bundle.hash if self._kept.bundle else ""

    def facts_for_ping(self) -> dict[str, str]:
        """What the server is told of what is allowed here, and of what is wrong."""
        problem = self._fetcher.problem[:PROBLEM_MAX_CHARS]
        return self._allowed.facts() | ({"monitors_problem": problem} if problem else {})

    def start(self) -> None:
        """Run the set that was kept, and be ready for another."""
        if self._kept.bundle:
            self._run_set(self._kept.bundle)
        threading.Thread(target=self._fetcher.run, name="monitors", daemon=True).start()
        threading.Thread(target=self._send_forever, name="runs", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._send_now.set()
        self._timetable.stop()
        self._fetcher.stop()
        self._reports_client.abort()

    def want(self, set_hash: str) -> bool:
        """The server wants another set run; whether it does run now."""
        return self._fetcher.want(set_hash)

    def measured(self, metrics: Metrics) -> None:
        """The host's own metrics of a moment ago, which monitors may read."""
        self._metrics = metrics

    def try_out(self, command_id: str, payload: Mapping[str, Any]) -> str:
        """Begin a trial run of the one monitor in the signed set `payload["bundle"]`; raises Failed.

        Its report carries the command's id.
        """
        monitor = self._trial_in(payload.get("bundle") or {})
        if not self._trials.acquire(blocking=False):
            raise Failed(f"{TRIALS_AT_ONCE} trials run on this node already")
        threading.Thread(target=self._try_out, args=(monitor, command_id), name="trial", daemon=True).start()
        return "the trial has begun"

    def _trial_in(self, bundle: Mapping[str, Any]) -> Monitor:
        try:
            trust = self._fetcher.trusted()
            found = opened(bundle, trust, self._config.node, self._kept.newest_at).monitors
        except Untrusted as error:
            raise Failed(str(error)) from error
        if len(found) != 1:
            raise Failed("a trial is of one monitor")
        return found[0]

    def _try_out(self, monitor: Monitor, command_id: str) -> None:
        try:
            at_s = time.time()
            result = self._timetable.run_once(monitor, Reach(self._allowed, monitor.capabilities))
            self._reports.add(trial_of(monitor, result, at_s, command_id))
            self._send_now.set()
        finally:
            self._trials.release()

    def _run_set(self, bundle: Bundle) -> None:
        self._timetable.run_these(bundle.monitors)

    def _facts(self) -> dict[str, Any]:
        config = self._config
        return {"node": config.node, "labels": dict(config.labels), "time": time.time(), "metrics": self._metrics}

    def _take(self, monitor: Monitor, result: Result, at_s: float) -> None:
        """A run's samples go the way of the host's; they are sent with them, or soon after."""
        if self._stopping.is_set():
            return
        began_s = time.monotonic() - result.took_ms / 1000
        metrics = self._samples.metrics(monitor, result, began_s)
        if metrics:
            snapshot = {"node": self._config.node, "ts": round(time.time(), 3), "metrics": metrics}
            self._buffer.append(msgspec.json.encode(snapshot))
        self._reports.add(report_of(monitor, result, at_s))

    def _send_forever(self) -> None:
        while not self._stopping.is_set():
            is_urgent = self._send_now.wait(self._every_s)
            self._send_now.clear()
            if not is_urgent:
                self._wake_sender()
            if not self._stopping.is_set():
                self._reports.send()
        self._reports_client.close()
