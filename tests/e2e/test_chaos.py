"""Every process is killed again and again while agents report: what was acknowledged is there exactly once."""

import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.agents import Fleet, Plan
from bench.registry import Registry
from tests.e2e.havoc import Disk, Havoc, Memory
from tests.e2e.platforms import PIECES, Platform, start_platform
from tests.e2e.tiers import all_differences, clickhouse, count, instants
from tests.e2e.torrent import METRIC, METRICS, Torrent
from tests.e2e.writers import Writer

WRITERS = 4
SECONDS = 60
KILL_EVERY_S = 3.0
SETTLE_S = 60
LONG_SETTLE_S = 300

FREEZE_S = 60.0
DISK_MB = 3_000
RSS_MOST_MB = {"engine": 3_000, "api": 700, "valkey": 150, "worker": 250, "scheduler": 200}
"""What a machine needs for it; the engine's peaks are two segments of a million samples, and merges."""


def test_kill_9_of_everything_loses_and_doubles_nothing(start: Callable[..., Platform]) -> None:
    platform = start()
    writers = start_writers(platform, WRITERS)
    kills = 0
    deadline = time.monotonic() + SECONDS
    for piece in itertools.cycle(PIECES):
        if time.monotonic() > deadline:
            break
        time.sleep(KILL_EVERY_S)
        pid = platform.child_pid(piece)
        if pid:
            os.kill(pid, signal.SIGKILL)
            kills += 1
    stop_writers(platform, writers, SETTLE_S)
    assert kills >= SECONDS / (KILL_EVERY_S + 8)
    judge_writers(platform, writers, SETTLE_S)
    assert all_differences(clickhouse(platform)) == []
    print(f"{sum(w.acknowledged for w in writers)} samples acknowledged, {kills} kills")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", DISK_MB)
    yield made
    made.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("seconds", "agents", "samples_per_s"),
    [
        pytest.param(120, 200, 20_000, id="2 minutes at 20,000 samples a second"),
        pytest.param(600, 1_000, 100_000, id="10 minutes at 100,000 samples a second"),
    ],
)
def test_a_fleet_loses_and_doubles_nothing_whatever_falls(
    disk: Disk, seconds: float, agents: int, samples_per_s: float
) -> None:
    platform = start_platform(disk.folder)
    havoc, memory = Havoc(platform, seed=agents), Memory(platform)
    torrent = Torrent(platform, agents, samples_per_s, seconds)
    try:
        with memory:
            writers = start_writers(platform, 2)
            with simulated(platform, agents) as fleet:
                torrent.start()
                put_through(havoc, disk, seconds)
                platform.wait_until(lambda: all_heard(platform, time.time() - 60, agents), LONG_SETTLE_S)
            behind_s = torrent.finish(LONG_SETTLE_S)
            stop_writers(platform, writers, SETTLE_S)
            platform.wait_until(lambda: is_drained(platform), LONG_SETTLE_S)
        print(f"acknowledged {torrent.samples:,}, the last of it {behind_s:.0f} s after the end")
        print(f"killed {dict(havoc.killed)}, answers {dict(torrent.post.codes)}")
        print(f"most resident MB {dict(memory.most_mb)}, failed pings {dict(fleet.pings.failures)}")
        assert crashes(platform) == [], "whatever falls, no request of ours does"
        assert torrent.post.problems == []
        judge_writers(platform, writers, SETTLE_S)
        judge_torrent(platform, torrent)
    finally:
        platform.stop()
    assert {piece: mb for piece, mb in memory.most_mb.items() if mb > RSS_MOST_MB[piece]} == {}
    assert torrent.samples == pytest.approx(seconds * samples_per_s, rel=0.01)
    assert min(havoc.killed[piece] for piece in PIECES) >= 1
    assert disk.why_not or torrent.post.codes[507] > 0, "a full disk was never said"
    if disk.why_not:
        pytest.skip(f"all but the full disk was tested: {disk.why_not}")


