"""The log and the state folded from it, on both databases and under races."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from domain.errors import Conflict, InvalidBody, StoreUnavailable
from domain.events import NewEvent
from domain.nodes import NodeState
from schema import accounts, api_keys, nodes
from schema import events as log
from schema.control import tables
from schema.control.engine import open_control, reading
from schema.rebuild import Difference, rebuild
from tests.racing import race
from tests.state import rows_of

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
CREATED = NewEvent("account_created", {"name": "home"})


def renamed(name: str) -> NewEvent:
    return NewEvent("account_renamed", {"name": name}, "user/me")


def append(engine: Engine, stream: str, version: int, *new: NewEvent, now: datetime = NOON) -> int:
    with engine.begin() as conn:
        return log.append(conn, stream, version, new, now)


def a_stream() -> str:
    return f"account/{uuid4()}"


def test_events_and_their_row_are_written_together(control: Engine) -> None:
    stream = a_stream()
    assert append(control, stream, 0, CREATED, renamed("work")) == 2
    with reading(control) as conn:
        first, second = log.read(conn, stream)
        row = conn.execute(select(tables.accounts)).one()
    assert (first.version, first.type, first.payload, first.actor, first.at) == (
        1,
        "account_created",
        {"name": "home"},
        "system",
        NOON,
    )
    assert (second.version, second.actor, str(second.account_id)) == (2, "user/me", stream.removeprefix("account/"))
    assert (row.name, row.created_at, row.version) == ("work", NOON, 2)


def test_times_are_utc_whatever_zone_they_came_in(control: Engine) -> None:
    from_afar = NOON.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    stream = a_stream()
    append(control, stream, 0, CREATED, now=from_afar)
    with reading(control) as conn:
        at = log.read(conn, stream)[0].at
    assert (at, at.tzinfo) == (NOON, UTC)


def test_a_time_without_zone_is_refused(control: Engine) -> None:
    with pytest.raises(Exception, match="no instant"):
        append(control, a_stream(), 0, CREATED, now=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_a_writer_who_read_another_version_loses(control: Engine, expected: int) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)
    with pytest.raises(Conflict):
        append(control, stream, expected, renamed("work"))
    with reading(control) as conn:
        assert len(log.read(conn, stream)) == 1
        assert conn.scalar(select(tables.accounts.c.name)) == "home"


def test_no_news_is_no_event(control: Engine) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)
    assert append(control, stream, 1) == 1


@pytest.mark.parametrize("name", ["a\x00b", {"deep": ["a\x00"]}, {"\x00": 1}], ids=["text", "deep", "key"])
def test_what_one_database_could_not_store_is_refused_on_both(control: Engine, name: object) -> None:
    with pytest.raises(InvalidBody, match=r"U\+0000"):
        append(control, a_stream(), 0, NewEvent("account_created", {"name": name}))


def test_of_two_writers_on_one_stream_one_wins(control: Engine) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)
    for version in range(1, 21):
        outcomes = race(2, partial(_rename_at, control, stream, version))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "int"]
        winner = outcomes.index(version + 1)
        with reading(control) as conn:
            assert conn.scalar(select(tables.accounts.c.name)) == f"writer {winner}"
            assert len(log.read(conn, stream)) == version + 1
    assert rebuild(control).is_identical


def test_a_twin_that_only_the_constraint_sees_is_a_conflict_too(control: Engine) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)
    twin = {"stream": stream, "version": 1, "type": "x", "payload": {}, "actor": "system", "at": NOON}
    with pytest.raises(Conflict), control.begin() as conn:
        conn.execute(insert(tables.events).values(twin))


def test_who_retries_gets_through(control: Engine) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)

    def add(conn: Connection) -> int:
        return log.append(conn, stream, log.version_of(conn, stream), [renamed("x")], NOON)

    outcomes = race(6, lambda _: [log.retrying(control, add) for _ in range(5)])
    versions = [version for outcome in outcomes if isinstance(outcome, list) for version in outcome]
    assert sorted(versions) == list(range(2, 32))


def test_who_always_loses_is_told_so(control: Engine) -> None:
    tries = []

    def lose(conn: Connection) -> None:
        tries.append(conn)
        raise Conflict("again")

    with pytest.raises(Conflict, match="again"):
        log.retrying(control, lose)
    assert len(tries) == log.TRIES


def test_a_follower_of_the_log_misses_nothing_and_sees_nothing_twice(control: Engine) -> None:
    seen: list[int] = []
    is_over = threading.Event()

    def write() -> None:
        for _ in range(25):
            append(control, a_stream(), 0, CREATED, renamed("x"))

    def follow() -> None:
        is_last = False
        while not is_last:
            is_last = is_over.wait(0.002)  # a follower that never rests holds up writers of its own process
            with reading(control) as conn:
                seen.extend(one.seq for one in log.after(conn, seen[-1] if seen else 0, 1_000))

    follower = threading.Thread(target=follow)
    follower.start()
    outcomes = race(4, lambda _: write())
    is_over.set()
    follower.join()
    assert outcomes == [None] * 4
    with reading(control) as conn:
        assert seen == [one.seq for one in log.after(conn, 0, 1_000)]
    assert len(seen) == 4 * 25 * 2


def test_the_log_is_read_in_pages(control: Engine) -> None:
    for _ in range(5):
        append(control, a_stream(), 0, CREATED)
    with reading(control) as conn:
        first = log.after(conn, 0, 3)
        rest = log.after(conn, first[-1].seq, 3)
    assert [len(first), len(rest)] == [3, 2]
    assert first[-1].seq < rest[0].seq


def test_readers_do_not_wait_for_a_writer(control: Engine) -> None:
    stream = a_stream()
    append(control, stream, 0, CREATED)
    with control.begin() as writer:
        log.append(writer, stream, 1, [renamed("work")], NOON)
        with reading(control) as reader:
            assert reader.scalar(select(tables.accounts.c.name)) == "home"


def test_a_database_that_stays_locked_is_a_503(sqlite_control: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.control.engine.BUSY_TIMEOUT_S", 0.1)
    other = open_control(str(sqlite_control.url))
    with sqlite_control.begin(), pytest.raises(StoreUnavailable, match="busy"), other.begin():
        pass
    with other.begin() as conn:  # and afterwards nothing is stuck
        conn.execute(text("DELETE FROM nodes"))
    other.dispose()


def test_a_server_that_is_not_there_is_a_503(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = open_control(f"postgresql://metrist:hunter2@/db?host={tmp_path_factory.getbasetemp()}")
    with pytest.raises(StoreUnavailable) as told, engine.begin():
        pass
    assert "hunter2" not in told.value.detail
    engine.dispose()


def test_no_connection_free_in_time_is_a_503(postgres_control_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.control.engine.POOL_TIMEOUT_S", 0.05)
    engine = open_control(postgres_control_url)
    with ExitStack() as held:
        for _ in range(20):
            held.enter_context(reading(engine))
        with pytest.raises(StoreUnavailable, match="busy"), engine.begin():
            pass
    with reading(engine) as conn:
        assert conn.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_a_connection_that_the_server_dropped_costs_nobody_an_error(postgres_control_url: str) -> None:
    engine, other = open_control(postgres_control_url), open_control(postgres_control_url)
    with reading(engine) as conn:
        backend = conn.scalar(text("SELECT pg_backend_pid()"))
    with other.begin() as conn:
        conn.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
    with reading(engine) as conn:
        assert conn.scalar(text("SELECT pg_backend_pid()")) != backend
    engine.dispose()
    other.dispose()


def test_a_reading_transaction_may_not_write(postgres_control_url: str) -> None:
    engine = open_control(postgres_control_url)
    with pytest.raises(Exception, match="read-only"), reading(engine) as conn:
        conn.execute(text("CREATE TABLE x (y INTEGER)"))
    with engine.begin() as conn:  # the same pooled connection writes again afterwards
        conn.execute(text("CREATE TABLE x (y INTEGER)"))
    engine.dispose()


def _rename_at(db: Engine, stream: str, version: int, writer: int) -> int:
    return append(db, stream, version, renamed(f"writer {writer}"))


def test_rebuild_puts_right_what_was_changed_by_hand_and_says_so(control: Engine) -> None:
    first = accounts.ensure_first(control, NOON)
    assert first is not None
    for name in ("web-1", "web-2"):
        nodes.register(control, first.account_id, name, None, NOON, labels={"role": "web"})
    api_keys.touch_last_used(control, first.account_id, first.key.id, NOON)
    before = rows_of(control)
    with control.begin() as conn:
        conn.execute(tables.nodes.update().where(tables.nodes.c.name == "web-1").values(state="offline"))
        conn.execute(tables.nodes.delete().where(tables.nodes.c.name == "web-2"))
        conn.execute(tables.accounts.insert().values(id=uuid4(), name="forged", created_at=NOON, version=1))
        conn.execute(tables.memberships.update().values(role="viewer"))
    report = rebuild(control)
    assert not report.is_identical
    assert report.differences == {
        "accounts": Difference(missing=0, extra=1, changed=0),
        "memberships": Difference(missing=0, extra=0, changed=1),
        "nodes": Difference(missing=1, extra=0, changed=1),
    }
    assert rows_of(control) == before
    assert api_keys.list_for(control, first.account_id)[0].last_used_at == NOON
    assert rebuild(control).is_identical


def test_rebuild_of_more_than_one_batch(control: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.rebuild.BATCH", 3)
    account = accounts.create(control, "home", None, NOON)
    for n in range(10):
        nodes.register(control, account.id, f"node-{n}", None, NOON)
        for state in (NodeState.LATE, NodeState.OFFLINE)[: n % 3]:
            nodes.transition(
                control, account.id, nodes.list_for(control, account.id)[n].id, state, cause="silence", now=NOON
            )
    before = rows_of(control)
    with control.begin() as conn:
        conn.execute(tables.nodes.delete())
    assert rebuild(control).differences == {"nodes": Difference(missing=10, extra=0, changed=0)}
    assert rows_of(control) == before


def test_rebuild_can_run_beside_writers(control: Engine) -> None:
    account = accounts.create(control, "home", None, NOON)

    def write_or_rebuild(number: int) -> bool:
        if number == 0:
            return all(rebuild(control).is_identical for _ in range(5))
        return all(nodes.register(control, account.id, f"{number}-{n}", None, NOON) for n in range(20))

    assert race(3, write_or_rebuild) == [True] * 3
    assert len(nodes.list_for(control, account.id)) == 40
    assert rebuild(control).is_identical
