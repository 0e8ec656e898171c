"""The nightly audit on a real ClickHouse: quiet where rollups are right, and what is planted is found."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import Engine
from structlog.testing import capture_logs

from domain.ids import AccountId
from domain.settings import Settings
from schema import accounts, audits, erasures, keys, migrate, samples
from schema.audits import Audit, TooMuch
from schema.clickhouse_client import ClickHouse
from schema.events import retrying
from tests.clickhouse_server import Server
from workers import audit_rollups as job
from workers.stores import Stores

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
YESTERDAY_S = int(datetime(2026, 11, 19, tzinfo=UTC).timestamp())


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, sqlite_control: Engine, redis_sync: redis.Redis
) -> Iterator[Stores]:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    settings = Settings(_env_file=None, raw_retention_days=10_000, minute_retention_days=10_000)
    clickhouse = ClickHouse(f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}")
    migrate.upgrade(clickhouse, settings)
    redis_sync.delete(keys.AUDIT)
    yield Stores(settings, sqlite_control, redis_sync, clickhouse)
    clickhouse.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "AGAIN_AFTER_S", 0.0)


def furnish(stores: Stores, name: str) -> AccountId:
    """An account with samples of two days around yesterday, of awkward values."""
    account_id = accounts.create(stores.control, name, None, NOW).id
    rng = random.Random(name)
    snapshots = [
        {
            "node": f"n{n % 3}",
            "ts": YESTERDAY_S - 43_200 + n * 97.3,
            "metrics": {f"m{k}": rng.uniform(-1, 1) * 10 ** rng.randint(-8, 12) for k in range(5)},
        }
        for n in range(1_700)
    ]
    line = {"account": str(account_id), "batch": name, "snapshots": snapshots}
    samples.insert(stores.clickhouse, json.dumps(line).encode() + b"\n", f"segment-{name}")
    return account_id


def audited(stores: Stores) -> Audit:
    for _ in range(50):
        if not job.is_due(stores, NOW):
            break
        job.audit(stores, NOW)
    found = audits.last_sync(stores.redis)
    assert found
    return found


def test_right_rollups_are_found_right(stores: Stores) -> None:
    for name in ("a", "b", "c"):
        furnish(stores, name)
    assert job.is_due(stores, NOW)
    with capture_logs() as logs:
        found = audited(stores)
    assert (found.day_s, found.accounts, found.hours, found.differing) == (YESTERDAY_S, 3, 72, 0)
    then = f"toDate(ts, 'UTC') = toDate(toDateTime({YESTERDAY_S}, 'UTC'))"
    expected = stores.clickhouse.command(f"SELECT count() FROM samples WHERE {then}")
    assert found.samples == expected
    assert [line["log_level"] for line in logs if line["event"] == "rollups_audited"] == ["info"]
    assert not job.is_due(stores, NOW) and job.is_due(stores, NOW + timedelta(days=1))


PLANTED = {
    "a minute is lost": (
        {"1m"},
        "ALTER TABLE samples_1m DELETE WHERE {here} AND ts = (SELECT min(ts) FROM samples_1m WHERE {here})",
    ),
    "a sample is counted twice": (
        {"1h"},
        "INSERT INTO samples_1h (account, metric, node, labelset, ts, min, max, sum, count) "
        "SELECT account, metric, node, labelset, ts, min, max, 0, 1 FROM samples_1h WHERE {here} LIMIT 1",
    ),
    "a sum is wrong": (
        {"1m"},
        "INSERT INTO samples_1m (account, metric, node, labelset, ts, min, max, sum, count) "
        "SELECT account, metric, node, labelset, ts, min, max, 1e6, 0 FROM samples_1m WHERE {here} LIMIT 1",
    ),
    "a raw sample is lost": (
        {"1m", "1h"},
        "ALTER TABLE samples DELETE WHERE {here} AND metric = 'm1' "
        "AND ts = (SELECT max(ts) FROM samples WHERE {here} AND metric = 'm1')",
    ),
}


def test_what_is_planted_is_found(stores: Stores) -> None:
    quiet, expected = furnish(stores, "quiet"), set()
    for what, (tiers, sql) in PLANTED.items():
        account_id = furnish(stores, what)
        here = f"account = '{account_id}' AND toDate(ts, 'UTC') = toDate(toDateTime({YESTERDAY_S}, 'UTC'))"
        stores.clickhouse.command(sql.format(here=here), settings={"mutations_sync": 2})
        expected |= {(str(account_id), tier) for tier in tiers}
    with capture_logs() as logs:
        found = audited(stores)
    assert {(one.account, one.tier) for one in found.differences} == expected
    assert str(quiet) not in {one.account for one in found.differences}
    assert found.differing == len(found.differences) == len(expected)
    assert all(YESTERDAY_S <= one.hour_s < YESTERDAY_S + 86_400 for one in found.differences)
    told = [line for line in logs if line["event"] == "rollup_differs"]
    assert len(told) == len(expected) and all(line["log_level"] == "error" for line in told)
    (value,) = (family.points[0].value for family in audits.families(found, 0) if "differences" in family.name)
    assert value == found.differing


def test_the_job_holds_nobody_up_and_is_done_by_one(stores: Stores) -> None:
    furnish(stores, "a")
    stores.redis.set(keys.lease("audit"), "another worker's")
    job.audit_rollups(stores, NOW)
    assert stores.crew.wait(10) and audits.last_sync(stores.redis) is None
    stores.redis.delete(keys.lease("audit"))
    job.audit_rollups(stores, NOW)
    assert stores.crew.wait(10) and audits.last_sync(stores.redis)
    assert not stores.redis.exists(keys.lease("audit"))


def test_what_differs_only_while_it_is_written_is_no_difference(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(stores, "a")
    compare, looks = audits.compare, iter((7, 0, 0, 0))

    def racing(*args: object) -> object:
        hours, seen, _ = compare(*args)  # type: ignore[arg-type]
        behind = next(looks, 0)
        return hours, seen, [audits.Difference("a", YESTERDAY_S, "1h", 10, 10 - behind)] if behind else []

    monkeypatch.setattr(audits, "compare", racing)
    assert audited(stores).differing == 0


def test_a_question_that_is_too_large_is_asked_in_parts(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = furnish(stores, "a")
    expected = audited(stores)
    stores.redis.delete(keys.AUDIT)
    stores.clickhouse.command(
        "ALTER TABLE samples_1m DELETE WHERE metric = 'm3' AND toHour(ts) = 5", settings={"mutations_sync": 2}
    )
    compare, asked = audits.compare, []

    def narrow(clickhouse: ClickHouse, account_id: AccountId, progress: audits.Progress) -> object:
        asked.append((progress.parts, progress.part))
        if progress.parts < 8:
            raise TooMuch
        return compare(clickhouse, account_id, progress)

    monkeypatch.setattr(audits, "compare", narrow)
    monkeypatch.setattr(job, "BUDGET_S", 0.0)
    found = audited(stores)
    assert found.samples == expected.samples, "each metric is in one part"
    assert [(one.account, one.hour_s - YESTERDAY_S, one.tier) for one in found.differences] == [
        (str(whole), 5 * 3_600, "1m")
    ]
    assert {part for parts, part in asked if parts == 8} == set(range(8))


def test_who_is_being_erased_and_who_keeps_too_little_is_passed_over(stores: Stores) -> None:
    account_id = furnish(stores, "a")
    stores.clickhouse.command("TRUNCATE TABLE samples_1h")
    retrying(stores.control, lambda conn: erasures.ask(conn, account_id, "", NOW))
    assert audited(stores).accounts == 0
    short = Stores(Settings(_env_file=None, raw_retention_days=1), stores.control, stores.redis, stores.clickhouse)
    stores.redis.delete(keys.AUDIT)
    assert not job.is_due(short, NOW)
    assert not job.is_due(stores, NOW.replace(hour=0, minute=59))
