"""The picture of a notice, drawn from what ClickHouse has of its group; without one it is told all the same."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from domain.ids import AccountId
from domain.settings import Settings
from schema import migrate, samples
from tests.clickhouse_server import Server
from tests.notices import a_fire
from tests.valkey_server import Valkey
from workers.graphs import picture_of
from workers.stores import Stores, open_stores

ACCOUNT = AccountId(uuid4())
GRAPH: dict[str, Any] = {
    "query": {"id": "A", "metric": "cpu.user", "by": ["node"], "match": ["node=web-1"]},
    "threshold": 90.0,
}


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, valkey: Valkey, sqlite_control: Engine
) -> Iterator[Stores]:
    server = clickhouse_server
    password = server.password.replace(" ", "%20")
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}",
        redis_url=valkey.url,
        database_url=sqlite_control.url.render_as_string(hide_password=False),
    )
    opened = open_stores(settings)
    migrate.upgrade(opened.clickhouse, settings)
    yield opened
    opened.close()


def test_the_group_that_fires_is_drawn(stores: Stores) -> None:
    now = datetime.now(UTC)
    for node, value in (("web-1", 95.0), ("web-2", 7.0)):
        told = [
            {"node": node, "ts": (now - timedelta(seconds=10 * n)).timestamp(), "metrics": {"cpu.user": value - n / 10}}
            for n in range(100)
        ]
        line = {"account": str(ACCOUNT), "batch": node, "snapshots": told}
        samples.insert(stores.clickhouse, json.dumps(line).encode() + b"\n", str(uuid4()))
    notice = a_fire(began_at=now - timedelta(minutes=5), graph=GRAPH)
    found = picture_of(stores, ACCOUNT, notice, now)
    assert found and found.png.startswith(b"\x89PNG")
    assert "cpu.user from" in found.words and "the limit is 90" in found.words
    assert "from 85" in found.words and "last 9" in found.words, "of web-1 alone"


def test_without_series_or_store_there_is_none(stores: Stores) -> None:
    now, notice = datetime.now(UTC), a_fire(graph=GRAPH)
    assert picture_of(stores, ACCOUNT, a_fire(), now) is None
    assert picture_of(stores, AccountId(uuid4()), replace(notice, began_at=now), now) is None
    assert picture_of(stores, ACCOUNT, a_fire(graph={"query": {"what": 1}}), now) is None
    away = Settings(_env_file=None, clickhouse_url="http://a:b@127.0.0.1:9/default")  # type: ignore[arg-type]
    closed = open_stores(away)
    assert picture_of(closed, ACCOUNT, replace(notice, began_at=now), now) is None
    closed.close()


def test_what_began_just_now_is_drawn_closer(stores: Stores) -> None:
    now = datetime.now(UTC)
    began_at = now - timedelta(seconds=now.timestamp() % 20 - 1)  # so that all is in one step of an hour's graph
    told = [{"node": "web-1", "ts": began_at.timestamp() + n, "metrics": {"cpu.user": 91.0 + n}} for n in (0, 4, 8)]
    line = {"account": str(ACCOUNT), "batch": "now", "snapshots": told}
    samples.insert(stores.clickhouse, json.dumps(line).encode() + b"\n", str(uuid4()))
    found = picture_of(stores, ACCOUNT, a_fire(began_at=began_at, graph=GRAPH), began_at + timedelta(seconds=12))
    assert found and "from 91 to 99" in found.words
