"""The clock: one leads, the others idle; stores may go and come back."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import redis
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from domain.settings import Settings
from schema import keys
from tests.valkey_server import COMES_WITHIN_S, Valkey, until
from workers import wall_clock
from workers.queues import open_queues
from workers.scheduler import LEASE_MS, Clock
from workers.stores import Stores, open_stores

WITHIN_S = 10.0
STOPS_WITHIN_S = 3.0
CHILD = "from domain.settings import Settings; from workers import scheduler; scheduler.main(Settings())"


@pytest.fixture
def open_with(sqlite_control: Engine) -> Iterator[Callable[[Valkey], Stores]]:
    """Opens the stores of a background process."""
    opened: list[Stores] = []
    url = sqlite_control.url.render_as_string(hide_password=False)

    def open_with(valkey: Valkey) -> Stores:
        opened.append(open_stores(Settings(_env_file=None, redis_url=valkey.url, database_url=url)))
        return opened[-1]

    yield open_with
    for stores in opened:
        stores.close()


@pytest.fixture
def start(sqlite_control: Engine) -> Iterator[Callable[[Valkey], subprocess.Popen[bytes]]]:
    """Starts scheduler processes, and ends those that are left."""
    started: list[subprocess.Popen[bytes]] = []
    url = sqlite_control.url.render_as_string(hide_password=False)

    def start(valkey: Valkey) -> subprocess.Popen[bytes]:
        env = {**os.environ, "METRIST_REDIS_URL": valkey.url, "METRIST_DATABASE_URL": url}
        started.append(subprocess.Popen([sys.executable, "-c", CHILD], env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


class Work:
    """Counts how often it is done; fails as long as it is told to."""

    def __init__(self) -> None:
        self.done = 0
        self.error: Exception | None = None

    def __call__(self, _stores: Stores, now: datetime) -> None:
        assert now.tzinfo is not None
        if self.error:
            raise self.error
        self.done += 1


def test_the_second_clock_idles_until_the_first_has_stopped(
    valkey: Valkey, open_with: Callable[[Valkey], Stores]
) -> None:
    first, second, work = Clock(open_with(valkey)), Clock(open_with(valkey)), Work()
    for clock in (first, second, first):
        clock.tick("work", work)
    assert work.done == 2
    first.close()
    second.tick("work", work)
    first.tick("work", work)
    assert work.done == 3


def test_a_dead_clock_is_replaced_when_its_lease_ends(valkey: Valkey, open_with: Callable[[Valkey], Stores]) -> None:
    stores, work = open_with(valkey), Work()
    Clock(stores).tick("work", work)
    assert 0 < stores.redis.pttl(keys.lease("scheduler")) <= LEASE_MS
    stores.redis.delete(keys.lease("scheduler"))  # as if that time had passed
    Clock(stores).tick("work", work)
    assert work.done == 2


def test_a_late_clock_does_not_drop_the_lease_of_another(valkey: Valkey, open_with: Callable[[Valkey], Stores]) -> None:
    stores = open_with(valkey)
    late, present = Clock(stores), Clock(stores)
    late.tick("work", Work())
    stores.redis.delete(keys.lease("scheduler"))
    present.tick("work", Work())
    late.close()
    assert stores.redis.exists(keys.lease("scheduler"))


def test_an_idle_clock_shows_that_it_lives(valkey: Valkey, open_with: Callable[[Valkey], Stores]) -> None:
    stores = open_with(valkey)
    Clock(stores).tick("work", Work())
    stores.redis.delete(keys.process_alive("scheduler"))
    Clock(stores).tick("work", Work())
    assert 0 < stores.redis.ttl(keys.process_alive("scheduler")) <= keys.ALIVE_S


def test_a_clock_pauses_after_a_failure_longer_each_time(
    valkey: Valkey, open_with: Callable[[Valkey], Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr("workers.scheduler.time.monotonic", lambda: now_s[0])
    clock, work = Clock(open_with(valkey)), Work()
    work.error = OSError("the store is away")
    pauses = []
    for _ in range(6):
        clock.tick("work", work)
        pauses.append(round(clock._resume_at_s - now_s[0], 6))
        now_s[0] = clock._resume_at_s
    for pause_s, longest_s in zip(pauses, (2, 4, 8, 16, 30, 30), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s
    work.error = None
    clock.tick("work", work)
    clock.tick("work", work)
    assert work.done == 2


def test_ticks_without_redis_end_nothing(own_valkey: Valkey, open_with: Callable[[Valkey], Stores]) -> None:
    clock, work = Clock(open_with(own_valkey)), Work()
    own_valkey.kill()
    clock.tick("work", work)
    clock.close()
    assert work.done == 0


def test_a_mistake_of_ours_is_not_taken_for_a_store_that_is_away(
    valkey: Valkey, open_with: Callable[[Valkey], Stores]
) -> None:
    work = Work()
    work.error = KeyError("mistake")
    with pytest.raises(KeyError):
        Clock(open_with(valkey)).tick("work", work)


def test_a_scheduler_leads_asks_for_upkeep_and_stops(
    valkey: Valkey, redis_sync: redis.Redis, start: Callable[[Valkey], subprocess.Popen[bytes]]
) -> None:
    process = start(valkey)
    until(lambda: redis_sync.exists(keys.process_alive("scheduler"), keys.lease("scheduler")) == 2)
    until(lambda: open_queues(redis_sync)[-1].count >= 1)
    asked_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN_S) == 0
    assert time.monotonic() - asked_s < STOPS_WITHIN_S
    assert not redis_sync.exists(keys.lease("scheduler"))


def test_a_scheduler_outlives_its_redis(own_valkey: Valkey, start: Callable[[Valkey], subprocess.Popen[bytes]]) -> None:
    process = start(own_valkey)
    with closing(own_valkey.client()) as client:
        until(lambda: client.exists(keys.process_alive("scheduler")))
        own_valkey.kill()
        time.sleep(2.5)
        own_valkey.start()
        client.flushall()
        until(lambda: client.exists(keys.process_alive("scheduler"), keys.lease("scheduler")) == 2)
    own_valkey.kill()
    asked_s = time.monotonic()
    process.terminate()
    assert process.wait(WITHIN_S) == 0
    assert time.monotonic() - asked_s < STOPS_WITHIN_S


def test_everything_is_due_at_once_when_the_machines_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back: by APScheduler's own reckoning nothing would be due for an hour."""
    done, stopping = threading.Event(), threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(done.set, "interval", seconds=2, next_run_time=datetime.now(UTC) + timedelta(hours=1))
    scheduler.start()
    monkeypatch.setattr(wall_clock, "LOOK_EVERY_S", 0.05)
    minding = threading.Thread(target=wall_clock.mind, args=(scheduler, stopping))
    minding.start()
    try:
        assert not done.wait(0.5)
        before = time.time
        monkeypatch.setattr("workers.wall_clock.time.time", lambda: before() - 3_600)
        assert done.wait(COMES_WITHIN_S)
    finally:
        stopping.set()
        minding.join()
        scheduler.shutdown()
