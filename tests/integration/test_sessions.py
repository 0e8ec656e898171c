"""Sign-in links work once, sessions end when they should; on both databases."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, select

from domain.accounts import Role
from domain.errors import NotFound
from domain.ids import UserId
from schema import accounts, events, memberships, sessions, users
from schema.accounts import First
from schema.control.engine import reading
from schema.control.tables import metadata
from schema.memberships import Belonging
from schema.sessions import Terms, Viewer
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def first(control: Engine) -> First:
    made = accounts.ensure_first(control, NOW)
    assert made is not None
    return made


def sign_in(control: Engine, user_id: UserId, now: datetime = NOW, terms: Terms = sessions.USUAL) -> str:
    token = sessions.redeem(control, sessions.create_link(control, user_id, now, 60), now, terms)
    assert token is not None
    return token


def seen_account(control: Engine, token: str) -> str | None:
    viewer = sessions.find(control, token, NOW)
    return viewer.account_name if viewer else None


def rows(control: Engine, table: str) -> int:
    with reading(control) as conn:
        return len(conn.execute(select(metadata.tables[table])).all())


def test_a_link_becomes_a_session(control: Engine, first: First) -> None:
    viewer = sessions.find(control, sign_in(control, first.user_id), NOW)
    home = Belonging(first.account_id, "home", Role.OWNER)
    assert viewer == Viewer(first.user_id, "owner@localhost", None, first.account_id, "home", Role.OWNER, (home,))
    assert (viewer.actor, viewer.called) == (f"user/{first.user_id}", "owner@localhost")


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


def test_another_account_can_be_chosen_in_one_session(control: Engine, first: First) -> None:
    work = accounts.create(control, "work", "owner@localhost", NOW + DAY)
    strange = accounts.create(control, "strange", "other@example.org", NOW)
    here, there = sign_in(control, first.user_id), sign_in(control, first.user_id)
    sessions.choose(control, here, work.id)
    assert [seen_account(control, token) for token in (here, there)] == ["work", "home"]
    with pytest.raises(NotFound):
        sessions.choose(control, here, strange.id)
    with pytest.raises(NotFound):
        sessions.choose(control, "no session", first.account_id)
    assert seen_account(control, here) == "work"


def test_who_is_taken_out_of_the_chosen_account_sees_another(control: Engine, first: First) -> None:
    work = accounts.create(control, "work", "boss@example.org", NOW)
    memberships.grant(control, work.id, first.user_id, Role.VIEWER, NOW + DAY, actor="system")
    token = sign_in(control, first.user_id)
    sessions.choose(control, token, work.id)
    memberships.revoke(control, work.id, first.user_id, NOW, actor="system")
    assert seen_account(control, token) == "home"


def test_a_person_without_an_account_is_still_someone(control: Engine, first: First) -> None:
    guest = events.retrying(control, lambda conn: users.find_or_create(conn, "guest@example.org", NOW))
    token = sign_in(control, guest.id)
    assert sessions.find(control, token, NOW) is None
    person = sessions.find_person(control, token, NOW)
    assert person is not None
    assert (person.user_id, person.called) == (guest.id, "guest@example.org")
    assert sessions.find_person(control, token, NOW + 14 * DAY) is None


def test_a_new_session_ends_the_one_the_browser_had(control: Engine, first: First) -> None:
    old, other = sign_in(control, first.user_id), sign_in(control, first.user_id)
    new = sign_in(control, first.user_id, terms=Terms(replaces=old))
    assert [sessions.find(control, token, NOW) is not None for token in (old, other, new)] == [False, True, True]


def test_a_link_that_does_not_work_ends_no_session(control: Engine, first: First) -> None:
    old = sign_in(control, first.user_id)
    assert sessions.redeem(control, "spent", NOW, Terms(replaces=old)) is None
    assert sessions.find(control, old, NOW) is not None


def test_sessions_are_listed_and_end_one_by_one(control: Engine, first: First) -> None:
    accounts.create(control, "other", "other@example.org", NOW)
    (stranger,) = memberships.list_for(control, accounts.named(control, "other")[0].id)
    phone = sign_in(control, first.user_id, NOW, Terms(browser="Safari on iPhone"))
    desk = sign_in(control, first.user_id, NOW + MINUTE, Terms(browser="Firefox on Linux"))
    over = sign_in(control, first.user_id, NOW, Terms(idle_days=0))
    listed = sessions.list_for(control, first.user_id, NOW + MINUTE)
    assert [(one.id, one.browser) for one in listed] == [
        (sessions.session_id(desk), "Firefox on Linux"),
        (sessions.session_id(phone), "Safari on iPhone"),
    ]
    assert sessions.find(control, over, NOW) is None
    sessions.end_one(control, stranger.user_id, sessions.session_id(phone))
    assert sessions.find(control, phone, NOW) is not None
    sessions.end_one(control, first.user_id, sessions.session_id(phone))
    assert sessions.find(control, phone, NOW) is None
    assert sessions.find(control, desk, NOW) is not None


def test_all_others_can_be_ended(control: Engine, first: First) -> None:
    here, there = sign_in(control, first.user_id), sign_in(control, first.user_id)
    assert sessions.end_all(control, first.user_id, spare=here) == 1
    assert [sessions.find(control, token, NOW) is not None for token in (here, there)] == [True, False]


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
