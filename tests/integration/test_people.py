"""Invitations, and what members may do to each other, on both databases: judged in the transaction, races included."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from domain.accounts import Role
from domain.audit import KINDS
from domain.errors import Forbidden, InvalidBody, LimitReached, NotFound
from domain.events import Event
from domain.ids import AccountId, UserId
from domain.invitations import LASTS, OPEN_MAX
from schema import accounts, api_keys, audit, events, invitations, memberships, nodes, users
from schema.audit import Search
from schema.control import tables
from schema.control.engine import reading
from schema.invitations import Accepted
from schema.rebuild import rebuild
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def user(control: Engine, name: str) -> UserId:
    return events.retrying(control, lambda conn: users.find_or_create(conn, f"{name}@example.org", NOW)).id


class People:
    """An account with an owner, an admin and a viewer, and a stranger to it."""

    def __init__(self, control: Engine) -> None:
        self.control = control
        self.account_id = accounts.create(control, "home", "ada@example.org", NOW).id
        self.owner, self.admin, self.viewer, self.stranger = (
            user(control, name) for name in ("ada", "grace", "linus", "mallory")
        )
        for user_id, role in ((self.admin, Role.ADMIN), (self.viewer, Role.VIEWER)):
            memberships.grant(control, self.account_id, user_id, role, NOW, actor="system")

    def roles(self) -> dict[UserId, Role]:
        return {member.user_id: member.role for member in memberships.list_for(self.control, self.account_id)}

    def change(self, by: UserId, of: UserId, role: Role) -> None:
        memberships.change(self.control, self.account_id, of, role, NOW, by=by)

    def remove(self, by: UserId, of: UserId) -> None:
        memberships.remove(self.control, self.account_id, of, NOW, by=by)

    def invite(self, by: UserId, role: Role = Role.VIEWER, note: str = "", at: datetime = NOW) -> str:
        return invitations.create(self.control, self.account_id, role, note, at, by=by).token

    def accept(self, token: str, who: UserId, at: datetime = NOW) -> Accepted:
        return invitations.accept(self.control, token, who, at)

    def waiting(self, at: datetime = NOW) -> list[str]:
        return [one.note for one in invitations.list_open(self.control, self.account_id, at)]

    def history(self, kind: str) -> list[Event]:
        with reading(self.control) as conn:
            return [event for event in events.after(conn, 0, 10_000) if event.type.startswith(kind)]


@pytest.fixture
def people(control: Engine) -> People:
    return People(control)


WHO = ("owner", "admin", "viewer", "stranger")
ALLOWED: list[tuple[str, Callable[[People, UserId], None], set[str]]] = [
    ("make a viewer an admin", lambda all_, by: all_.change(by, all_.viewer, Role.ADMIN), {"owner", "admin"}),
    ("make a viewer an owner", lambda all_, by: all_.change(by, all_.viewer, Role.OWNER), {"owner"}),
    ("make an admin a viewer", lambda all_, by: all_.change(by, all_.admin, Role.VIEWER), {"owner", "admin"}),
    ("remove a viewer", lambda all_, by: all_.remove(by, all_.viewer), {"owner", "admin", "viewer"}),
    ("remove an admin", lambda all_, by: all_.remove(by, all_.admin), {"owner", "admin"}),
    ("remove an owner", lambda all_, by: all_.remove(by, all_.owner), set()),
    ("invite a viewer", lambda all_, by: all_.invite(by) and None, {"owner", "admin"}),
    ("invite an admin", lambda all_, by: all_.invite(by, Role.ADMIN) and None, {"owner", "admin"}),
    ("invite an owner", lambda all_, by: all_.invite(by, Role.OWNER) and None, {"owner"}),
    (
        "hand the account over",
        lambda all_, by: memberships.transfer(all_.control, all_.account_id, all_.viewer, NOW, by=by),
        {"owner"},
    ),
]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("what", "act", "allowed"), ALLOWED, ids=[row[0] for row in ALLOWED])
def test_who_may_do_what(
    people: People, who: str, what: str, act: Callable[[People, UserId], None], allowed: set[str]
) -> None:
    before = (people.roles(), people.waiting())
    if who in allowed:
        act(people, getattr(people, who))
        assert (people.roles(), people.waiting()) != before
    else:
        with pytest.raises(Forbidden):
            act(people, getattr(people, who))
        assert (people.roles(), people.waiting()) == before


def test_the_account_is_handed_over_in_one_step(people: People) -> None:
    memberships.transfer(people.control, people.account_id, people.viewer, NOW, by=people.owner)
    assert people.roles() == {people.owner: Role.ADMIN, people.admin: Role.ADMIN, people.viewer: Role.OWNER}
    assert rebuild(people.control).is_identical
    with pytest.raises(NotFound):
        memberships.transfer(people.control, people.account_id, people.stranger, NOW, by=people.viewer)
    with pytest.raises(Forbidden, match="owner already"):
        memberships.transfer(people.control, people.account_id, people.viewer, NOW, by=people.viewer)


def test_who_is_demoted_and_demotes_at_once_does_one_of_both(people: People) -> None:
    """Two admins take each other's role: the second finds that they are no admin any more."""
    other = user(people.control, "other")
    for _ in range(5):
        for admin in (people.admin, other):
            memberships.grant(people.control, people.account_id, admin, Role.ADMIN, NOW, actor="system")
        pairs = [(people.admin, other), (other, people.admin)]
        outcomes = race(2, lambda n, pairs=pairs: people.change(*pairs[n], Role.VIEWER))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Forbidden", "NoneType"]
        assert sorted([people.roles()[people.admin], people.roles()[other]]) == ["admin", "viewer"]


