"""Whatever happened, in whatever order: state is the fold of the log, on both databases."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from domain.accounts import Role
from domain.errors import MetristError, NotFound
from domain.events import FOLDS, fold_all
from domain.identities import Profile
from domain.ids import AccountId, UserId
from domain.live import Wish
from domain.monitor_folds import MONITOR_FOLDS
from domain.nodes import NodeState, Said
from domain.notice_folds import NOTICE_FOLDS
from schema import accounts, api_keys, events, identities, invitations, memberships, nodes, recordings, users
from schema.control import tables
from schema.control.engine import reading
from schema.control.tables import STATES
from schema.rebuild import rebuild
from tests.racing import race
from tests.state import rows_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=11)
"""Longer than another instance of a node must rest to be news."""
MANY = 4


class Story:
    """Accounts, their people, keys and nodes, to which things happen; `n` says to which, and how."""

    def __init__(self, control: Engine) -> None:
        self.control = control
        self.now = NOON
        self.account = accounts.create(control, "home", "ada@example.org", NOON).id
        self.links: list[str] = []

    def tell(self, operation: str, n: int) -> None:
        """What may not be is refused, and leaves no trace."""
        self.now += STEP
        try:
            OPERATIONS[operation](self, n)
        except MetristError:
            return

    def user(self, n: int) -> UserId:
        work = f"user{n}@example.org"
        return events.retrying(self.control, lambda conn: users.find_or_create(conn, work, self.now)).id

    def profile(self, n: int) -> Profile:
        """The same person by another login each time."""
        return Profile("github", "https://github.example", str(n), f"login-{n}-{self.now:%H%M}", email=None)

    def other(self) -> AccountId:
        found = accounts.named(self.control, "other")
        if not found:
            raise NotFound("There is no other account")
        return found[0].id

    @property
    def owner(self) -> UserId:
        """Whoever it is by now."""
        members = memberships.list_for(self.control, self.account)
        return next(member.user_id for member in members if member.role == Role.OWNER)

    def node(self, n: int) -> nodes.NodeRow:
        found = nodes.find(self.control, self.account, f"node-{n}")
        return found or nodes.register(self.control, self.account, f"node-{n}", None, self.now)

    def contact(self, n: int) -> None:
        said = Said(
            f"instance-{self.now:%H}", {"n": str(n)}, {"load": n / 3, "cpus": [n]}, is_ephemeral=self.now.hour % 2 == 0
        )
        nodes.meet(self.control, self.account, {f"node-{n}": said}, self.now)

    def away(self, n: int) -> None:
        node = self.node(n)
        with self.control.begin() as conn:
            until = self.now + timedelta(minutes=n)
            nodes.note_away_in(conn, self.account, node.id, until, reason="restart", now=self.now)

    def back(self, n: int) -> None:
        node = self.node(n)
        with self.control.begin() as conn:
            nodes.note_back_in(conn, self.account, node.id, now=self.now)

    def clash(self, n: int) -> None:
        node = self.node(n)
        with self.control.begin() as conn:
            nodes.note_clash_in(conn, self.account, node.id, ("a1", "b2"), now=self.now)

    def part(self, n: int) -> None:
        node = self.node(n)
        with self.control.begin() as conn:
            nodes.note_clash_over_in(conn, self.account, node.id, 60 * n, now=self.now)

    def move(self, n: int) -> None:
        for state in list(NodeState)[n:]:
            nodes.transition(self.control, self.account, self.node(n).id, state, cause="test", now=self.now)

    def invite(self, n: int) -> None:
        role = list(Role)[n % len(Role)]
        made = invitations.create(self.control, self.account, role, f"note {n}", self.now, by=self.owner)
        self.links.append(made.token)

    def uninvite(self, n: int) -> None:
        for one in invitations.list_open(self.control, self.account, self.now)[n : n + 1]:
            invitations.revoke(self.control, self.account, one.id, self.now, by=self.owner)

    def revoke_key(self, n: int) -> None:
        for key in api_keys.list_for(self.control, self.account)[:n]:
            api_keys.revoke(self.control, self.account, key.id, self.now)

    def record(self, n: int) -> None:
        wish = Wish(f"node-{n}", ("load.1m",), 1_000)
        recordings.start(self.control, self.account, wish, timedelta(minutes=5), "", self.now, actor="system")

    def call(self, n: int) -> None:
        for found in recordings.list_for(self.control, self.account, f"node-{n}"):
            recordings.rename(self.control, self.account, found.id, f"name {self.now:%H%M}", self.now, actor="system")

    def discard(self, n: int) -> None:
        for found in recordings.list_for(self.control, self.account, f"node-{n}")[:1]:
            recordings.delete(self.control, self.account, found.id, self.now, actor="system")

    def stop(self, n: int) -> None:
        for found in recordings.list_for(self.control, self.account, f"node-{n}"):
            recordings.stop(
                self.control, self.account, found.id, found.started_at + timedelta(seconds=1), actor="system"
            )


OPERATIONS: dict[str, Callable[[Story, int], object]] = {
    "rename": lambda s, n: accounts.rename(s.control, s.account, f"name {n}", s.now, actor="system"),
    "configure": lambda s, n: accounts.configure(
        s.control, s.account, [None, 3600, 7200][n % 3], s.now, actor="system"
    ),
    "found": lambda s, n: accounts.create(s.control, "other", f"user{n}@example.org", s.now),
    "end": lambda s, n: accounts.delete(s.control, s.other(), s.now, actor="system"),
    "sign in": lambda s, n: identities.enter(s.control, s.profile(n), s.now, may_register=True),
    "connect": lambda s, n: identities.link(s.control, s.user(n), s.profile(MANY + n), s.now),
    "disconnect": lambda s, n: identities.unlink(s.control, s.user(n), "github", s.now),
    "be called": lambda s, n: users.rename(s.control, s.user(n), f"name {s.now:%H%M}", s.now),
    "join": lambda s, n: memberships.grant(s.control, s.account, s.user(n), list(Role)[n % 3], s.now, actor="system"),
    "leave": lambda s, n: memberships.revoke(s.control, s.account, s.user(n), s.now, actor="system"),
    "promote": lambda s, n: memberships.change(s.control, s.account, s.user(n), Role.ADMIN, s.now, by=s.owner),
    "hand over": lambda s, n: memberships.transfer(s.control, s.account, s.user(n), s.now, by=s.owner),
    "invite": Story.invite,
    "accept": lambda s, n: s.links and invitations.accept(s.control, s.links.pop(), s.user(MANY + n), s.now),
    "uninvite": Story.uninvite,
    "key": lambda s, n: api_keys.create(s.control, s.account, f"key {n}", ["read"], s.now),
    "revoke": Story.revoke_key,
    "contact": Story.contact,
    "move": Story.move,
    "away": Story.away,
    "back": Story.back,
    "clash": Story.clash,
    "part": Story.part,
    "remove": lambda s, n: nodes.remove(s.control, s.account, f"node-{n}", s.now, actor="system"),
    "record": Story.record,
    "stop": Story.stop,
    "call": Story.call,
    "discard": Story.discard,
}
ELSEWHERE = {
    *MONITOR_FOLDS,
    *NOTICE_FOLDS,
    *(kind for kind in FOLDS if kind.startswith(("dashboard_", "share_"))),
}
"""Told by the tests of what they belong to."""


def folded(engine: Engine) -> dict[str, set[str]]:
    """Every stream folded here, in Python, and written as text: by state table."""
    found: dict[str, set[str]] = {table.name: set() for table in STATES.values()}
    with reading(engine) as conn:
        for stream in conn.scalars(select(tables.events.c.stream).distinct()):
            table, _ = events.identity(stream)
            row = fold_all(None, events.read(conn, stream))
            if row is not None:
                found[table.name].add(repr({column.name: row[column.name] for column in table.columns}))
    return found


def assert_state_is_the_fold(engine: Engine) -> None:
    before = rows_of(engine)
    assert folded(engine) == {name: {repr(row) for row in rows} for name, rows in before.items()}
    assert rebuild(engine).is_identical
    assert rows_of(engine) == before


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, MANY - 1)), max_size=20))
def test_state_is_the_fold_of_the_log(control: Engine, told: list[tuple[str, int]]) -> None:
    story = Story(control)
    for operation, n in told:
        story.tell(operation, n)
    assert_state_is_the_fold(control)


def test_every_kind_of_event_is_in_such_a_story(control: Engine) -> None:
    """Else the law above would hold for fewer than it says."""
    story = Story(control)
    last = {"leave", "end", "remove", "discard"}
    for operations in (OPERATIONS.keys() - last, OPERATIONS.keys() - last, last):
        for operation in sorted(operations):
            for n in range(MANY):
                story.tell(operation, n)
    with reading(control) as conn:
        kinds = set(conn.scalars(select(tables.events.c.type).distinct()))
    assert FOLDS.keys() - ELSEWHERE - kinds == set()
    assert_state_is_the_fold(control)


def _two_roles(story: Story, writer: int) -> None:
    memberships.grant(
        story.control, story.account, story.user(1), list(Role)[writer % len(Role)], story.now, actor=f"user/{writer}"
    )


def _two_names(story: Story, writer: int) -> None:
    accounts.rename(story.control, story.account, f"name {secrets.token_hex(4)}", story.now, actor="system")


def _two_calls(story: Story, writer: int) -> None:
    users.rename(story.control, story.owner, f"name {secrets.token_hex(4)}", story.now)


@pytest.mark.parametrize("change", [_two_roles, _two_names, _two_calls], ids=["membership", "account", "user"])
def test_several_who_change_one_thing_at_once_do_so_one_after_another(
    control: Engine, change: Callable[[Story, int], None]
) -> None:
    story = Story(control)
    story.user(1)
    for _ in range(3):
        outcomes = race(4, lambda writer: change(story, writer))
        assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    with reading(control) as conn:
        for stream in conn.scalars(select(tables.events.c.stream).distinct()):
            versions = [event.version for event in events.read(conn, stream)]
            assert versions == list(range(1, len(versions) + 1)), stream
    assert_state_is_the_fold(control)
