"""Many samples a second, each with a time of its own, from a few connections that never give a batch up."""

import itertools
import json
import random
import threading
import time
from collections import deque

import httpx

from tests.e2e.platforms import Platform
from tests.e2e.writers import START_S, Post

CONNECTIONS = 4
METRICS = 10
STEP_MS = 10
"""Between one body and the next, by the samples' own clock: a day has room for 8.6 million bodies."""
SHAPES = 7
REPLAYED, REPLAYED_BACK = 0.02, 200
METRIC = "torrent.m"


class Torrent:
    """Bodies of `nodes` snapshots with ten metrics each, `samples_per_s` for so many seconds; late ones go at once."""

    def __init__(self, platform: Platform, nodes: int, samples_per_s: float, seconds: float) -> None:
        self.post = Post(platform)
        self._nodes = nodes
        self._every_s = nodes * METRICS / samples_per_s
        self._planned = round(seconds / self._every_s)
        self._shapes = [_shape(nodes, shift) for shift in range(SHAPES)]
        self._numbers = itertools.count()
        self._taking, self._counting = threading.Lock(), threading.Lock()
        self._sent = 0
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CONNECTIONS)]

    @property
    def bodies(self) -> int:
        """Acknowledged, each once."""
        return self._sent

    @property
    def samples(self) -> int:
        return self._sent * self._nodes * METRICS

    @property
    def total(self) -> float:
        """The sum of all values that were acknowledged."""
        shapes = [sum(_value(node, metric, shift) for node in range(self._nodes) for metric in range(METRICS))
                  for shift in range(SHAPES)]  # fmt: skip
        return float(sum(shapes[number % SHAPES] for number in range(self._sent)))

    def start(self) -> "Torrent":
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def finish(self, within_s: float) -> float:
        """Wait until all of it is acknowledged; returns for how long."""
        began = time.monotonic()
        for thread in self._threads:
            thread.join(max(0.0, began + within_s - time.monotonic()))
            assert not thread.is_alive(), f"{self._sent} of {self._planned} after {within_s:g} s: {self.post.codes}"
        return time.monotonic() - began

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        own: deque[int] = deque(maxlen=REPLAYED_BACK)
        with self.post.client() as client:
            while (number := self._next()) is not None:
                self._send(client, number)
                own.append(number)
                with self._counting:
                    self._sent += 1
                if rng.random() < REPLAYED and not self._send(client, again := rng.choice(own)):
                    self.post.problems.append(f"a replay of {again} was taken for new")

    def _next(self) -> int | None:
        """The next number when its time has come; None at the end."""
        with self._taking:
            number = next(self._numbers)
            if number >= self._planned:
                return None
            time.sleep(max(0.0, self._began + number * self._every_s - time.monotonic()))
            return number

    def _send(self, client: httpx.Client, number: int) -> bool:
        """Whether it had been stored before."""
        ts_ms = START_S * 1_000 + number * STEP_MS
        body = self._shapes[number % SHAPES].replace(b"TIME", b"%d.%03d" % divmod(ts_ms, 1_000))
        return bool(self.post.until_acknowledged(client, body, {"Metrist-Batch-Id": f"torrent-{number}"})["duplicate"])


def _shape(nodes: int, shift: int) -> bytes:
    lines = []
    for node in range(nodes):
        metrics = {f"{METRIC}{metric}": _value(node, metric, shift) for metric in range(METRICS)}
        lines.append(f'{{"node":"agent-{node}","ts":TIME,"metrics":{json.dumps(metrics, separators=(",", ":"))}}}')
    return "\n".join(lines).encode()


def _value(node: int, metric: int, shift: int) -> float:
    """Whole numbers and quarters, so that sums are exact."""
    return node % 100 + metric * 3 + shift * 0.25
