"""A live view against the real stores: it outlives a Redis that forgets, and names what the agent does not measure."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import redis

from schema import keys, nodes
from tests.integration.pages.site import WITHIN_S, Site, Tenant, new_tenant

NODE, EVERY_MS = "web-1", 500
TOLD_AFTER_S = 3.0
"""What is not measured is named when others came for so long."""


@pytest.fixture
def tenant(site: Site) -> Tenant:
    found = new_tenant(site, f"looker-{time.time_ns()}")
    nodes.register(site.control, found.account_id, NODE, None, datetime.now(UTC))
    return found


class Look:
    """One open stream: what its events said."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []

    def read(self, answer: httpx.Response) -> None:
        name = ""
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                {"stage": self.stages, "points": self.points}[name].append(json.loads(value))


@contextmanager
def looking(site: Site, tenant: Tenant, *metrics: str) -> Iterator[Look]:
    query = {"node": NODE, "metric": list(metrics), "every_ms": EVERY_MS}
    look = Look()
    with site.client(tenant.session) as browser, browser.stream("GET", "/live/stream", params=query) as answer:
        assert answer.status_code == 200
        reading = threading.Thread(target=_quietly, args=(look, answer))
        reading.start()
        yield look
        answer.close()
    reading.join(WITHIN_S)


def _quietly(look: Look, answer: httpx.Response) -> None:
    try:
        look.read(answer)
    except (httpx.HTTPError, httpx.StreamError):
        return


def ping(site: Site, tenant: Tenant) -> dict[str, Any] | None:
    with site.client(authorization=f"Bearer {tenant.key}") as agent:
        asked: dict[str, Any] | None = agent.post("/api/v1/ping", json={"node": NODE}).json()["live"]
    return asked


def post(site: Site, tenant: Tenant, **metrics: float) -> dict[str, Any]:
    body = {"node": NODE, "snapshots": [{"ts": time.time(), "metrics": metrics}]}
    with site.client(authorization=f"Bearer {tenant.key}") as agent:
        told: dict[str, Any] = agent.post("/api/v1/live", json=body).json()
    return told


def until(is_true: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + WITHIN_S
    while not is_true():
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


def test_viewers_attach_again_when_redis_has_lost_all_leases(site: Site, tenant: Tenant) -> None:
    with looking(site, tenant, "cpu") as look:
        assert (ping(site, tenant) or {})["metrics"] == ["cpu"]
        with redis.Redis.from_url(site.settings.redis_url.get_secret_value()) as client:
            assert client.delete(keys.live_ask(tenant.account_id, NODE), keys.live_viewers(tenant.account_id, NODE))
        until(lambda: ping(site, tenant) is not None)
        post(site, tenant, cpu=1.0)
        until(lambda: bool(look.points))
    until(lambda: ping(site, tenant) is None)


def test_what_the_agent_does_not_measure_is_named_beside_what_streams(site: Site, tenant: Tenant) -> None:
    with looking(site, tenant, "cpu", "moon.phase") as look:
        began_s = time.monotonic()
        while not (look.stages and look.stages[-1]["missing"]):
            assert post(site, tenant, cpu=1.0)["live"]["metrics"] == ["cpu", "moon.phase"]
            assert time.monotonic() - began_s < WITHIN_S
            time.sleep(0.2)
        assert time.monotonic() - began_s >= TOLD_AFTER_S
        assert (look.stages[-1]["stage"], look.stages[-1]["missing"]) == ("live", ["moon.phase"])
        post(site, tenant, **{"moon.phase": 0.5})
        until(lambda: look.stages[-1]["missing"] == [])
