"""Every process is killed again and again while agents report: what was acknowledged is there exactly once."""

import gzip
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import clickhouse_connect
import httpx
import pytest

from tests.e2e.platforms import PIECES, Platform

WRITERS = 4
NODES_PER_WRITER = 3
METRICS = 5
KILL_EVERY_S = 3.0
SETTLE_S = 60
START_S = int(time.time()) - 86_400
"""Within raw retention."""


@dataclass
class Writer:
    """Posts batches until each is acknowledged, and replays some, now and much later.

    Every sample has a time of its own, so that one that is missing or doubled shows.
    """

    number: int
    platform: Platform
    stop: threading.Event
    acknowledged: int = 0
    replays: int = 0
    attempts: int = 0
    problems: list[str] = field(default_factory=list)
    _sent: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def run(self) -> None:
        rng = random.Random(self.number)
        with httpx.Client(base_url=self.platform.url, timeout=10, trust_env=False) as client:
            for batch in itertools.count():
                if self.stop.is_set():
                    break
                body, headers, samples = self._batch(batch, rng)
                self._post(client, body, headers)
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
        headers = {"Authorization": f"Bearer {self.platform.key}", "Content-Type": "application/x-ndjson"}
        if rng.random() < 0.5:  # the others are recognised by their contents
            headers["Metrist-Batch-Id"] = f"w{self.number}-b{batch}"
        if rng.random() < 0.5:
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return body, headers, NODES_PER_WRITER * METRICS

    def _post(self, client: httpx.Client, body: bytes, headers: dict[str, str]) -> dict[str, object]:
        while True:
            self.attempts += 1
            try:
                answer = client.post("/api/v1/snapshots", content=body, headers=headers)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 202:
                reply: dict[str, object] = answer.json()
                return reply
            if answer.status_code < 500:
                self.problems.append(answer.text)
            time.sleep(min(0.5, float(answer.headers.get("Retry-After", "0.1"))))

    def _replay(self, client: httpx.Client, sent: tuple[bytes, dict[str, str]]) -> None:
        self.replays += 1
        if not self._post(client, *sent)["duplicate"]:
            self.problems.append(f"a replay was taken for new: {sent[1].get('Metrist-Batch-Id')}")


@pytest.mark.parametrize("seconds", [60, pytest.param(600, marks=pytest.mark.long)], ids="{} s".format)
def test_kill_9_of_everything_loses_and_doubles_nothing(start: Callable[..., Platform], seconds: int) -> None:
    platform = start()
    writers, kills = run_chaos(platform, seconds)
    acknowledged = sum(writer.acknowledged for writer in writers)
    assert [problem for writer in writers for problem in writer.problems] == []
    assert kills >= seconds / (KILL_EVERY_S + 8)
    assert acknowledged > 1_000 and sum(writer.replays for writer in writers) > 50
    client = clickhouse(platform)
    platform.wait_until(
        lambda: count(client, "count() FROM samples WHERE metric LIKE 'chaos%'") >= acknowledged, SETTLE_S
    )
    time.sleep(3)  # whatever would be counted twice has time to
    assert count(client, "count() FROM samples WHERE metric LIKE 'chaos%'") == acknowledged
    assert count(client, "count() FROM (SELECT DISTINCT metric, node, ts FROM samples WHERE metric LIKE 'chaos%')") == (
        acknowledged
    )
    for tier, bucket in (("samples_1m", "toStartOfMinute"), ("samples_1h", "toStartOfHour")):
        assert differences(client, tier, bucket) == []
    print(f"{acknowledged} samples acknowledged, {sum(w.replays for w in writers)} replays, {kills} kills")


def run_chaos(platform: Platform, seconds: int) -> tuple[list[Writer], int]:
    """Write and kill for so long; then wait until every writer has its last acknowledgement."""
    stop = threading.Event()
    writers = [Writer(number, platform, stop) for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.run, daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    kills = 0
    deadline = time.monotonic() + seconds
    for piece in itertools.cycle(PIECES):
        if time.monotonic() > deadline:
            break
        time.sleep(KILL_EVERY_S)
        pid = platform.child_pid(piece)
        if pid:
            os.kill(pid, signal.SIGKILL)
            kills += 1
    stop.set()
    for thread in threads:
        thread.join(SETTLE_S)
        assert not thread.is_alive(), platform.output
    platform.wait_until(platform.is_ready, SETTLE_S)
    return writers, kills


def clickhouse(platform: Platform) -> clickhouse_connect.driver.client.Client:
    """A client of the platform's own engine."""
    password = json.loads((platform.data_dir / "passwords.json").read_text())["clickhouse"]
    port = json.loads((platform.data_dir / "ports.json").read_text())["clickhouse"]
    return clickhouse_connect.get_client(host="127.0.0.1", port=port, username="metrist", password=password)


def count(client: clickhouse_connect.driver.client.Client, what: str) -> int:
    return int(str(client.command(f"SELECT {what}")))


def differences(client: clickhouse_connect.driver.client.Client, tier: str, bucket: str) -> list[tuple[object, ...]]:
    """Buckets in which a tier is not what the raw samples say."""
    rows = client.query(
        f"""
        SELECT * FROM (
            SELECT metric, node, {bucket}(ts) AS b, count() AS n, sum(value) AS s, min(value) AS lo, max(value) AS hi
            FROM samples GROUP BY metric, node, b
        ) AS raw FULL OUTER JOIN (
            SELECT metric, node, ts AS b, sum(count) AS n, sum({tier}.sum) AS s, min({tier}.min) AS lo,
                max({tier}.max) AS hi
            FROM {tier} GROUP BY metric, node, b
        ) AS rolled USING (metric, node, b)
        WHERE raw.n != rolled.n OR abs(raw.s - rolled.s) > 1e-6 OR raw.lo != rolled.lo OR raw.hi != rolled.hi
        LIMIT 10
        """
    )
    return list(rows.result_rows)
