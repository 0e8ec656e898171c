"""Open pages hear of changes by themselves, and cost nothing when closed."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import redis.asyncio

from schema import keys, nodes
from tests.integration.pages.site import HOSTILE, Site, Tenant


def test_a_stream_tells_all_first_and_then_what_changes(site: Site, ours: Tenant) -> None:
    with (
        site.client(ours.session, accept="text/event-stream") as browser,
        browser.stream("GET", "/nodes/stream") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = _messages(answer)
        first = next(told)
        assert first["whole"] and {node["name"] for node in first["nodes"]} == {HOSTILE, "stream", "rack/web-1"}
        now = datetime.now(UTC)
        nodes.register(site.control, ours.account_id, "newcomer", None, now)
        asyncio.run(_publish(site, ours))
        started_s = time.monotonic()
        assert any(node["name"] == "newcomer" for message in told for node in message["nodes"])
        assert time.monotonic() - started_s < 5


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


def _messages(answer: httpx.Response) -> Iterator[dict[str, list[dict[str, object]]]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def _publish(site: Site, tenant: Tenant) -> None:
    async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as client:
        await client.publish(keys.events_channel(tenant.account_id), '{"type":"node_registered","node":"newcomer"}')
