"""A disk that is almost full: samples are refused in time and in words; pings, reads and pages go on."""

import time
from collections.abc import Iterator

import httpx
import pytest

from domain.room import judge
from tests.integration.pages.site import WITHIN_S, Site, Tenant

MUCH = 10**18


@pytest.fixture(params=["spool", "clickhouse"])
def full(request: pytest.FixtureRequest, site: Site, ours: Tenant) -> Iterator[str]:
    """One of the two disks has less free than it needs, as the real ones tell."""
    room = site.app.state.ingest.room
    before = room._reserve_bytes, room._owed_bytes
    if request.param == "spool":
        room._reserve_bytes = MUCH
        room._clickhouse_seen_s = room._spool_seen_s = 0
        room._spaces.pop("clickhouse", None)
    else:
        room._owed_bytes = lambda: MUCH
        room.look()
    site.app.state.readiness._asked_s = 0
    yield request.param
    room._reserve_bytes, room._owed_bytes = before
    room._spool_seen_s = 0
    room.look()
    assert room.short() is None


def post(site: Site, key: str, path: str, body: object) -> httpx.Response:
    with site.client(authorization=f"Bearer {key}") as client:
        return client.post(path, json=body)


def test_samples_are_refused_and_all_else_goes_on(site: Site, ours: Tenant, browser: httpx.Client, full: str) -> None:
    refused = post(site, ours.key, "/api/v1/snapshots", {"node": f"full-{full}", "metrics": {"x": 1}})
    assert (refused.status_code, refused.headers["retry-after"]) == (507, "30")
    assert refused.json()["type"] == "/docs/problems#storage-full"
    whose = "the server's disk" if full == "spool" else "ClickHouse's disk"
    assert refused.json()["detail"].startswith(f"{whose} is almost full")

    ping = post(site, ours.key, "/api/v1/ping", {"node": "rack/web-1"})
    assert ping.status_code == 200
    with site.client(authorization=f"Bearer {ours.key}") as reader:
        assert reader.get("/api/v1/series", params={"metric": "load.1m", "node": "rack/web-1"}).json()["series"]
        found = reader.get("/readyz")
    assert found.status_code == 200 and found.json()["status"] == "degraded"
    assert found.json()["disk"]["reason"].endswith(f"free space on the disk of {full}")
    assert "A disk of this server is almost full" in browser.get("/nodes").text
    heard = browser.get(f"/nodes/full-{full}")
    assert heard.status_code == 200, "a node whose samples find no room was heard all the same"


def test_samples_are_taken_again_when_there_is_room(site: Site, ours: Tenant, browser: httpx.Client) -> None:
    assert site.app.state.ingest.room.short() is None
    answer = post(site, ours.key, "/api/v1/snapshots", {"node": "rack/web-1", "metrics": {"room.again": 1}})
    assert answer.status_code == 202
    assert "almost full" not in browser.get("/nodes").text


def test_a_clickhouse_that_is_away_is_not_held_to_its_last_word(
    site: Site, ours: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = site.app.state.ingest.room
    monkeypatch.setattr(room, "_owed_bytes", lambda: MUCH)
    room.look()
    assert room.short().name == "clickhouse"
    monkeypatch.setattr(room, "_clickhouse_seen_s", room._clickhouse_seen_s - 61)
    assert room.short() is None
    monkeypatch.undo()
    deadline_s = time.monotonic() + WITHIN_S
    while not any(space.name == "clickhouse" for space in room.spaces()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("free", "was_short", "is_short"),
    [(99, False, True), (100, False, False), (124, True, True), (125, True, False), (100, True, True)],
)
def test_between_the_two_limits_nothing_changes(free: int, was_short: bool, is_short: bool) -> None:
    assert judge("spool", free, 1_000, 100, was_short=was_short).is_short == is_short
