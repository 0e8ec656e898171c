"""Dashboards and links to them in the control DB, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, func, select

from domain import dashboards as rules
from domain.dashboards import Document
from domain.errors import InvalidBody, LimitReached, NotFound, Outdated
from domain.ids import AccountId
from schema import accounts, dashboards, shares, users
from schema.control.engine import reading
from schema.control.tables import events
from schema.dashboards import Dashboard
from schema.rebuild import rebuild
from tests.racing import race

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOBODY = f"user/{UUID(int=9)}"


@pytest.fixture
def home(control: Engine) -> AccountId:
    return accounts.create(control, "home", "ada@example.org", NOON).id


@pytest.fixture
def elsewhere(control: Engine) -> AccountId:
    return accounts.create(control, "elsewhere", "eve@example.org", NOON).id


def document(title: str = "Web", **changes: Any) -> Document:
    panel = {"type": "text", "id": "a", "x": 0, "y": 0, "w": 3, "h": 2, "text": "Hello"}
    return rules.of({"format": "metrist/dashboard", "version": 1, "title": title, "panels": [panel], **changes})


def actor_of(control: Engine, email: str) -> str:
    found = users.find_by_email(control, email)
    assert found
    return f"user/{found.id}"


def make(control: Engine, account_id: AccountId, title: str = "Web") -> Dashboard:
    return dashboards.create(control, account_id, document(title), NOON, actor=actor_of(control, "ada@example.org"))


def save(control: Engine, made: Dashboard, title: str, version: int) -> Dashboard:
    changed, actor = document(title), actor_of(control, "eve@example.org")
    return dashboards.save(control, made.account_id, made.id, changed, version, NOON + HOUR, actor=actor)


def test_it_is_found_as_it_was_made(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    assert dashboards.find(control, home, made.id) == made
    (listed,) = dashboards.list_for(control, home)
    assert (listed.title, listed.panels, listed.is_shared, listed.saved_by) == ("Web", 1, False, "ada@example.org")
    assert dashboards.list_for(control, elsewhere) == []


def test_every_save_is_a_revision_that_can_come_back(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    assert save(control, made, "Servers", 1).version == 2
    first, second = reversed(dashboards.revisions(control, home, made.id))
    assert (first.title, first.saved_by, second.title, second.saved_by) == (
        "Web",
        "ada@example.org",
        "Servers",
        "eve@example.org",
    )
    old = dashboards.find_revision(control, home, made.id, 1)
    assert (old.document.title, old.version) == ("Web", 1)
    back = dashboards.save(control, home, made.id, old.document, 2, NOON + HOUR, actor=NOBODY, restored=1)
    assert (back.version, dashboards.revisions(control, home, made.id)[0].restored) == (3, 1)
    with pytest.raises(NotFound):
        dashboards.find_revision(control, home, made.id, 9)


def test_saving_what_is_there_already_is_no_revision(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    assert save(control, made, "Web", 1).version == 1
    assert len(dashboards.revisions(control, home, made.id)) == 1


def test_who_comes_second_is_told_who_was_first(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    save(control, made, "Servers", 1)
    with pytest.raises(Outdated) as refused:
        save(control, made, "Mine", 1)
    assert refused.value.extra == {
        "saved_by": "eve@example.org",
        "saved_at": (NOON + HOUR).timestamp(),
        "version": 2,
    }
    assert dashboards.find(control, home, made.id).document.title == "Servers"


def test_of_two_who_save_at_once_one_wins(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)

    outcomes = race(2, lambda n: save(control, made, f"title {n}", 1).version)
    assert sorted(type(outcome) for outcome in outcomes if outcome != 2) == [Outdated]
    assert dashboards.find(control, home, made.id).version == 2


def test_no_other_account_finds_or_changes_it(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    for refused in (
        lambda: dashboards.find(control, elsewhere, made.id),
        lambda: dashboards.find_revision(control, elsewhere, made.id, 1),
        lambda: dashboards.revisions(control, elsewhere, made.id),
        lambda: dashboards.save(control, elsewhere, made.id, document("x"), 1, NOON, actor=NOBODY),
        lambda: dashboards.delete(control, elsewhere, made.id, NOON, actor=NOBODY),
        lambda: share(control, made, account_id=elsewhere),
    ):
        with pytest.raises(NotFound):
            refused()
    assert shares.list_for(control, elsewhere, made.id, NOON) == []
    assert dashboards.find(control, home, made.id) == made


def test_there_are_so_many_and_no_more(control: Engine, home: AccountId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboards, "DASHBOARDS_MAX", 1)
    make(control, home)
    with pytest.raises(LimitReached):
        make(control, home)


def share(
    control: Engine, made: Dashboard, lasts: timedelta | None = None, account_id: AccountId | None = None
) -> shares.NewShare:
    to, fixed = account_id or made.account_id, {"node": "web-1"}
    return shares.create(control, to, made.id, " for\nBob", fixed, lasts, NOON, actor=NOBODY)


def test_a_link_leads_to_its_dashboard_as_it_is_now(control: Engine, home: AccountId, elsewhere: AccountId) -> None:
    made = make(control, home)
    link = share(control, made)
    save(control, made, "Servers", 1)
    found = shares.find(control, link.token, NOON + 10_000 * HOUR)
    assert (found.dashboard.id, found.dashboard.document.title, found.fixed) == (made.id, "Servers", {"node": "web-1"})
    (listed,) = shares.list_for(control, home, made.id, NOON)
    assert (listed.id, listed.note, listed.expires_at) == (link.id, "for Bob", None)
    assert dashboards.list_for(control, home)[0].is_shared
    assert link.token not in repr(link)


def test_only_the_whole_link_is_one(control: Engine, home: AccountId) -> None:
    made = make(control, home)
    link, other = share(control, made), share(control, made)
    secret = link.token.partition("_")[2]
    for wrong in ("", link.id, link.token[:-1], f"{other.id}_{secret}", link.token.upper(), f"{'0' * 16}_{secret}"):
        with pytest.raises(NotFound, match="does not work"):
            shares.find(control, wrong, NOON)
    with reading(control) as conn:
        payloads = list(conn.scalars(select(events.c.payload)))
    assert secret not in repr(payloads)


def test_a_link_ends_when_it_is_revoked_or_its_time_is_over(control: Engine, home: AccountId) -> None:
    made = make(control, home)
    revoked, brief = share(control, made), share(control, made, lasts=HOUR)
    shares.revoke(control, home, made.id, revoked.id, NOON, actor=NOBODY)
    for token, now in ((revoked.token, NOON), (brief.token, NOON + HOUR)):
        with pytest.raises(NotFound, match="does not work"):
            shares.find(control, token, now)
    assert shares.find(control, brief.token, NOON).id == brief.id
    assert shares.list_for(control, home, made.id, NOON + HOUR) == []
    with pytest.raises(NotFound):
        shares.revoke(control, home, made.id, revoked.id, NOON, actor=NOBODY)


def test_links_are_few_and_old_ones_make_room(
    control: Engine, home: AccountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.shares.OPEN_MAX", 1)
    made = make(control, home)
    share(control, made, lasts=HOUR)
    with pytest.raises(LimitReached):
        share(control, made)
    later = NOON + HOUR
    assert shares.create(control, home, made.id, "", {}, None, later, actor=NOBODY)
    with pytest.raises(InvalidBody):
        shares.create(control, home, made.id, "x" * 101, {}, None, later, actor=NOBODY)


def test_a_deleted_dashboard_takes_its_links_along(control: Engine, home: AccountId) -> None:
    made, kept = make(control, home), make(control, home, "Kept")
    link = share(control, made)
    dashboards.delete(control, home, made.id, NOON, actor=NOBODY)
    with pytest.raises(NotFound):
        shares.find(control, link.token, NOON)
    with pytest.raises(NotFound):
        dashboards.find(control, home, made.id)
    assert [one.id for one in dashboards.list_for(control, home)] == [kept.id]


def test_all_of_it_folds_again_and_goes_with_its_account(
    control: Engine, home: AccountId, elsewhere: AccountId
) -> None:
    made = make(control, home)
    share(control, made)
    save(control, made, "Servers", 1)
    make(control, elsewhere)
    assert rebuild(control).is_identical
    accounts.delete(control, home, NOON, actor=NOBODY)
    assert dashboards.list_for(control, home) == []
    with reading(control) as conn:
        theirs = select(func.count()).select_from(events).where(events.c.account_id == home)
        assert conn.scalar(theirs) == 1, "that it was deleted"
    assert rebuild(control).is_identical
    assert len(dashboards.list_for(control, elsewhere)) == 1


def test_thresholds_and_unicode_come_back_as_they_were(control: Engine, home: AccountId) -> None:
    graph = {
        "queries": [{"id": "A", "metric": "cpu.usage_percent", "by": []}],
        "thresholds": [{"value": 80, "label": "höchstens"}, {"value": 1e-9}],
    }
    panel = {"type": "graph", "id": "g", "x": 0, "y": 0, "w": 12, "h": 4, "title": "“CPU” 🙂", "graph": graph}
    given = document(panels=[panel])
    made = dashboards.create(control, home, given, NOON, actor=NOBODY)
    found = dashboards.find(control, home, made.id).document
    assert found == given
    assert msgspec.json.encode(found) == msgspec.json.encode(given)
    assert isinstance(made.id, UUID)
