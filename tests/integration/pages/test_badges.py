"""Badges: what conditions say of a node, on its row, its page, and of a dashboard's panels, kept current by streams."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio
from sqlalchemy import insert

from domain.condition_specs import Condition, MetricRule, NodesRule, Spec
from domain.conditions import Reading, Severity, State, advance, first
from domain.evaluation import Move, group
from domain.query import Query
from schema import conditions, keys, nodes, statuses
from schema.control import tables
from schema.unwell import Unwell
from tests.integration.pages.site import HTML, Site, Tenant, new_tenant

CPU = Spec(MetricRule(Query("A", "cpu.busy_percent", by=("node",)), 60, 10, ">", 90.0), severity=Severity.CRITICAL)
SOON_S = 6.0


@pytest.fixture
def home(site: Site) -> Tenant:
    tenant = new_tenant(site, f"badges-{uuid4().hex[:8]}")
    for name in ("web-1", "web-2"):
        nodes.register(site.control, tenant.account_id, name, None, datetime.now(UTC))
    return tenant


@pytest.fixture
def browser(site: Site, home: Tenant) -> Iterator[httpx.Client]:
    with site.client(home.session, **HTML) as client:
        yield client


def a_condition(site: Site, home: Tenant, name: str = "CPU is busy", spec: Spec = CPU) -> Condition:
    now = datetime.now(UTC) - timedelta(minutes=5)
    return conditions.create(site.control, home.account_id, name, spec, now)


def tell(site: Site, condition: Condition, node: str, value: float) -> None:
    """As evaluation does it: one more reading of a node, recorded and published."""
    of, now = group({"node": node}), datetime.now(UTC)
    with site.control.connect() as conn:
        before = statuses.status_in(conn, condition.id, of) or first(now)
    reading = Reading(value, is_over=value > 90, is_clear=value <= 90, severity=condition.spec.severity)
    after, transition = advance(before, condition.spec.policy, reading, now)
    with site.control.begin() as conn:
        statuses.record_in(conn, condition.account_id, [(condition, Move(of, before, after, transition, now))], now)
    message = json.dumps({"type": "status", "condition": str(condition.id), "state": after.state.value})
    asyncio.run(publish(site, condition.account_id, message))


async def publish(site: Site, account_id: Any, message: str) -> None:
    async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as client:
        await client.publish(keys.events_channel(account_id), message)


@contextmanager
def stream(site: Site, home: Tenant, path: str, **asked: Any) -> Iterator[Iterator[dict[str, Any]]]:
    with (
        site.client(home.session, accept="text/event-stream") as browser,
        browser.stream("GET", path, params=asked) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: "))


def within(told: Iterator[dict[str, Any]], wanted: Any) -> dict[str, Any]:
    began_s = time.monotonic()
    for message in told:
        if wanted(message):
            assert time.monotonic() - began_s < SOON_S
            return message
    raise AssertionError


def marks(message: dict[str, Any], node: str) -> list[tuple[str, str, str]]:
    found = [one["marks"] for one in message.get("nodes", ()) if one["name"] == node and "marks" in one]
    return [(kind, words, title) for kind, words, title, _ in found[0]] if found else []


def test_a_row_says_what_is_not_ok_and_says_when_it_is_over(site: Site, home: Tenant, browser: httpx.Client) -> None:
    cpu, disk = a_condition(site, home), a_condition(site, home, "Disk <b>is full</b>")
    tell(site, disk, "web-1", 95)
    page = browser.get("/nodes").text
    assert 'data-kind="firing"' in page and ">1 firing<" in page and "Disk &lt;b&gt;is full" in page
    assert page.count('data-kind="firing"') == 1
    with stream(site, home, "/nodes/stream") as told:
        assert marks(next(told), "web-1") == [("firing", "1 firing", "Disk <b>is full</b>: firing")]
        tell(site, cpu, "web-1", 97)
        more = within(told, lambda message: marks(message, "web-1"))
        assert marks(more, "web-1")[0][:2] == ("firing", "2 firing")
        assert marks(more, "web-2") == []
        tell(site, cpu, "web-1", 5)
        tell(site, disk, "web-1", 5)
        assert within(told, lambda message: any(one.get("marks") == [] for one in message.get("nodes", ())))


def test_a_nodes_page_names_its_conditions(site: Site, home: Tenant, browser: httpx.Client) -> None:
    cpu = a_condition(site, home)
    tell(site, cpu, "web-1", 97)
    page = browser.get("/nodes/web-1").text
    assert (
        f'<a href="/conditions/{cpu.id}">CPU is busy</a>' in page
        and '<span class="status" data-state="firing">' in page
    )
    assert "CPU is busy" not in browser.get("/nodes/web-2").text
    tell(site, cpu, "web-1", 5)
    until_s = time.monotonic() + SOON_S
    while "CPU is busy" in browser.get("/nodes/web-1?part=notices").text:
        assert time.monotonic() < until_s


def test_a_dashboard_hears_of_its_metrics_only(site: Site, home: Tenant) -> None:
    cpu = a_condition(site, home)
    quiet = a_condition(site, home, "gone", Spec(NodesRule()))
    tell(site, cpu, "web-1", 97)
    with stream(site, home, "/conditions/stream", metric=["cpu.busy_percent", "mem.used"]) as told:
        assert next(told)["statuses"] == [
            {
                "condition": "CPU is busy",
                "href": f"/conditions/{cpu.id}",
                "metric": "cpu.busy_percent",
                "labels": {"node": "web-1"},
                "state": "firing",
                "word": "firing",
            }
        ]
        tell(site, quiet, "web-2", 97)
        tell(site, cpu, "web-2", 97)
        assert len(within(told, lambda message: True)["statuses"]) == 2
        tell(site, cpu, "web-1", 5)
        assert [one["labels"] for one in within(told, lambda message: True)["statuses"]] == [{"node": "web-2"}]
    with stream(site, home, "/conditions/stream", metric="mem.used") as told:
        assert next(told) == {"statuses": []}


def test_nobody_hears_of_another_accounts_statuses(site: Site, home: Tenant, theirs: Tenant) -> None:
    tell(site, a_condition(site, home), "web-1", 97)
    with stream(site, theirs, "/conditions/stream", metric="cpu.busy_percent") as told:
        assert next(told) == {"statuses": []}


def test_who_is_not_signed_in_hears_nothing(site: Site) -> None:
    with site.client(**HTML) as stranger:
        assert stranger.get("/conditions/stream").status_code in (303, 401)


def test_ten_thousand_that_are_not_ok_are_read_once(site: Site, home: Tenant) -> None:
    """What nobody has changed since costs a small question, however many there are."""
    condition = a_condition(site, home)
    now = datetime.now(UTC)
    row = {
        "condition_id": condition.id, "account_id": home.account_id, "state": State.FIRING.value,
        "severity": "critical",
        "since": now, "value": 97.0, "message": "", "reading_at": now, "told": "firing", "told_since": now,
        "acknowledged_note": "", "version": 1,
    }  # fmt: skip
    rows = [row | {"group_sha256": f"{n:064x}", "labels": {"node": f"n-{n}"}} for n in range(10_000)]
    with site.control.begin() as conn:
        conn.execute(insert(tables.statuses), rows)
    unwell = Unwell(site.control, home.account_id)
    began_s = time.process_time()
    assert unwell.refresh() and len(unwell.found) == 10_000
    first_s, began_s = time.process_time() - began_s, time.process_time()
    assert not unwell.refresh()
    assert time.process_time() - began_s < first_s / 5
