"""What worker and scheduler count is what they did, and the API finds it in Redis."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio
from sqlalchemy import Engine

from domain.metering import Family
from domain.settings import Settings
from schema import accounts, keys, own_figures
from tests.valkey_server import Valkey
from workers import figures
from workers.queues import enqueue
from workers.scheduler import Clock
from workers.stores import Stores, open_stores
from workers.worker import JOBS, Worker

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def stores(sqlite_control: Engine, valkey: Valkey) -> Iterator[Stores]:
    url = sqlite_control.url.render_as_string(hide_password=False)
    stores = open_stores(Settings(_env_file=None, redis_url=valkey.url, database_url=url))
    yield stores
    stores.close()


def counted(found: list[Family], name: str) -> dict[tuple[str, ...], float]:
    (family,) = (one for one in found if one.name == name)
    return {tuple(point.labels.values()): point.value for point in family.points}


async def read(valkey: Valkey) -> list[own_figures.Kept]:
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        return await own_figures.kept(client, time.time())


def test_jobs_are_counted_by_how_they_ended(stores: Stores, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is on fire")

    monkeypatch.setitem(JOBS, "fail", fail)
    monkeypatch.setitem(JOBS, "rest", lambda *_: time.sleep(0.02))
    enqueue(stores.redis, keys.UPKEEP, "fail")
    enqueue(stores.redis, keys.UPKEEP, "rest")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    Worker(stores, stores.redis, threading.Event()).work(burst=True, logging_level="ERROR")
    for number, handler in before.items():
        signal.signal(number, handler)
    figures.keep("worker", stores, datetime.now(UTC))
    (kept,) = asyncio.run(read(valkey))
    assert kept.process == "worker"
    assert counted(list(kept.families), "metrist_jobs") == {("fail", "failed"): 4, ("rest", "done"): 1}
    (took,) = (one for one in kept.families if one.name == "metrist_job_seconds")
    (total,) = (p.value for p in took.points if p.suffix == "_sum" and p.labels["job"] == "rest")
    assert 0.02 <= total < 1


def test_the_clock_tells_what_it_did_and_how_far_behind_it_is(stores: Stores) -> None:
    account_id = accounts.create(stores.control, "a", None, NOW).id
    stores.redis.zadd(keys.deadlines(account_id), {"slow": (NOW - timedelta(seconds=42)).timestamp() * 1000})
    figures.measure(stores, NOW)
    Clock(stores).tick("sweep", lambda *_: None)
    found = list(stores.tally.families())
    assert counted(found, "metrist_jobs") == {("sweep", "done"): 1}
    assert counted(found, "metrist_behind_seconds") == {("evaluation",): 0, ("sweep",): 42}
