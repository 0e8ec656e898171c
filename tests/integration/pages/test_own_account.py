"""The platform's own account: its figures get there, only operators see them, and no outage hides itself."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from domain import own_dashboard
from domain.accounts import Role
from domain.own_account import ACCOUNT, DASHBOARD
from schema import accounts, api_keys, dashboards, memberships, own_account, sessions, users
from schema.control import migrate as control_migrate
from schema.control.engine import open_control
from schema.control.tables import memberships as members
from tests.integration.pages.site import HTML, WITHIN_S, Site, Tenant, free_port, new_link, new_tenant, serving

EARLIER = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def own(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on the same stores with a control DB of its own, that reports itself when it is told to."""
    folder: Path = tmp_path_factory.mktemp("own")
    changed = {
        "database_url": SecretStr(f"sqlite:///{folder}/control.db"),
        "spool_dir": folder / "spool",
        "port": free_port(),
    }
    settings = site.settings.model_copy(update=changed)
    control = open_control(f"sqlite:///{folder}/control.db")
    control_migrate.upgrade(control)
    with serving(settings) as app:
        yield Site(settings.base_url, app, settings, control)
    control.dispose()


@pytest.fixture(scope="module")
def operator(own: Site) -> Tenant:
    return new_tenant(own, "operator")


@pytest.fixture(scope="module")
def other(own: Site, operator: Tenant) -> Tenant:
    return new_tenant(own, "other")


@pytest.fixture(scope="module")
def key(own: Site, operator: Tenant) -> str:
    """Reads the platform's own account, once there is one."""
    assert own_account.ensure(own.control, "", datetime.now(UTC))
    return api_keys.create(own.control, ACCOUNT, "test", ["read"], datetime.now(UTC)).secret


def report(own: Site, now_s: float) -> None:
    """Have the process report itself once, in its own loop."""
    reports = own.app.state.own_reports
    loop = own.app.state.ingest.stored._loop
    asyncio.run_coroutine_threadsafe(reports.report(now_s), loop).result(WITHIN_S)


def points(own: Site, key: str, metric: str) -> dict[str, list[float]]:
    """The times of a metric's samples, by node."""
    asked = {"metric": metric, "from": "now-20m", "to": "now", "step": "1"}
    with own.client(authorization=f"Bearer {key}") as client:
        answer = client.get("/api/v1/series", params=asked)
    return {series["node"]: series["ts"] for series in answer.json()["series"]}


def wait_for(own: Site, key: str, metric: str, count: int) -> dict[str, list[float]]:
    deadline_s = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline_s:
        found = points(own, key, metric)
        if sum(map(len, found.values())) >= count:
            return found
        time.sleep(0.1)
    pytest.fail(f"{metric} never came: {found}")


def page(own: Site, tenant: Tenant, path: str, **form: str) -> httpx.Response:
    with own.client(tenant.session, **HTML) as client:
        if form:
            return client.post(path, data=form, headers={"sec-fetch-site": "same-origin"})
        return client.get(path)


def test_nobody_reports_while_nobody_operates(own: Site) -> None:
    assert not own_account.ensure(own.control, "", datetime.now(UTC))
    report(own, time.time())
    assert accounts.find(own.control, ACCOUNT) is None


def test_figures_are_samples_of_the_own_account(own: Site, key: str) -> None:
    report(own, time.time())
    found = wait_for(own, key, "metrist.spool_bytes", 1)
    assert [node.rpartition("/")[2] for node in found] == ["api"]
    stores = wait_for(own, key, "metrist.table_parts", 1)
    assert list(stores) == ["platform"]
    owners = [member for member in memberships.list_for(own.control, ACCOUNT) if member.role == Role.OWNER]
    assert [member.email for member in owners] == ["operator@example.org"]
    with own.client(authorization=f"Bearer {key}") as client:
        nodes = {node["node"] for node in client.get("/api/v1/metrics").json()["series"]}
    assert "platform" in nodes


