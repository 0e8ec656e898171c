"""Those who write while pieces fall: each sample has a time of its own, so that one that is lost or doubled shows."""

import gzip
import itertools
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.e2e.platforms import Platform

NODES_PER_WRITER = 3
METRICS = 5
START_S = int(time.time()) - 20 * 86_400
"""Within raw retention, and a second a batch before now: one of tomorrow would be refused."""
TIMEOUT_S = 10.0


class Post:
    """Posts a body until it is acknowledged, as an agent does, and notes what was answered."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.codes: Counter[int] = Counter()
        self.problems: list[str] = []
        self.attempts = 0

    def client(self) -> httpx.Client:
        """One thread's."""
        return httpx.Client(base_url=self._platform.url, timeout=TIMEOUT_S, trust_env=False)

    def until_acknowledged(self, client: httpx.Client, body: bytes, headers: dict[str, str]) -> dict[str, object]:
        """Returns the reply; an answer that no server of ours may give here is a problem."""
        headers = {"Authorization": f"Bearer {self._platform.key}", "Content-Type": "application/x-ndjson"} | headers
        while True:
            self.attempts += 1
            try:
                answer = client.post("/api/v1/snapshots", content=body, headers=headers)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            self.codes[answer.status_code] += 1
            if answer.status_code == 202:
                reply: dict[str, object] = answer.json()
                return reply
            if answer.status_code not in (503, 507):
                self.problems.append(f"{answer.status_code} {answer.text[:300]}")
            time.sleep(min(0.5, float(answer.headers.get("Retry-After", "0.1"))))


@dataclass
class Writer:
    """Small batches in every form there is, one after another, and replays of some, now and much later."""

    number: int
    platform: Platform
    stop: threading.Event
    acknowledged: int = 0
    replays: int = 0
    post: Post = field(init=False)
    _sent: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.post = Post(self.platform)
        self._thread = threading.Thread(target=self.run, daemon=True)

    @property
    def problems(self) -> list[str]:
        return self.post.problems

    def start(self) -> None:
        self._thread.start()

    def join(self, within_s: float) -> bool:
        """Whether it has ended by then."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def run(self) -> None:
        rng = random.Random(self.number)
        with self.post.client() as client:
            for batch in itertools.count():
                if self.stop.is_set():
                    break
                body, headers, samples = self._batch(batch, rng)
                self.post.until_acknowledged(client, body, headers)
                self.acknowledged += samples
                self._sent.append((body, headers))
                for _ in range(rng.choice((0, 0, 0, 1, 4))):
                    self._replay(client, rng.choice(self._sent[-200:]))

    def _batch(self, batch: int, rng: random.Random) -> tuple[bytes, dict[str, str], int]:
        ts_s = START_S + batch
        lines = [
            json.dumps({"node": f"w{self.number}-n{node}", "ts": ts_s, "metrics": {
                f'chaos.m{metric}{{writer="{self.number}"}}': batch + metric for metric in range(METRICS)}})
            for node in range(NODES_PER_WRITER)
        ]  # fmt: skip
        body = "\n".join(lines).encode()
        headers = {}
        if rng.random() < 0.5:  # the others are recognised by their contents
            headers["Metrist-Batch-Id"] = f"w{self.number}-b{batch}"
        if rng.random() < 0.5:
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return body, headers, NODES_PER_WRITER * METRICS

    def _replay(self, client: httpx.Client, sent: tuple[bytes, dict[str, str]]) -> None:
        self.replays += 1
        if not self.post.until_acknowledged(client, *sent)["duplicate"]:
            self.problems.append(f"a replay was taken for new: {sent[1].get('Metrist-Batch-Id')}")
