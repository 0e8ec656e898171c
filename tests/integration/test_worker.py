"""Jobs: named by a list, tried again, and worked off by a process that outlives its Redis."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, StartedJobRegistry
from sqlalchemy import Engine, func, select

from domain.settings import Settings
from schema import accounts, keys, memberships, sessions
from schema.control.tables import sign_in_links
from tests.valkey_server import Valkey, until
from workers import worker
from workers.queues import JOB_TIMEOUT_S, enqueue, open_queues
from workers.stores import Stores, open_stores
from workers.worker import JOBS, Job, Worker

WITHIN_S = 10.0
STOPS_WITHIN_S = 3.0
CHILD = """
import os, time
from pathlib import Path
from domain.settings import Settings
from workers import worker

def note(stores, now, pause_s):
    with Path(os.environ["SEEN"]).open("a") as file:
        file.write("began\\n")
    time.sleep(int(pause_s))

worker.JOBS["note"] = note
worker.main(Settings())
"""


@pytest.fixture
def stores(sqlite_control: Engine, valkey: Valkey, settings: Settings) -> Iterator[Stores]:
    stores = open_stores(settings)
    yield stores
    stores.close()


@pytest.fixture
def settings(sqlite_control: Engine, valkey: Valkey) -> Settings:
    url = sqlite_control.url.render_as_string(hide_password=False)
    return Settings(_env_file=None, redis_url=valkey.url, database_url=url)


@pytest.fixture
def work(stores: Stores) -> Iterator[Callable[[], object]]:
    """Works off what waits, in this process; RQ takes the signals, so they are given back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield lambda: Worker(stores, stores.redis, threading.Event()).work(burst=True, logging_level="ERROR")
    for number, handler in before.items():
        signal.signal(number, handler)


class Process:
    """`metrist worker` without the command around it, and with one more job."""

    def __init__(self, redis_url: str, database_url: str, seen: Path) -> None:
        told = {"METRIST_REDIS_URL": redis_url, "METRIST_DATABASE_URL": database_url, "SEEN": str(seen)}
        env = {**os.environ, **told}
        self._child = subprocess.Popen([sys.executable, "-c", CHILD], env=env)

    def stop(self) -> tuple[int, float]:
        """Ask it to stop; its exit code, and how long it took."""
        asked_s = time.monotonic()
        self._child.terminate()
        return self._child.wait(WITHIN_S), time.monotonic() - asked_s

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """The file that gets a line for each start of a job `note`."""
    return tmp_path / "seen"


@pytest.fixture
def start(sqlite_control: Engine, seen: Path) -> Iterator[Callable[[Valkey], Process]]:
    """Starts worker processes, and ends those that are left."""
    started: list[Process] = []

    def start(valkey: Valkey) -> Process:
        started.append(Process(valkey.url, sqlite_control.url.render_as_string(hide_password=False), seen))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def began(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_pruning_removes_links_nobody_can_use(stores: Stores, work: Callable[[], object]) -> None:
    now = datetime.now(UTC)
    owner = accounts.create(stores.control, "home", "ann@example.com", now)
    user = memberships.list_for(stores.control, owner.id)[0].user_id
    for made_at in (now - timedelta(hours=2), now):
        sessions.create_link(stores.control, user, made_at, minutes=60)
    assert enqueue(stores.redis, keys.UPKEEP, "prune")
    work()
    with stores.control.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(sign_in_links)) == 1


def test_a_job_that_waits_is_not_doubled(stores: Stores, work: Callable[[], object]) -> None:
    assert enqueue(stores.redis, keys.UPKEEP, "prune")
    assert not enqueue(stores.redis, keys.UPKEEP, "prune")
    assert sum(queue.count for queue in open_queues(stores.redis)) == 1
    work()
    assert enqueue(stores.redis, keys.UPKEEP, "prune"), "a finished one leaves its id free"