@contextmanager
def simulated(platform: Platform, agents: int) -> Iterator[Fleet]:
    """Agents that hold their pings, and send snapshots of their own."""
    address = urlsplit(platform.url)
    assert address.hostname and address.port
    plan = Plan(address.hostname, address.port, platform.key, waits=True, snapshot_every_s=10)
    fleet = Fleet(plan, agents).start()
    try:
        yield fleet
    finally:
        fleet.stop()


def put_through(havoc: Havoc, disk: Disk, seconds: float) -> None:
    """Everything that may happen, one after another; pieces fall all the while."""
    frozen_s = min(FREEZE_S, seconds / 6)
    quiet_s = (seconds - 2 * frozen_s) / 6
    havoc.rage(quiet_s)
    havoc.freeze("valkey", frozen_s)
    havoc.rage(quiet_s)
    havoc.freeze("engine", frozen_s)
    havoc.rage(quiet_s)
    havoc.end("engine")
    havoc.rage(quiet_s)
    if not disk.why_not:
        with disk.full():
            havoc.rage(quiet_s)
    havoc.kill_all()
    havoc.rage(quiet_s)


def start_writers(platform: Platform, number: int) -> list[Writer]:
    stop = threading.Event()
    writers = [Writer(each, platform, stop) for each in range(number)]
    for writer in writers:
        writer.start()
    return writers


def stop_writers(platform: Platform, writers: list[Writer], within_s: float) -> None:
    """Wait until each has its last acknowledgement, and the platform is whole again."""
    for writer in writers:
        writer.stop.set()
    for writer in writers:
        assert writer.join(within_s), platform.output
    platform.wait_until(platform.is_ready, within_s)


def judge_writers(platform: Platform, writers: list[Writer], within_s: float) -> None:
    acknowledged = sum(writer.acknowledged for writer in writers)
    assert [problem for writer in writers for problem in writer.problems] == []
    assert acknowledged > 1_000 and sum(writer.replays for writer in writers) > 50
    client = clickhouse(platform)
    theirs = "FROM samples WHERE metric LIKE 'chaos%'"
    platform.wait_until(lambda: count(client, f"count() {theirs}") >= acknowledged, within_s)
    time.sleep(3)  # whatever would be counted twice has time to
    assert count(client, f"count() {theirs}") == acknowledged
    assert count(client, f"count() FROM (SELECT DISTINCT metric, node, ts {theirs})") == acknowledged


def judge_torrent(platform: Platform, torrent: Torrent) -> None:
    client = clickhouse(platform)
    theirs = f"FROM samples WHERE metric LIKE '{METRIC}%'"
    platform.wait_until(lambda: count(client, f"count() {theirs}") >= torrent.samples, LONG_SETTLE_S)
    time.sleep(3)
    assert count(client, f"count() {theirs}") == torrent.samples
    assert sum(instants(client, f"{METRIC}{number}") for number in range(METRICS)) == torrent.samples
    assert float(str(client.command(f"SELECT sum(value) {theirs}"))) == pytest.approx(torrent.total, rel=1e-12)
    assert all_differences(client) == []


def crashes(platform: Platform) -> list[str]:
    """Requests that ended in an error nobody has foreseen, with what the API wrote about them."""
    written = (platform.data_dir / "logs" / "api.log").read_text(errors="replace")
    return [entry[:20_000] for entry in re.findall(r"^.*request_crashed.*(?:\n(?!20\d\d-).*)*", written, re.MULTILINE)]


def is_drained(platform: Platform) -> bool:
    """Whether all that was acknowledged is in ClickHouse."""
    facts = platform.get("/readyz").json()["spool"]["facts"]
    return not facts["segments"] and not facts["bytes"]


def all_heard(platform: Platform, since_s: float, agents: int) -> bool:
    with Registry(platform.data_dir) as registry:
        return registry.heard_since(since_s) >= agents