def test_an_invitation_lets_one_person_in(people: People) -> None:
    token = people.invite(people.admin, Role.VIEWER, "  for Mallory ")
    found = invitations.find(people.control, token, NOW)
    assert (found.account_name, found.role, found.inviter, found.note) == (
        "home",
        "viewer",
        "grace@example.org",
        "for Mallory",
    )
    assert found.expires_at == NOW + LASTS
    assert people.accept(token, people.viewer) == Accepted(people.account_id, was_member=True)
    assert people.waiting() == ["for Mallory"]
    assert people.accept(token, people.stranger) == Accepted(people.account_id, was_member=False)
    assert people.roles()[people.stranger] == Role.VIEWER
    assert people.waiting() == []
    with pytest.raises(NotFound):
        people.accept(token, user(people.control, "late"))
    assert rebuild(people.control).is_identical


def test_of_several_who_come_with_one_link_one_gets_in(people: People) -> None:
    token = people.invite(people.owner)
    guests = [user(people.control, f"guest{n}") for n in range(6)]
    outcomes = race(6, lambda n: people.accept(token, guests[n]))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Accepted", *["NotFound"] * 5]
    assert len(people.roles().keys() & set(guests)) == 1
    assert len(people.history("invitation_accepted")) == 1


def test_accepting_and_revoking_at_once_is_one_of_both(people: People) -> None:
    for n in range(5):
        guest, token = user(people.control, f"guest{n}"), people.invite(people.owner)
        (one,) = invitations.list_open(people.control, people.account_id, NOW)
        acts: list[Callable[[], object]] = [
            lambda guest=guest, token=token: people.accept(token, guest),
            lambda one=one: invitations.revoke(people.control, people.account_id, one.id, NOW, by=people.owner),
        ]
        outcomes = race(2, lambda k, acts=acts: acts[k]())
        assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 1
        assert (guest in people.roles()) == isinstance(outcomes[0], Accepted)


BAD_TOKENS: list[tuple[str, Callable[[str], str]]] = [
    ("none", lambda token: ""),
    ("only the public id", lambda token: token[:16]),
    ("another secret", lambda token: token[:17] + "A" * 43),
    ("another id", lambda token: "0" * 16 + token[16:]),
    ("longer", lambda token: token + "A"),
    ("a line after it", lambda token: token + "\n"),
    ("upper case", lambda token: token[:16].upper() + token[16:]),
]


@pytest.mark.parametrize("spoil", [case[1] for case in BAD_TOKENS], ids=[case[0] for case in BAD_TOKENS])
def test_another_link_opens_nothing(people: People, spoil: Callable[[str], str]) -> None:
    token = people.invite(people.owner)
    spoilt = spoil(token)
    if spoilt == token:
        pytest.skip("the id has no letters")
    with pytest.raises(NotFound):
        invitations.find(people.control, spoilt, NOW)
    with pytest.raises(NotFound):
        people.accept(spoilt, people.stranger)
    assert people.stranger not in people.roles()


