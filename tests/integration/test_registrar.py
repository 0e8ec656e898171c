"""Registrations by two API processes that know of each other only through the stores."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, event

from api.contact import Contacts
from api.registrar import AT_ONCE
from domain import pings
from domain.ids import AccountId
from domain.settings import Settings
from schema import accounts, hearing, heartbeats, nodes
from schema.stores import open_stores
from tests.valkey_server import Valkey
from workers.sweep import reconcile, sweep_liveness

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABELS = {"role": "web"}


class Platform:
    """Two API processes and a scheduler, by a clock that the test turns; `s` are seconds after NOW."""

    def __init__(self, control: Engine, client: redis.Redis, url: str) -> None:
        self.control = control
        self.sync = client
        database = control.url.render_as_string(hide_password=False)
        self.settings = Settings(_env_file=None, redis_url=url, database_url=database)
        self.account_id: AccountId = accounts.create(control, "home", None, NOW).id

    def run(self, work: Callable[[Contacts, Contacts], Awaitable[None]]) -> None:
        async def with_both() -> None:
            stores = open_stores(self.settings)
            first, second = Contacts(stores, self.settings), Contacts(stores, self.settings)
            await hearing.sign(stores.redis, ms(0), is_first=True)
            await work(first, second)
            await stores.close()

        asyncio.run(with_both())

    async def ping(self, process: Contacts, s: float, node: str = "web-1", **body: Any) -> None:
        said = {"node": node, "labels": LABELS, **body}
        await process.ping(self.account_id, pings.parse(json.dumps(said).encode()), ms(s))

    async def touch(self, process: Contacts, s: float, node: str = "web-1") -> None:
        await process.touch(self.account_id, [node], ms(s), None)

    def sweep(self, s: float) -> None:
        self.sync.hset("{hearing}", "at", ms(s))
        sweep_liveness(self.control, self.sync, self.settings, datetime.fromtimestamp(ms(s) / 1000, UTC))

    def reconcile(self, s: float) -> None:
        self.sync.hset("{hearing}", "at", ms(s))
        reconcile(self.control, self.sync, self.settings, datetime.fromtimestamp(ms(s) / 1000, UTC))

    def node(self, name: str = "web-1") -> nodes.NodeRow | None:
        return nodes.find(self.control, self.account_id, name)

    async def remove(self, process: Contacts, *, tells_redis: bool) -> nodes.NodeRow:
        removed = nodes.remove(self.control, self.account_id, "web-1", NOW, actor="user/1")
        if tells_redis:
            await heartbeats.forget(process._redis, self.account_id, "web-1")
        return removed


def ms(s: float) -> int:
    return int((NOW.timestamp() + s) * 1000)


@pytest.fixture
def platform(sqlite_control: Engine, redis_sync: redis.Redis, valkey: Valkey) -> Platform:
    return Platform(sqlite_control, redis_sync, valkey.url)


@pytest.mark.parametrize("tells_redis", [True, False], ids=["Redis told", "Redis away"])
def test_a_removed_node_comes_back_as_a_new_one_whichever_process_hears_it(
    platform: Platform, tells_redis: bool
) -> None:
    async def work(first: Contacts, second: Contacts) -> None:
        await platform.ping(first, 0)
        platform.sweep(0)
        await platform.ping(second, 1)
        before = await platform.remove(first, tells_redis=tells_redis)
        if not tells_redis:
            platform.reconcile(2)
            platform.sweep(2)
        await platform.ping(second, 10)
        after = platform.node()
        assert after is not None
        assert (after.id != before.id, after.labels) == (True, LABELS)
        platform.sweep(11)
        await platform.ping(first, 20)
        await platform.ping(second, 30)
        assert platform.node() == after

    platform.run(work)


def test_a_removed_node_that_snapshots_bring_back_tells_its_labels_with_its_next_ping(platform: Platform) -> None:
    async def work(first: Contacts, second: Contacts) -> None:
        for process in (first, second):
            await platform.ping(process, 0)
        platform.sweep(0)
        await platform.remove(first, tells_redis=True)
        await platform.touch(first, 10)
        platform.sweep(11)
        await platform.ping(second, 12)
        node = platform.node()
        assert node is not None
        assert node.labels == LABELS

    platform.run(work)


def test_what_snapshots_could_not_tell_is_told_by_the_first_ping(platform: Platform) -> None:
    async def work(first: Contacts, _second: Contacts) -> None:
        await platform.touch(first, 0)
        await platform.ping(first, 1, ephemeral=True, ping_interval_s=60)
        node = platform.node()
        assert node is not None
        assert (node.labels, node.is_ephemeral, node.interval_s) == (LABELS, True, 60)

    platform.run(work)


def test_an_ephemeral_node_that_returns_at_once_is_online_with_its_first_ping(platform: Platform) -> None:
    async def work(first: Contacts, _second: Contacts) -> None:
        await platform.ping(first, 0, ephemeral=True)
        platform.sweep(0)
        await platform.ping(first, 5, ephemeral=True, goodbye={"reason": "stop"})
        platform.sweep(6)
        gone = platform.node()
        assert gone is not None
        assert gone.state == "deregistered"
        await platform.ping(first, 10, ephemeral=True)
        back = platform.node()
        assert back is not None
        assert back.state == "online"

    platform.run(work)


def test_a_node_that_says_nothing_new_costs_no_question(platform: Platform) -> None:
    asked: list[str] = []

    def note(*args: Any) -> None:
        asked.append(args[2])

    event.listen(Engine, "before_cursor_execute", note)

    async def work(first: Contacts, _second: Contacts) -> None:
        await platform.ping(first, 0)
        platform.sweep(0)
        assert asked
        asked.clear()
        for s in (10, 20, 80, 300):
            await platform.ping(first, s, sent_at=ms(s) / 1000)
        assert asked == []

    platform.run(work)
    event.remove(Engine, "before_cursor_execute", note)


def test_a_herd_is_registered_in_few_commits(platform: Platform) -> None:
    herd = [f"node-{n:04}" for n in range(3 * AT_ONCE)]
    commits: list[object] = []

    def note(conn: object) -> None:
        commits.append(conn)

    event.listen(Engine, "commit", note)

    async def work(first: Contacts, _second: Contacts) -> None:
        await asyncio.gather(*(platform.ping(first, 0, name, labels={"name": name}) for name in herd))

    platform.run(work)
    found = nodes.list_for(platform.control, platform.account_id)
    assert {node.name: node.labels["name"] for node in found} == {name: name for name in herd}
    event.remove(Engine, "commit", note)
    assert len(commits) < len(herd) / 10
