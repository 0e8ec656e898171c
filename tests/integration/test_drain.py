"""From the spool into ClickHouse: what fails on the way waits, what is bad is set aside, and nothing counts twice."""

import asyncio
import errno
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from domain.errors import StoreUnavailable
from domain.settings import Settings
from schema import migrate, spool
from schema.clickhouse_client import ClickHouse
from schema.drain import Drain
from schema.spool import Spool
from tests.clickhouse_server import Server

START_S = time.time() - 3_600
TIERS = ("count() FROM samples", "sum(count) FROM samples_1m", "sum(count) FROM samples_1h")
ACCOUNT = str(uuid4())
WITHIN_S = 20.0


class Faulty(ClickHouse):
    """A real one whose line breaks: some INSERTs arrive and their answers do not, others do not arrive."""

    before: Iterator[bool] = iter(())
    after: Iterator[bool] = iter(())

    def raw_insert(self, table: str, body: bytes, *, fmt: str, settings: Mapping[str, Any]) -> int:
        if next(self.before, False):
            raise StoreUnavailable("broken before")
        written = super().raw_insert(table, body, fmt=fmt, settings=settings)
        if next(self.after, False):
            raise StoreUnavailable("broken after")
        return written


@pytest.fixture
def clickhouse(clickhouse_server: Server, clickhouse_database: str) -> Iterator[Faulty]:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    made = Faulty(f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}")
    migrate.upgrade(made, Settings(_env_file=None))
    yield made
    made.close()


def good(number: int) -> bytes:
    return json.dumps([{"node": "a", "ts": START_S + number, "metrics": {"x": number, "y": number}}]).encode()


def drained(
    folder: Path, clickhouse: ClickHouse, batches: Iterable[bytes], keep: Callable[..., None] = lambda *_: None
) -> None:
    """Spool these batches, and drain until nothing is left."""
    source = Spool(folder, max_bytes=10_000_000, segment_samples=1_000_000)
    drain = Drain(source, clickhouse, 0.05, lambda _: None, keep)

    async def append() -> None:
        for number, snapshots in enumerate(batches):
            await source.append(spool.record(ACCOUNT, f"b{number}", snapshots, 2))

    try:
        asyncio.run(append())
        drain.start()
        deadline = time.monotonic() + WITHIN_S
        while source.pending_bytes:
            assert time.monotonic() < deadline, "the drain has given up"
            time.sleep(0.02)
    finally:
        source.close()
        drain.stop(5)


def counts(clickhouse: ClickHouse) -> list[int]:
    return [int(str(clickhouse.command(f"SELECT {tier}"))) for tier in TIERS]


def test_an_insert_whose_answer_is_lost_counts_once(tmp_path: Path, clickhouse: Faulty) -> None:
    clickhouse.before, clickhouse.after = iter([True, False]), iter([True, True])
    drained(tmp_path / "spool", clickhouse, [good(number) for number in range(10)])
    assert counts(clickhouse) == [20, 20, 20]


def test_a_full_disk_stops_the_drain_only_while_it_is_full(tmp_path: Path, clickhouse: Faulty) -> None:
    is_full = iter([True, True])

    def keep(*_: object) -> None:
        if next(is_full, False):
            raise OSError(errno.ENOSPC, "No space left on device")

    drained(tmp_path / "spool", clickhouse, [good(number) for number in range(10)], keep)
    assert counts(clickhouse) == [20, 20, 20]
    assert next(is_full, None) is None


def test_what_nobody_foresaw_does_not_end_the_drain(tmp_path: Path, clickhouse: Faulty) -> None:
    surprises = iter([KeyError("surprise")])

    def keep(*_: object) -> None:
        for surprise in surprises:
            raise surprise

    drained(tmp_path / "spool", clickhouse, [good(1)], keep)
    assert counts(clickhouse) == [2, 2, 2]


def test_a_bad_batch_is_set_aside_and_holds_up_nobody(tmp_path: Path, clickhouse: Faulty) -> None:
    bad = b'[{"node":"a","ts":"no instant","metrics":{"x":1}}]'
    drained(tmp_path / "spool", clickhouse, [good(1), bad, good(2)])
    assert counts(clickhouse) == [4, 4, 4]
    (kept,) = (tmp_path / "spool" / "refused").iterdir()
    assert json.loads(kept.read_text())["snapshots"] == json.loads(bad)


def test_a_store_that_leaves_while_bad_batches_are_set_aside_costs_no_good_one(
    tmp_path: Path, clickhouse: Faulty
) -> None:
    bad = b'[{"node":"a","ts":"no instant","metrics":{"x":1}}]'
    # the segment is refused, its first line arrives without an answer; then all of it again, and so on
    clickhouse.after = iter([True, False, True, False, False, False, True])
    drained(tmp_path / "spool", clickhouse, [good(1), bad, good(2), good(3)])
    assert counts(clickhouse) == [6, 6, 6]
    assert len(list((tmp_path / "spool" / "refused").iterdir())) == 1