def test_an_invitation_ends_after_a_week_and_is_cleared_away(people: People) -> None:
    token = people.invite(people.owner, note="old")
    people.accept(people.invite(people.owner), people.stranger, NOW + LASTS - SECOND)
    with pytest.raises(NotFound, match="too old"):
        people.accept(token, user(people.control, "late"), NOW + LASTS)
    assert people.waiting(NOW + LASTS) == []
    people.invite(people.owner, note="new", at=NOW + LASTS)
    with reading(people.control) as conn:
        assert conn.scalar(select(func.count()).select_from(tables.invitations)) == 1


def test_the_secret_of_an_invitation_is_nowhere(people: People) -> None:
    secret = people.invite(people.owner).partition("_")[2]
    with reading(people.control) as conn:
        everything = "".join(str(row) for table in tables.metadata.sorted_tables for row in conn.execute(select(table)))
    assert secret not in everything


def test_nobody_comes_in_on_the_word_of_who_has_left_or_been_demoted(people: People) -> None:
    links = {who: people.invite(getattr(people, who), note=who) for who in ("owner", "admin")}
    people.change(people.owner, people.admin, Role.VIEWER)
    assert people.waiting() == ["owner"]
    with pytest.raises(NotFound):
        people.accept(links["admin"], people.stranger)
    of_owner = people.invite(people.owner, Role.OWNER, "as owner")
    memberships.transfer(people.control, people.account_id, people.admin, NOW, by=people.owner)
    assert people.waiting() == ["owner"]
    with pytest.raises(NotFound):
        people.accept(of_owner, people.stranger)
    people.remove(people.admin, people.owner)
    assert people.waiting() == []
    assert rebuild(people.control).is_identical


def test_there_are_not_too_many_invitations(people: People) -> None:
    for _ in range(OPEN_MAX):
        people.invite(people.owner)
    with pytest.raises(LimitReached):
        people.invite(people.owner)
    people.invite(people.owner, at=NOW + LASTS)


@pytest.mark.parametrize("note", ["x" * 101, "a\x1bb", "a\x00b"])
def test_notes_that_people_could_not_read_are_refused(people: People, note: str) -> None:
    with pytest.raises(InvalidBody):
        people.invite(people.owner, note=note)


def test_another_account_revokes_nothing_here(people: People) -> None:
    people.invite(people.owner, note="ours")
    (one,) = invitations.list_open(people.control, people.account_id, NOW)
    other = accounts.create(people.control, "other", "mallory@example.org", NOW).id
    with pytest.raises(NotFound):
        invitations.revoke(people.control, other, one.id, NOW, by=people.stranger)
    with pytest.raises(NotFound):
        memberships.remove(people.control, other, people.viewer, NOW, by=people.stranger)
    assert people.waiting() == ["ours"]


def test_an_account_is_configured(people: People) -> None:
    for after_s in (600, None):
        accounts.configure(people.control, people.account_id, after_s, NOW, actor="user/me")
        account = accounts.find(people.control, people.account_id)
        assert account is not None
        assert account.deregister_after_s == after_s
    assert len(people.history("account_configured")) == 2
    assert rebuild(people.control).is_identical


def test_one_person_makes_so_many_accounts_and_no_more(control: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "OWNED_MAX", 3)
    ada = user(control, "ada")
    outcomes = race(6, lambda n: accounts.create_for(control, f"account {n}", ada, NOW))
    assert sum(isinstance(outcome, LimitReached) for outcome in outcomes) == 3
    assert len(accounts.list_of(control, ada)) == 3


def test_a_person_is_called_otherwise(control: Engine) -> None:
    ada = user(control, "ada")
    for name, called in ((" Ada  Lovelace ", "Ada Lovelace"), ("", None)):
        users.rename(control, ada, name, NOW)
        found = users.find_by_email(control, "ada@example.org")
        assert found is not None
        assert (found.name, found.email) == (called, "ada@example.org")
    with pytest.raises(InvalidBody):
        users.rename(control, ada, "a\x00b", NOW)
    assert rebuild(control).is_identical


