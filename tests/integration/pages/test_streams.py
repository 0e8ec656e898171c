"""Open pages hear of changes by themselves, and cost nothing when closed."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import redis.asyncio

from dashboards.node_list.looks import LOG_EVERY_S
from domain.nodes import NodeState
from schema import keys, node_changes, nodes
from tests.integration.pages.site import HOSTILE, Site, Tenant, new_tenant


def test_a_stream_tells_all_first_and_then_what_changes(site: Site, ours: Tenant) -> None:
    with (
        site.client(ours.session, accept="text/event-stream") as browser,
        browser.stream("GET", "/nodes/stream") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = _messages(answer)
        first = next(told)
        assert first["whole"] and {HOSTILE, "stream", "rack/web-1"} <= {node["name"] for node in first["nodes"]}
        now = datetime.now(UTC)
        nodes.register(site.control, ours.account_id, "newcomer", None, now)
        asyncio.run(_publish(site, ours, "node_registered"))
        started_s = time.monotonic()
        assert any(node["name"] == "newcomer" for message in told for node in message.get("nodes", ()))
        assert time.monotonic() - started_s < 5


@pytest.fixture(scope="module")
def many(site: Site) -> Tenant:
    """An account with nodes for two pages and a half."""
    tenant = new_tenant(site, "many")
    now = datetime.now(UTC)
    nodes.register_many(site.control, tenant.account_id, [f"n-{n}" for n in range(250)], now)
    nodes.register(site.control, tenant.account_id, "labelled", None, now, labels={"env": "prod"})
    return tenant


def test_a_stream_tells_of_the_rows_of_its_page_only(site: Site, many: Tenant) -> None:
    with _stream(site, many, {"page": "2", "q": "n-"}) as told:
        first = next(told)
        assert first["order"] == [f"n-{n}" for n in range(100, 200)]
        assert [node["name"] for node in first["nodes"]] == first["order"]
        summary = first["summary"]
        assert (summary["all"], summary["active"], summary["page"], summary["pages"]) == (251, 250, 2, 3)
        _move(site, many, "n-7", NodeState.LATE)
        asyncio.run(_publish(site, many, "node_late"))
        counted = next(message for message in told if "summary" in message)
        assert counted["summary"]["counts"] == {"online": 249, "late": 1}
        assert "nodes" not in counted and "order" not in counted
        _move(site, many, "n-107", NodeState.LATE)
        asyncio.run(_publish(site, many, "node_late"))
        changed = next(message for message in told if "nodes" in message)
        assert changed["nodes"] == [{"name": "n-107", "state": "late"}]


def test_a_stream_follows_its_filter(site: Site, many: Tenant) -> None:
    with _stream(site, many, {"q": "env=prod"}) as told:
        assert next(told)["order"] == ["labelled"]
        nodes.register(site.control, many.account_id, "another", None, datetime.now(UTC), labels={"env": "prod"})
        asyncio.run(_publish(site, many, "node_registered"))
        assert next(message["order"] for message in told if "order" in message) == ["another", "labelled"]


def test_accounts_hear_nothing_of_each_other(site: Site, ours: Tenant, theirs: Tenant) -> None:
    with _stream(site, ours) as told:
        assert "canary" not in json.dumps(next(told))
        nodes.register(site.control, theirs.account_id, "canary-2", None, datetime.now(UTC))
        asyncio.run(_publish(site, theirs, "node_registered"))
        asyncio.run(_publish(site, ours, "node_registered"))
        assert "canary" not in json.dumps([next(told), next(told)])
    with _stream(site, ours, {"node": "canary"}) as told:
        assert next(told)["nodes"] == []


def test_viewers_of_one_account_share_their_looks(site: Site, many: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what is no event of a node make anyone look."""
    with _stream(site, many) as one, _stream(site, many, {"sort": "-name"}) as two:
        assert next(one)["order"] != next(two)["order"]
        reads: list[float] = []
        read = node_changes.read_since

        def counted(*arguments: Any) -> Any:
            reads.append(time.monotonic())
            return read(*arguments)

        monkeypatch.setattr(node_changes, "read_since", counted)
        until_s = time.monotonic() + 2 * LOG_EVERY_S + 1
        while time.monotonic() < until_s:
            asyncio.run(_publish(site, many, "door"))
            time.sleep(0.1)
        assert 1 <= len(reads) <= 3


def test_a_browser_that_does_not_read_is_told_all_in_one_message(site: Site, many: Tenant) -> None:
    with _stream(site, many, {"q": "labelled"}) as told:
        next(told)
        (follower,) = site.app.state.watches.of(many.account_id)._followers
        follower.message = lambda *_: None  # type: ignore[method-assign]  # as if its socket took nothing
        for state in (NodeState.LATE, NodeState.OFFLINE, NodeState.ONLINE, NodeState.LATE):
            _move(site, many, "labelled", state)
            asyncio.run(_publish(site, many, "node_late"))
            time.sleep(0.4)
        del follower.message
        assert next(message for message in told if "nodes" in message)["nodes"][0]["state"] == "late"


def test_a_stream_of_one_node_is_silent_about_others(site: Site, ours: Tenant) -> None:
    with (
        site.client(ours.session, accept="text/event-stream") as browser,
        browser.stream("GET", "/nodes/stream", params={"node": "rack/web-1"}) as answer,
    ):
        told = _messages(answer)
        names = {node["name"] for message in (next(told), next(told)) for node in message["nodes"]}
    assert names == {"rack/web-1"}


def test_nothing_is_watched_when_nobody_looks(site: Site, ours: Tenant) -> None:
    with (
        site.client(ours.session, accept="text/event-stream") as browser,
        browser.stream("GET", "/nodes/stream") as answer,
    ):
        messages = _messages(answer)  # kept: a generator that is let go closes the answer
        next(messages)
        watch = site.app.state.watches.of(ours.account_id)
        assert watch.is_followed
    deadline_s = time.monotonic() + 5
    while watch.is_followed and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not watch.is_followed


@contextmanager
def _stream(site: Site, tenant: Tenant, query: dict[str, str] | None = None) -> Iterator[Iterator[Any]]:
    """The messages that an open page gets."""
    with (
        site.client(tenant.session, accept="text/event-stream") as browser,
        browser.stream("GET", "/nodes/stream", params=query) as answer,
    ):
        messages = _messages(answer)  # kept: a generator that is let go closes the answer
        yield messages


def _messages(answer: httpx.Response) -> Iterator[Any]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _move(site: Site, tenant: Tenant, name: str, state: NodeState) -> None:
    node = nodes.find(site.control, tenant.account_id, name)
    assert node
    nodes.transition(site.control, tenant.account_id, node.id, state, cause="a test", now=datetime.now(UTC))


async def _publish(site: Site, tenant: Tenant, kind: str) -> None:
    async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as client:
        await client.publish(keys.events_channel(tenant.account_id), json.dumps({"type": kind}))
