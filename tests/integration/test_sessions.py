"""Sign-in links work once, sessions end when they should; on both databases."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, select

from domain.accounts import Role
from domain.ids import UserId
from schema import accounts, memberships, sessions
from schema.accounts import First
from schema.control.engine import reading
from schema.control.tables import metadata
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def first(control: Engine) -> First:
    made = accounts.ensure_first(control, NOW)
    assert made is not None
    return made


def sign_in(control: Engine, user_id: UserId, now: datetime = NOW) -> str:
    token = sessions.redeem(control, sessions.create_link(control, user_id, now, 60), now, idle_days=14, max_days=90)
    assert token is not None
    return token


def rows(control: Engine, table: str) -> int:
    with reading(control) as conn:
        return len(conn.execute(select(metadata.tables[table])).all())


def test_a_link_becomes_a_session(control: Engine, first: First) -> None:
    viewer = sessions.find(control, sign_in(control, first.user_id), NOW)
    assert viewer == sessions.Viewer(first.user_id, "owner@localhost", first.account_id, "home", Role.OWNER)


def test_a_link_works_once(control: Engine, first: First) -> None:
    link = sessions.create_link(control, first.user_id, NOW, 60)
    assert sessions.redeem(control, link, NOW) is not None
    assert sessions.redeem(control, link, NOW) is None


def test_a_link_redeemed_at_once_by_several_works_for_one(control: Engine, first: First) -> None:
    for _ in range(5):
        link = sessions.create_link(control, first.user_id, NOW, 60)
        outcomes = race(4, partial(_redeem, control, link))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] * 3 + ["str"]


@pytest.mark.parametrize(("minutes", "works"), [(0, True), (59.9, True), (60, False), (61, False)])
def test_a_link_gets_too_old(control: Engine, first: First, minutes: float, works: bool) -> None:
    link = sessions.create_link(control, first.user_id, NOW, 60)
    assert (sessions.redeem(control, link, NOW + minutes * MINUTE) is not None) == works


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "\ud800", "a\x00b"])
def test_a_token_that_nobody_made_opens_nothing(control: Engine, first: First, token: str) -> None:
    sign_in(control, first.user_id)
    assert sessions.redeem(control, token, NOW) is None
    assert sessions.find(control, token, NOW) is None


def test_a_link_is_no_session_and_a_session_no_link(control: Engine, first: First) -> None:
    link = sessions.create_link(control, first.user_id, NOW, 60)
    assert sessions.find(control, link, NOW) is None
    assert sessions.redeem(control, sign_in(control, first.user_id), NOW) is None


def test_a_session_left_alone_ends(control: Engine, first: First) -> None:
    token = sign_in(control, first.user_id)
    assert sessions.find(control, token, NOW + 14 * DAY) is None


def test_being_seen_keeps_a_session_until_its_last_day(control: Engine, first: First) -> None:
    token = sign_in(control, first.user_id)
    seen = [day for day in range(0, 100, 10) if sessions.find(control, token, NOW + day * DAY)]
    assert seen == list(range(0, 90, 10))


def test_being_seen_writes_once_a_minute(control: Engine, first: First) -> None:
    token = sign_in(control, first.user_id)
    written = []
    for second in (0, 59, 60, 61, 119, 120):
        sessions.find(control, token, NOW + timedelta(seconds=second))
        with reading(control) as conn:
            last = conn.execute(select(metadata.tables["sessions"].c.last_seen_at)).scalar_one()
        written.append((last - NOW).total_seconds())
    assert written == [0, 0, 60, 60, 60, 120]


def test_signing_out_ends_one_session(control: Engine, first: First) -> None:
    here, there = sign_in(control, first.user_id), sign_in(control, first.user_id)
    sessions.end(control, here)
    sessions.end(control, here)
    assert sessions.find(control, here, NOW) is None
    assert sessions.find(control, there, NOW) is not None


def test_signing_out_everywhere_ends_all_of_one_user(control: Engine, first: First) -> None:
    accounts.create(control, "other", "other@example.org", NOW)
    (other,) = memberships.list_for(control, accounts.named(control, "other")[0].id)
    mine, theirs = [sign_in(control, first.user_id) for _ in range(2)], sign_in(control, other.user_id)
    unused = sessions.create_link(control, first.user_id, NOW, 60)
    assert sessions.end_all(control, first.user_id) == 2
    assert [sessions.find(control, token, NOW) for token in mine] == [None, None]
    assert sessions.redeem(control, unused, NOW) is None
    assert sessions.find(control, theirs, NOW) is not None


def test_who_is_taken_out_of_the_only_account_sees_nothing_at_once(control: Engine, first: First) -> None:
    account = accounts.create(control, "work", "guest@example.org", NOW)
    (guest,) = memberships.list_for(control, account.id)
    token = sign_in(control, guest.user_id)
    memberships.grant(control, account.id, first.user_id, Role.OWNER, NOW, actor="system")
    memberships.grant(control, account.id, guest.user_id, Role.VIEWER, NOW, actor="system")
    viewer = sessions.find(control, token, NOW)
    assert viewer is not None
    assert viewer.role == Role.VIEWER
    memberships.revoke(control, account.id, guest.user_id, NOW, actor="system")
    assert sessions.find(control, token, NOW) is None


def test_of_several_accounts_the_first_joined_is_shown(control: Engine, first: First) -> None:
    later = accounts.create(control, "a work account", None, NOW)
    memberships.grant(control, later.id, first.user_id, Role.VIEWER, NOW + DAY, actor="system")
    viewer = sessions.find(control, sign_in(control, first.user_id), NOW)
    assert viewer is not None
    assert viewer.account_name == "home"


def test_what_is_over_is_purged(control: Engine, first: First) -> None:
    sign_in(control, first.user_id)
    sign_in(control, first.user_id, NOW + 10 * DAY)
    assert sessions.purge(control, NOW) == 0
    assert sessions.purge(control, NOW + 14 * DAY) == 3  # both links, and the session left alone
    assert (rows(control, "sign_in_links"), rows(control, "sessions")) == (0, 1)


def test_no_token_is_anywhere_in_the_database(control: Engine, first: First) -> None:
    link = sessions.create_link(control, first.user_id, NOW, 60)
    session = sign_in(control, first.user_id)
    with reading(control) as conn:
        everything = "".join(str(row) for table in metadata.sorted_tables for row in conn.execute(select(table)))
    assert link not in everything
    assert session not in everything


def _redeem(control: Engine, link: str, _: int) -> str | None:
    return sessions.redeem(control, link, NOW)
