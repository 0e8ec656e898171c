"""One account whose conditions are judged on real stores, by a clock that the tests turn."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis
import redis.asyncio
from sqlalchemy import Engine, select

from domain.condition_specs import Condition, MetricRule, NodesRule, Spec
from domain.ids import AccountId
from domain.query import Query
from domain.settings import Settings
from schema import accounts, conditions, hearing, keys, migrate, samples
from schema.control import tables
from schema.control.engine import reading
from tests.clickhouse_server import Server
from tests.valkey_server import Calls, Valkey
from workers.evaluate import evaluate
from workers.stores import Stores, open_stores

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = f"user/{uuid4()}"
QUERY = Query("A", "cpu", by=("node",))
CPU = MetricRule(QUERY, 10, 10, ">", 90.0)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


class Watch(Calls):
    """One account whose conditions are judged."""

    def __init__(self, stores: Stores, valkey: Valkey, client: redis.Redis) -> None:
        super().__init__(valkey, client)
        self.stores = stores
        self.account_id = accounts.create(stores.control, "home", None, START).id

    def condition(self, spec: Spec | MetricRule | NodesRule = CPU, name: str = "CPU") -> Condition:
        spec = spec if isinstance(spec, Spec) else Spec(spec)
        return conditions.create(self.stores.control, self.account_id, name, spec, START, actor=ME)

    def send(self, values: Mapping[float, float], *nodes: str, account: AccountId | None = None) -> None:
        """Samples of `cpu` by second, of web-1 or of these nodes."""
        found = [
            {"node": node, "ts": at(second).timestamp(), "metrics": {"cpu": value}}
            for node in nodes or ["web-1"]
            for second, value in values.items()
        ]
        body = {"account": str(account or self.account_id), "batch": uuid4().hex, "snapshots": found}
        samples.insert(self.stores.clickhouse, msgspec.json.encode(body), uuid4().hex)

    def judge(self, second: float) -> None:
        evaluate(self.stores, at(second), str(self.account_id))

    def hear(self, from_s: float, to_s: float) -> None:
        """A process takes what is sent all that time, and says so."""

        async def work(client: redis.asyncio.Redis) -> None:
            await hearing.sign(client, int(at(from_s).timestamp() * 1000), is_first=True)

        self.run(work)
        self.sync.hset(keys.HEARING, "at", int(at(to_s).timestamp() * 1000))

    def story(self, account_id: AccountId | None = None) -> list[tuple[float, str, str]]:
        """All that became of statuses: second, group, state."""
        told = select(tables.events).where(tables.events.c.account_id == (account_id or self.account_id))
        with reading(self.stores.control) as conn:
            found = list(
                conn.execute(told.where(tables.events.c.stream.like("status/%")).order_by(tables.events.c.seq))
            )
        return [
            (
                (datetime.fromisoformat(one.payload["at"]) - START).total_seconds(),
                one.payload["labels"].get("node", ""),
                one.payload.get("to", "ended"),
            )
            for one in found
            if "at" in one.payload
        ]


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, valkey: Valkey, sqlite_control: Engine
) -> Iterator[Stores]:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}",
        redis_url=valkey.url,
        database_url=sqlite_control.url.render_as_string(hide_password=False),
        raw_retention_days=10_000,
        minute_retention_days=10_000,
        hour_retention_days=10_000,
    )
    stores = open_stores(settings)
    migrate.upgrade(stores.clickhouse, settings)
    yield stores
    stores.close()


@pytest.fixture
def watch(stores: Stores, valkey: Valkey, redis_sync: redis.Redis) -> Watch:
    return Watch(stores, valkey, redis_sync)


def ms(second: float) -> int:
    return int(at(second).timestamp() * 1000)


def replace_every(rule: MetricRule, every_s: int) -> MetricRule:
    return msgspec.structs.replace(rule, every_s=every_s, window_s=every_s)


def replace_query(rule: MetricRule, query: Query, **change: Any) -> MetricRule:
    return msgspec.structs.replace(rule, query=query, **change)
