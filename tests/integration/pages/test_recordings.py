"""What was kept of live views: listed with its size, renamed and deleted by whoever began it, closed to others."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.accounts import Role
from domain.live import Wish
from schema import nodes, recordings
from schema.recordings import Recording
from tests.integration.pages.site import HTML, Site, Tenant, new_member, new_tenant

WITHIN_S = 40
"""A drain that other tests made fail waits up to 15 s before it tries again."""


@pytest.fixture
def tenant(site: Site) -> Tenant:
    found = new_tenant(site, f"keeper-{time.time_ns()}")
    nodes.register(site.control, found.account_id, "web-1", None, datetime.now(UTC))
    return found


def kept(site: Site, tenant: Tenant, note: str = "the slow deploy", node: str = "web-1") -> Recording:
    """One of two minutes that ended a minute ago."""
    began = datetime.now(UTC) - timedelta(minutes=3)
    wish = Wish(node, ("cpu.user", "load.1m"), 1_000)
    return recordings.start(
        site.control, tenant.account_id, wish, timedelta(minutes=2), note, began, actor=f"user/{uuid4()}"
    )


def until(is_true: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + WITHIN_S
    while not is_true():
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


def test_the_list_tells_what_was_kept_and_how_much(site: Site, tenant: Tenant) -> None:
    one = kept(site, tenant)
    inside, outside = one.started_at.timestamp() + 5, one.ends_at.timestamp() + 5
    with site.client(authorization=f"Bearer {tenant.key}") as agent:
        for ts in (inside, inside + 1, outside):
            body = {"node": "web-1", "ts": ts, "metrics": {"cpu.user": 1, "other": 2}}
            agent.post("/api/v1/snapshots", json=body).raise_for_status()
    with site.client(tenant.session, **HTML) as browser:
        until(lambda: ">2<span" in browser.get("/recordings").text)
        page = browser.get("/recordings").text
        assert f'href="/recordings/{one.id}"' in page
        assert all(words in page for words in ("the slow deploy", "web-1", "cpu.user, load.1m", "2m"))
        assert "the slow deploy" in browser.get("/recordings?node=web-1").text
        assert "Nothing was kept yet of web-2" in browser.get("/recordings?node=web-2").text


def test_its_name_is_changed_and_it_is_deleted(site: Site, tenant: Tenant) -> None:
    one = kept(site, tenant)
    with site.client(tenant.session, **HTML, **{"sec-fetch-site": "same-origin"}) as browser:
        answer = browser.post(f"/recordings/{one.id}/name", data={"note": "<b>noon</b>", "of": "web-1"})
        assert answer.headers["location"] == "/recordings?node=web-1&said=renamed"
        page = browser.get(answer.headers["location"]).text
        assert "&lt;b&gt;noon&lt;/b&gt;" in page and "Its name is changed." in page
        assert browser.post(f"/recordings/{one.id}/delete").headers["location"] == "/recordings?said=deleted"
        assert browser.get(f"/recordings/{one.id}").status_code == 404
        assert "Nothing was kept yet" in browser.get("/recordings").text


def test_one_that_runs_is_ended_from_the_list(site: Site, tenant: Tenant) -> None:
    with site.client(tenant.session, **HTML, **{"sec-fetch-site": "same-origin"}) as browser:
        begun = browser.post("/recordings", data={"node": "web-1", "metric": "load.1m", "minutes": "5"}).json()
        assert "running" in browser.get("/recordings").text
        browser.post(f"/recordings/{begun['id']}/end")
        page = browser.get("/recordings?said=stopped").text
        assert "running" not in page and "Nothing more is kept for it." in page


def test_a_viewer_changes_only_what_they_began(site: Site, tenant: Tenant) -> None:
    theirs = kept(site, tenant)
    with site.client(new_member(site, tenant, Role.VIEWER), **HTML, **{"sec-fetch-site": "same-origin"}) as browser:
        for act in ("name", "delete"):
            assert browser.post(f"/recordings/{theirs.id}/{act}", data={"note": "x"}).status_code == 403
        begun = browser.post("/recordings", data={"node": "web-1", "metric": "load.1m", "minutes": "5"}).json()
        page = browser.get("/recordings").text
        assert f"/recordings/{begun['id']}/delete" in page and f"/recordings/{theirs.id}/delete" not in page
        assert browser.post(f"/recordings/{begun['id']}/delete").status_code == 303


def test_another_account_sees_and_changes_nothing(site: Site, tenant: Tenant) -> None:
    one = kept(site, tenant)
    stranger = new_tenant(site, f"stranger-{time.time_ns()}")
    with site.client(stranger.session, **HTML, **{"sec-fetch-site": "same-origin"}) as browser:
        assert "the slow deploy" not in browser.get("/recordings?node=web-1").text
        for act in ("name", "delete", "end"):
            assert browser.post(f"/recordings/{one.id}/{act}", data={"note": "x"}).status_code == 404
    assert recordings.find(site.control, tenant.account_id, one.id) == one