def test_what_a_failing_ingest_does_not_take_comes_later_with_its_time(
    own: Site, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(own, time.time() - 300)
    before = wait_for(own, key, "metrist.process_open_fds", 1)
    room, held_s = own.app.state.ingest.room, [float(int(time.time()) - 200 + 10 * n) for n in range(5)]
    monkeypatch.setattr(room, "_reserve_bytes", 10**18)
    monkeypatch.setattr(room, "_spool_seen_s", 0)
    for now_s in held_s:
        report(own, now_s)
    assert len(own.app.state.own_reports.waiting) == 5
    assert "5 reports" in _platform(own).text, "the page asks the process itself"
    monkeypatch.undo()
    room._spool_seen_s = 0
    report(own, time.time())
    assert not own.app.state.own_reports.waiting
    (after,) = wait_for(own, key, "metrist.process_open_fds", sum(map(len, before.values())) + 6).values()
    assert set(held_s) <= set(after)
    short = points(own, key, "metrist.disk_short")
    assert short, "and the gap says why"


def _platform(own: Site) -> httpx.Response:
    owner = users.find_by_email(own.control, "operator@example.org")
    assert owner
    session = sessions.redeem(own.control, new_link(own, "operator@example.org"), datetime.now(UTC))
    with own.client(session, **HTML) as client:
        return client.get("/settings/platform")


def test_operators_find_page_and_dashboard_and_nobody_else(
    own: Site, key: str, operator: Tenant, other: Tenant
) -> None:
    assert 'href="/settings/platform"' in page(own, operator, "/settings/account").text
    seen = page(own, operator, "/settings/platform")
    assert seen.status_code == 200 and "ClickHouse" in seen.text
    assert 'href="/settings/platform"' not in page(own, other, "/settings/account").text
    assert page(own, other, "/settings/platform").status_code == 404
    assert page(own, other, "/settings/platform/dashboard", x="").status_code == 404
    assert page(own, other, f"/dashboards/{DASHBOARD}").status_code == 404
    opened = page(own, operator, "/settings/platform/dashboard", x="")
    assert (opened.status_code, opened.headers["location"]) == (303, f"/dashboards/{DASHBOARD}")
    assert "Metrist itself" in page(own, operator, f"/dashboards/{DASHBOARD}").text


def test_who_operates_signs_in_to_an_account_of_theirs(own: Site, key: str, operator: Tenant) -> None:
    session = sessions.redeem(own.control, new_link(own, operator.email), datetime.now(UTC))
    assert session
    with own.control.begin() as conn:  # as of a platform that knew its operators before they had an account
        earlier = update(members).where(members.c.account_id == ACCOUNT).values(granted_at=EARLIER)
        conn.execute(earlier)
    viewer = sessions.find(own.control, session, datetime.now(UTC))
    assert viewer and viewer.account_id == operator.account_id
    assert ACCOUNT in {account.account_id for account in viewer.accounts}


def test_operators_are_those_whom_the_settings_name(own: Site, key: str, operator: Tenant, other: Tenant) -> None:
    def owners() -> set[str | None]:
        found: list[Any] = list(memberships.list_for(own.control, ACCOUNT))
        return {member.email for member in found if member.role == Role.OWNER}

    now = datetime.now(UTC)
    assert own_account.ensure(own.control, f"{other.email.upper()}, nobody@example.org", now)
    assert owners() == {other.email}
    assert page(own, operator, "/settings/platform").status_code == 404
    assert own_account.ensure(own.control, "", now)
    assert owners() == {operator.email}


def test_the_dashboard_follows_releases_until_a_person_saves_it(
    own: Site, key: str, operator: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved() -> tuple[int, str]:
        found = dashboards.find(own.control, ACCOUNT, DASHBOARD)
        return found.version, found.document.title

    ours, now = own_dashboard.document(), datetime.now(UTC)
    later = type(ours)(ours.format, ours.version, "Of the next release")
    assert saved() == (1, "Metrist itself")
    monkeypatch.setattr(own_dashboard, "document", lambda: later)
    for _ in range(2):
        own_account.ensure(own.control, "", now)
    assert saved() == (2, "Of the next release")
    owner = users.find_by_email(own.control, operator.email)
    assert owner
    theirs = type(ours)(ours.format, ours.version, "Theirs")
    dashboards.save(own.control, ACCOUNT, DASHBOARD, theirs, 2, now, actor=f"user/{owner.id}")
    monkeypatch.undo()
    own_account.ensure(own.control, "", now + timedelta(seconds=1))
    assert saved() == (3, "Theirs")
    dashboards.delete(own.control, ACCOUNT, DASHBOARD, now, actor=f"user/{owner.id}")
    own_account.ensure(own.control, "", now)
    assert [one.title for one in dashboards.list_for(own.control, ACCOUNT)] == []


def test_the_first_account_is_made_beside_it(own: Site, key: str, tmp_path: Path) -> None:
    engine = open_control(f"sqlite:///{tmp_path}/control.db")
    control_migrate.upgrade(engine)
    assert accounts.ensure_first(engine, datetime.now(UTC))
    assert own_account.ensure(engine, "", datetime.now(UTC))
    assert accounts.ensure_first(engine, datetime.now(UTC)) is None
    assert [account.name for account in accounts.list_all(engine)] == ["home", "Metrist itself"]
    engine.dispose()
