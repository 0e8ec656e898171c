"""A real small disk that fills up under a running platform: what was acknowledged is there afterwards, once."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.platforms import Platform, start_platform
from tests.e2e.tiers import clickhouse, count, differences

DISK_BYTES = 400_000_000
RESERVE_BYTES = 60_000_000
METRICS = 50
Start = Callable[..., Platform]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "metrist-test", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if made.returncode:
        pytest.skip(f"a tmpfs needs the right to mount: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def platform(disk: Path) -> Iterator[Platform]:
    env = {"METRIST_DISK_RESERVE_BYTES": str(RESERVE_BYTES)}
    started = start_platform(disk, env=env)
    yield started
    started.stop()


class Writer:
    """Posts until told to stop, and counts what was acknowledged; every sample has a time of its own."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.acknowledged = self.refused = 0
        self.answers: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        ts_s, headers = float(int(time.time()) - 80_000), {"authorization": f"Bearer {self.platform.key}"}
        with httpx.Client(base_url=self.platform.url, headers=headers, timeout=15, trust_env=False) as client:
            while not self._stop.wait(0.02):
                ts_s += 1
                snapshot = {"node": "writer", "ts": ts_s, "metrics": {f"full.m{n}": ts_s + n for n in range(METRICS)}}
                self._post(client, snapshot)

    def _post(self, client: httpx.Client, snapshot: object) -> None:
        """Again and again, under one batch id, until it is acknowledged or we are to stop."""
        while not self._stop.is_set():
            try:
                answer = client.post("/api/v1/snapshots", json=snapshot)
            except httpx.TransportError:
                self._stop.wait(0.2)
                continue
            self.answers.add(answer.status_code)
            if answer.status_code == 202:
                self.acknowledged += METRICS
                return
            self.refused += 1
            self._stop.wait(0.2)


def fill(disk: Path, leave_bytes: int) -> Path:
    """A file that takes all of the disk but so much."""
    ballast = disk / "ballast"
    usage = os.statvfs(disk)
    left = max(0, usage.f_bavail * usage.f_frsize - leave_bytes)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while left > 0:
            left -= file.write(b"\0" * min(left, 1_048_576))
    return ballast


def test_a_disk_that_fills_up_loses_and_doubles_nothing(disk: Path, platform: Platform) -> None:
    writer = Writer(platform)
    platform.wait_until(lambda: writer.acknowledged > 2_000)

    ballast = fill(disk, RESERVE_BYTES // 2)  # somebody else's file: almost full
    platform.wait_until(lambda: writer.refused > 3)
    assert platform.is_ready(), "pings and reads go on, so it stays in service"
    disk_part = platform.get("/readyz").json()["disk"]
    assert not disk_part["ok"] and "almost full" in disk_part["reason"]
    headers = {"authorization": f"Bearer {platform.key}"}
    assert httpx.post(f"{platform.url}/api/v1/ping", json={"node": "writer"}, headers=headers).status_code == 200
    assert platform.get("/api/v1/series", params={"metric": "full.m1", "node": "writer", "from": "now-1d"}).json()[
        "series"
    ]
    usage = os.statvfs(disk)
    assert usage.f_bavail * usage.f_frsize > RESERVE_BYTES // 4, "nobody of ours ate the reserve"

    ballast.unlink()
    before = writer.acknowledged
    platform.wait_until(lambda: writer.acknowledged > before + 1_000)  # by itself

    ballast = fill(disk, 0)  # not a byte left, at once, in the middle of everything
    refused = writer.refused
    for _ in range(10):
        fill(disk, 0)  # also what was given back meanwhile
        time.sleep(0.5)
    platform.wait_until(lambda: writer.refused > refused + 5)
    ballast.unlink()
    before = writer.acknowledged
    platform.wait_until(lambda: writer.acknowledged > before + 1_000, 60)
    writer.stop()
    assert writer.answers <= {202, 503, 507} and 507 in writer.answers

    client = clickhouse(platform)
    rows = "count() FROM samples WHERE metric LIKE 'full.%'"
    platform.wait_until(lambda: count(client, rows) >= writer.acknowledged, 60)
    time.sleep(3)
    assert count(client, rows) == writer.acknowledged
    assert count(
        client, f"count() FROM (SELECT DISTINCT metric, ts FROM ({rows.replace('count()', 'SELECT *', 1)}))"
    ) == (writer.acknowledged)
    for tier, bucket in (("samples_1m", "toStartOfMinute"), ("samples_1h", "toStartOfHour")):
        assert differences(client, tier, bucket) == []
    platform.wait_until(lambda: platform.get("/readyz").json()["disk"]["ok"])
