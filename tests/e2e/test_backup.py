"""A running platform is backed up while a fleet posts, and an empty machine becomes what it was."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from schema.clickhouse_client import ClickHouse
from tests.e2e.platforms import Platform, clean_environment, free_port

NODES, METRICS = 20, 10
DEAD = {f"n{number}" for number in range(NODES)}
"""They report no more after the restore."""
SHORT = {
    "METRIST_PING_INTERVAL_S": "1",
    "METRIST_LATE_AFTER_PINGS": "6",
    "METRIST_GRACE_S": "6",
}


@dataclass
class Fleet:
    """Posts snapshots as fast as they are acknowledged; `acknowledged` has each batch's number and when (Unix s)."""

    platform: Platform
    acknowledged: list[tuple[int, float]] = field(default_factory=list)
    sent: list[tuple[int, float]] = field(default_factory=list)

    @contextmanager
    def posting(self) -> Iterator[None]:
        stopping = threading.Event()
        thread = threading.Thread(target=self._post, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _post(self, stopping: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {self.platform.key}"}
        with httpx.Client(base_url=self.platform.url, headers=headers, trust_env=False, timeout=30) as client:
            while not stopping.is_set():
                number = len(self.sent)
                self.sent.append((number, time.time()))
                metrics = {f"batch{number}.m{each}": each for each in range(METRICS)}
                snapshots = [{"node": f"n{each}", "metrics": metrics} for each in range(NODES)]
                client.post("/api/v1/snapshots", json=snapshots).raise_for_status()
                self.acknowledged.append((number, time.time()))


def ping(platform: Platform, node: str) -> None:
    headers = {"Authorization": f"Bearer {platform.key}"}
    body = {"node": node}
    httpx.post(
        platform.url + "/api/v1/ping", json=body, headers=headers, timeout=30, trust_env=False
    ).raise_for_status()


def metrist(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "metrist", *words]
    return subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)


def samples_by_batch(platform: Platform) -> dict[int, int]:
    """How many samples there are of each batch, which each tier must agree on."""
    found = []
    batch = "toUInt32(extract(metric, '^batch([0-9]+)')) AS batch"
    with closing(ClickHouse(platform.settings()["METRIST_CLICKHOUSE_URL"])) as clickhouse:
        for table, counted in (("samples", "count()"), ("samples_1m", "sum(count)"), ("samples_1h", "sum(count)")):
            sql = f"SELECT {batch}, {counted} FROM {table} WHERE metric LIKE 'batch%' GROUP BY batch"
            found.append({int(number): int(count) for number, count in clickhouse.query(sql).result_rows})
    assert found[0] == found[1] == found[2]
    return found[0]


def test_a_fleet_is_backed_up_and_an_empty_machine_goes_on_where_it_was(
    start: Callable[..., Platform], tmp_path: Path
) -> None:
    platform, backups = start(env=SHORT), str(tmp_path / "backups")
    fleet = Fleet(platform)
    data = ("--data", str(platform.data_dir))
    with fleet.posting():
        for number in range(NODES):
            ping(platform, f"n{number}")
        time.sleep(2)
        first = metrist("backup", backups, *data, cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        began = time.time()
        second = metrist("backup", backups, *data, cwd=tmp_path)
        ended = time.time()
        assert second.returncode == 0, second.stderr
        time.sleep(1)
    assert metrist("backup", backups, "--verify", cwd=tmp_path).returncode == 0
    platform.stop()

    (tmp_path / "new").mkdir()
    restored = metrist("restore", backups, "--data", str(tmp_path / "new" / "data"), cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    again = metrist("restore", backups, "--data", str(tmp_path / "new" / "data"), cwd=tmp_path)
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)
    rebuilt = metrist("rebuild", "--data", str(tmp_path / "new" / "data"), cwd=tmp_path)
    assert rebuilt.returncode == 0 and "put right" not in rebuilt.stdout

    new = Platform(tmp_path / "new" / "data", ("--port", str(free_port())), SHORT, key=platform.key)
    started_s = time.time()
    try:
        new.start()
        late_s = follow(new, started_s)
        assert new.get("/api/v1/series", params={"metric": "batch0.m1"}).status_code == 200, "its key works"
        judge(fleet, samples_of(new), began, ended)
        with httpx.Client(base_url=new.url, trust_env=False, follow_redirects=True) as person:
            page = person.post("/sign-in", data={"token": _token(new.sign_in_url)}, headers={"Origin": new.url})
            assert page.status_code == 200 and "n0" in person.get("/nodes").text
        assert min(late_s.values()) > started_s + float(SHORT["METRIST_GRACE_S"])
        assert late_s.keys() >= DEAD
    finally:
        new.stop()


def samples_of(platform: Platform) -> dict[int, int]:
    """After what lay in the spool has been inserted."""
    before: dict[int, int] = {}
    while (found := samples_by_batch(platform)) != before:
        before = found
        time.sleep(2)
    return found


def judge(fleet: Fleet, found: dict[int, int], began_s: float, ended_s: float) -> None:
    """All that was acknowledged before the backup began is there once, and nothing that was sent after it had ended."""
    assert set(found.values()) == {NODES * METRICS}
    assert {number for number, at in fleet.acknowledged if at < began_s} <= found.keys()
    assert found.keys().isdisjoint(number for number, at in fleet.sent if at > ended_s)
    assert sorted(found) == list(range(len(found))), "a moment has no holes"


def follow(platform: Platform, since_s: float) -> dict[str, float]:
    """Until those who are dead are found."""
    until = time.monotonic() + 90
    while not (found := late(platform, since_s)).keys() >= DEAD and time.monotonic() < until:
        time.sleep(0.5)
    return found


def late(platform: Platform, since_s: float) -> dict[str, float]:
    """Who was called late since then, and when first (Unix s)."""
    found: dict[str, float] = {}
    with closing(sqlite3.connect(platform.data_dir / "control.db")) as control:
        for stream, at in control.execute("SELECT stream, at FROM events WHERE type = 'node_late' ORDER BY seq"):
            when_s = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
            if when_s > since_s:
                found.setdefault(stream.removeprefix("node/").replace("-", ""), when_s)
        names = dict(control.execute("SELECT id, name FROM nodes"))
    return {names[node_id]: when_s for node_id, when_s in found.items()}


def _token(url: str) -> str:
    return url.split("token=")[1]
