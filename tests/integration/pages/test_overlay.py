"""POST /api/v1/overlay: what happened while graphs were drawn, and why there may be nothing to see in them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis

from domain.nodes import NodeState
from schema import keys, nodes
from tests.integration.pages.site import WITHIN_S, Site, Tenant, new_tenant

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def tenant(site: Site) -> Tenant:
    """An account with a node that was offline from 40 to 20 minutes ago, and one that was always there."""
    found = new_tenant(site, "overlay")
    for name in ("gone-1", "here-1"):
        nodes.register(site.control, found.account_id, name, None, NOW - timedelta(hours=2))
    node = nodes.find(site.control, found.account_id, "gone-1")
    assert node
    for minutes, state in ((45, NodeState.LATE), (40, NodeState.OFFLINE), (20, NodeState.ONLINE)):
        at = NOW - timedelta(minutes=minutes)
        nodes.transition(site.control, found.account_id, node.id, state, cause="no contact for 30 s", now=at)
    return found


@pytest.fixture
def client(site: Site, tenant: Tenant) -> Iterator[httpx.Client]:
    with site.client(authorization=f"Bearer {tenant.key}") as found:
        yield found


def ask(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/overlay", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def minutes_ago(at_s: float) -> int:
    return round((NOW.timestamp() - at_s) / 60)


def test_it_tells_how_nodes_stood_and_what_changed_it(client: httpx.Client) -> None:
    told = ask(client, nodes=["gone-1", "here-1", "nobody"], **{"from": NOW.timestamp() - 3_600})
    assert list(told["nodes"]) == ["gone-1", "here-1"]
    periods = [(one["standing"], minutes_ago(one["from_s"])) for one in told["nodes"]["gone-1"]]
    assert periods == [("online", 60), ("late", 45), ("offline", 40), ("online", 20)]
    assert [one["standing"] for one in told["nodes"]["here-1"]] == ["online"]
    events = [(one["node"], one["title"], one["detail"]) for one in told["events"]]
    assert events[:2] == [("gone-1", "Late", "no contact for 30 s"), ("gone-1", "Offline", "no contact for 30 s")]
    assert [one["standing"] for one in told["events"]] == ["late", "offline", "online"]


def test_a_window_within_begins_as_things_stood(client: httpx.Client) -> None:
    at_s = NOW.timestamp()
    told = ask(client, nodes=["gone-1"], **{"from": at_s - 1_800, "to": at_s - 900})
    assert [(one["standing"], minutes_ago(one["to_s"])) for one in told["nodes"]["gone-1"]] == [
        ("offline", 20),
        ("online", 15),
    ]
    assert len(told["events"]) == 1


def test_when_nobody_could_be_heard_is_told(site: Site, client: httpx.Client) -> None:
    start_ms = int(NOW.timestamp() * 1000) - 600_000
    with redis.Redis.from_url(site.settings.redis_url.get_secret_value()) as store:
        store.zadd(keys.OUTAGES, {f"{start_ms}-{start_ms + 9_000}": start_ms + 9_000})
        try:
            assert ask(client)["outages"] == [[start_ms / 1000, start_ms / 1000 + 9]]
            assert ask(client, **{"from": "now-5m"})["outages"] == []
        finally:
            store.delete(keys.OUTAGES)


def test_refused_and_late_batches_are_told_for_their_nodes(client: httpx.Client) -> None:
    now_s = time.time()
    batches = [{"node": "here-1", "ts": now_s - 1_200 + n * 10, "metrics": {"load.1m": 1.0}} for n in range(30)]
    for ten in (batches[:10], batches[10:20], batches[20:]):
        assert client.post("/api/v1/snapshots", json=ten).status_code == 202
    assert client.post("/api/v1/snapshots", json={"node": "here-1", "metrics": {"a b": 1}}).json()["refused"] == 1
    told = until(client, lambda told: bool(told["late"] and told["refused"]), nodes=["here-1"])
    (late,) = told["late"]
    assert (late["node"], round(now_s - late["from_s"]), round(now_s - late["to_s"])) == ("here-1", 1_200, 910)
    assert late["at_s"] == pytest.approx(now_s, abs=WITHIN_S)
    (refused,) = told["refused"]
    assert (refused["node"], refused["what"]) == ("here-1", "1 sample refused") and "metric name" in refused["detail"]
    other = ask(client, nodes=["gone-1"])
    assert (other["late"], other["refused"]) == ([], [])


def until(client: httpx.Client, holds: Any, **asked: Any) -> dict[str, Any]:
    deadline_s = time.monotonic() + WITHIN_S
    while not holds(told := ask(client, **asked)):
        assert time.monotonic() < deadline_s, told
        time.sleep(0.1)
    return told


def test_what_is_told_is_bounded_and_says_so(client: httpx.Client) -> None:
    told = ask(client, nodes=[f"n{number}" for number in range(130)], metrics=["m"] * 500)
    assert told["left_out"] == 30
    assert told["is_cut"] is False


def test_nothing_of_another_account_is_told(site: Site, client: httpx.Client) -> None:
    stranger = new_tenant(site, "overlay-stranger")
    with site.client(authorization=f"Bearer {stranger.key}") as other:
        told = ask(other, nodes=["gone-1", "here-1"])
    assert {name: told[name] for name in ("nodes", "events", "conditions", "refused", "late")} == {
        "nodes": {},
        "events": [],
        "conditions": [],
        "refused": [],
        "late": [],
    }


@pytest.mark.parametrize(
    ("body", "status"), [({"from": "now", "to": "now-1h"}, 422), ({"surprise": 1}, 422), ({"from": "soon"}, 422)]
)
def test_what_cannot_be_read_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert client.post("/api/v1/overlay", json=body).status_code == status