def test_jobs_are_called_with_their_ids(
    stores: Stores, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setitem(JOBS, "note", lambda *args: calls.append(args))
    enqueue(stores.redis, keys.UPKEEP, "note", "a", "b")
    work()
    assert [(args[0], args[2:]) for args in calls] == [(stores, ("a", "b"))]


def test_redis_can_name_no_code_of_its_own(stores: Stores, work: Callable[[], object], tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    open_queues(stores.redis)[-1].enqueue("pathlib.Path.touch", args=(str(harm),))
    work()
    assert not harm.exists()
    assert FailedJobRegistry(keys.UPKEEP, connection=stores.redis).count == 1


def test_a_failing_job_is_tried_four_times(
    stores: Stores, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []

    def fail(*args: object) -> None:
        tries.append(args)
        raise OSError("the disk is on fire")

    monkeypatch.setitem(JOBS, "fail", fail)
    enqueue(stores.redis, keys.UPKEEP, "fail")
    work()
    assert len(tries) == 4
    job = Job.fetch("fail", connection=stores.redis, serializer=open_queues(stores.redis)[0].serializer)
    assert job.get_status() == JobStatus.FAILED


def test_a_hanging_loop_shows_no_sign_of_life(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "turned_at", time.monotonic() - JOB_TIMEOUT_S)
    worker._sign(stores.redis)
    assert stores.redis.getdel(keys.process_alive("worker"))
    monkeypatch.setattr(Worker, "turned_at", time.monotonic() - JOB_TIMEOUT_S - 60)
    worker._sign(stores.redis)
    assert not stores.redis.exists(keys.process_alive("worker"))


def test_a_worker_works_shows_it_and_stops(
    valkey: Valkey, redis_sync: redis.Redis, start: Callable[[Valkey], Process], seen: Path
) -> None:
    process = start(valkey)
    enqueue(redis_sync, keys.UPKEEP, "note", "0")
    until(lambda: began(seen))
    until(lambda: redis_sync.exists(keys.process_alive("worker")))
    assert 0 < redis_sync.ttl(keys.process_alive("worker")) <= keys.ALIVE_S
    code, took_s = process.stop()
    assert (code, took_s < STOPS_WITHIN_S) == (0, True)


def test_a_worker_outlives_its_redis(own_valkey: Valkey, start: Callable[[Valkey], Process], seen: Path) -> None:
    process = start(own_valkey)
    with closing(own_valkey.client()) as client:
        for restarts in range(3):
            until(lambda: enqueue(client, keys.UPKEEP, "note", "0"))
            until(lambda: began(seen) > restarts)  # noqa: B023
            until(lambda: not client.keys("rq:job:*"))  # one whose end Redis missed is tried again after its time-out
            own_valkey.kill()
            own_valkey.start()
    assert process.is_running
    own_valkey.kill()
    code, took_s = process.stop()
    assert (code, took_s < STOPS_WITHIN_S) == (0, True)


def test_a_worker_that_waits_for_its_redis_stops(own_valkey: Valkey, start: Callable[[Valkey], Process]) -> None:
    own_valkey.kill()
    process = start(own_valkey)
    time.sleep(2)  # by now it waits longer and longer
    code, took_s = process.stop()
    assert (code, took_s < STOPS_WITHIN_S) == (0, True)


def test_a_worker_may_start_before_its_redis(own_valkey: Valkey, start: Callable[[Valkey], Process]) -> None:
    own_valkey.kill()
    process = start(own_valkey)
    time.sleep(1.5)
    assert process.is_running
    own_valkey.start()
    with closing(own_valkey.client()) as client:
        until(lambda: client.exists(keys.process_alive("worker")))
        until(lambda: client.smembers("rq:workers"))


def test_a_job_killed_with_its_worker_is_tried_again(
    valkey: Valkey, redis_sync: redis.Redis, start: Callable[[Valkey], Process], seen: Path
) -> None:
    process = start(valkey)
    enqueue(redis_sync, keys.UPKEEP, "note", "1")
    until(lambda: began(seen) == 1)
    process.kill()
    started = StartedJobRegistry(keys.UPKEEP, connection=redis_sync)
    executions: Any = redis_sync.zrange(started.key, 0, -1, withscores=True)
    assert [0 < lapses_s - time.time() <= JOB_TIMEOUT_S + 5 for _, lapses_s in executions] == [True]
    redis_sync.zadd(started.key, {executions[0][0]: time.time() - 1})  # as if that time had passed
    start(valkey)
    until(lambda: began(seen) == 2)


def test_a_running_job_is_ended_before_the_worker_stops(
    valkey: Valkey, redis_sync: redis.Redis, start: Callable[[Valkey], Process], seen: Path
) -> None:
    process = start(valkey)
    enqueue(redis_sync, keys.UPKEEP, "note", "1")
    until(lambda: began(seen))
    code, _took_s = process.stop()
    assert code == 0
    assert StartedJobRegistry(keys.UPKEEP, connection=redis_sync).count == 0
    assert not redis_sync.keys("rq:job:*")