class Log:
    """An account with a little history, and another that has one like it."""

    def __init__(self, control: Engine) -> None:
        self.control = control
        self.account_id = self.fill("ada", "web-1")
        self.other = self.fill("mallory", "canary")

    def fill(self, name: str, node: str) -> AccountId:
        account_id = accounts.create(self.control, f"{name}'s", f"{name}@example.org", NOW).id
        owner = user(self.control, name)
        invitations.create(self.control, account_id, Role.ADMIN, f"from {name}", NOW + DAY, by=owner)
        api_keys.create(self.control, account_id, f"{name} key", ["read"], NOW + 2 * DAY, actor=f"user/{owner}")
        nodes.register(self.control, account_id, node, None, NOW + 3 * DAY)
        nodes.remove(self.control, account_id, node, NOW + 4 * DAY, actor=f"user/{owner}")
        return account_id

    def find(self, search: Search, below: int | None = None, at_most: int = 50) -> list[str]:
        page = audit.read(self.control, self.account_id, search, below, at_most)
        return [entry.sentence for entry in page.entries]


@pytest.fixture
def log(control: Engine) -> Log:
    return Log(control)


ALL = [
    "ada@example.org removed web-1",
    "web-1 reported for the first time",
    "ada@example.org made the API key ada key for read",
    "ada@example.org invited someone as an admin, “from ada”",
    "Metrist let ada@example.org in as an owner",
    "Metrist made the account ada's",
]
FOUND: list[tuple[str, Search, list[int]]] = [
    ("everything", Search(), [0, 1, 2, 3, 4, 5]),
    ("nodes", Search(kind="nodes"), [0, 1]),
    ("keys", Search(kind="keys"), [2]),
    ("people", Search(kind="people"), [3, 4]),
    ("account", Search(kind="account"), [5]),
    ("by the platform", Search(actor="system"), [4, 5]),
    ("by a node", Search(actor="node/"), [1]),
    ("words in any order and case", Search(text="WEB-1 ada"), [0]),
    ("words that are nowhere", Search(text="canary"), []),
    ("from a day on", Search(since=NOW + 3 * DAY), [0, 1]),
    ("until a day", Search(until=NOW + DAY), [4, 5]),
    ("all at once", Search("nodes", "node/", "web", NOW, NOW + 4 * DAY), [1]),
    ("what LIKE would take for anything", Search(actor="no_e/"), []),
]


@pytest.mark.parametrize(("what", "search", "expected"), FOUND, ids=[row[0] for row in FOUND])
def test_the_log_is_found_by(log: Log, what: str, search: Search, expected: list[int]) -> None:
    assert log.find(search) == [ALL[place] for place in expected]


def test_a_person_finds_what_they_did(log: Log) -> None:
    assert log.find(Search(actor=f"user/{user(log.control, 'ada')}")) == [ALL[0], *ALL[2:4]]


def test_pages_of_the_log_follow_on_each_other(log: Log) -> None:
    below, told = None, []
    while True:
        page = audit.read(log.control, log.account_id, Search(), below, 4)
        told += [entry.sentence for entry in page.entries]
        if page.older is None:
            break
        below = page.older
    assert told == ALL


def test_a_search_for_words_says_how_far_it_came(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    monkeypatch.setattr(audit, "LOOKS_AT_MOST", 4)
    page = audit.read(log.control, log.account_id, Search(text="account"), None, 50)
    assert (page.entries, page.looked_to) == ([], NOW + DAY)
    page = audit.read(log.control, log.account_id, Search(text="account"), page.older, 50)
    assert [entry.sentence for entry in page.entries] == ALL[5:]
    assert page.older is None


def test_all_of_the_log_comes_in_batches(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    batches = list(audit.read_all(log.control, log.account_id, Search()))
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert [entry.sentence for batch in batches for entry in batch] == ALL


def test_every_kind_of_stream_of_an_account_can_be_found() -> None:
    of_people = {"user", "identity"}
    assert {kind for kinds in KINDS.values() for kind in kinds} == set(tables.STATES) - of_people
