"""What we ask of nodes: issued, leased by pings, settled by reports; on a real Redis."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
import redis
import redis.asyncio

from domain.commands import LEASE_MOST, LEASE_MS, Command, CommandId, CommandState, Kind, order
from domain.ids import AccountId
from schema import commands, heartbeats, keys
from schema.heartbeats import Beat, Expected, Finished
from tests.valkey_server import Calls, Valkey

HOME, STRANGER = AccountId(UUID(int=1)), AccountId(UUID(int=2))
NOW = 1_800_000_000_000
HOUR_MS = 3_600_000


class Orders(Calls):
    """The calls of schema.commands, as an API process makes them, for one node."""

    def issue(self, kind: Kind = Kind.NOOP, now_ms: int = NOW, lasts_ms: int = HOUR_MS, **options: object) -> Command:
        command = order("web-1", kind, now_ms, lasts_ms, **options)  # type: ignore[arg-type]
        self.superseded = self.run(lambda client: commands.issue(client, HOME, command))
        return command

    def ping(self, now_ms: int, *finished: Finished, account_id: AccountId = HOME, node: str = "web-1") -> Beat:
        asked = Expected(10_000, 3)
        return self.run(
            lambda client: heartbeats.beat(client, account_id, node, now_ms, asked, finished=list(finished))
        )

    def lease(self, now_ms: int) -> list[CommandId]:
        return ids(self.run(lambda client: commands.lease(client, HOME, "web-1", now_ms)))

    def cancel(self, command: Command, now_ms: int) -> bool:
        return self.run(lambda client: commands.cancel(client, HOME, "web-1", command.id, now_ms))

    def read(self, command: Command) -> Command:
        found = self.run(lambda client: commands.read(client, HOME, "web-1", NOW))
        return next(one for one in found if one.id == command.id)


def ids(found: Sequence[Command]) -> list[CommandId]:
    return [command.id for command in found]


@pytest.fixture
def orders(valkey: Valkey, redis_sync: redis.Redis) -> Orders:
    return Orders(valkey, redis_sync)


def test_a_command_comes_with_the_next_ping(orders: Orders) -> None:
    command = orders.issue(payload={"deep": {"list": [1, "ü", None, 0.1]}}, issuer="user/1")
    (leased,) = orders.ping(NOW + 1).commands
    assert (leased.id, leased.kind, leased.issuer, leased.payload) == (
        command.id,
        Kind.NOOP,
        "user/1",
        {"deep": {"list": [1, "ü", None, 0.1]}},
    )
    assert (leased.state, leased.issued_ms, leased.leased_ms, leased.expires_ms) == (
        CommandState.LEASED,
        NOW,
        NOW + 1,
        NOW + HOUR_MS,
    )


def test_a_command_goes_to_its_node_alone(orders: Orders) -> None:
    orders.issue()
    assert orders.ping(NOW + 1, node="web-2").commands == []
    assert orders.ping(NOW + 1, account_id=STRANGER).commands == []
    assert len(orders.ping(NOW + 1).commands) == 1


def test_a_lost_reply_is_sent_again_after_the_lease(orders: Orders) -> None:
    command = orders.issue()
    assert orders.lease(NOW) == [command.id]
    assert orders.lease(NOW + LEASE_MS - 1) == []
    assert orders.lease(NOW + LEASE_MS) == [command.id]
    assert ids(orders.ping(NOW + 2 * LEASE_MS).commands) == [command.id]


def test_a_report_ends_a_command(orders: Orders) -> None:
    done, failed = orders.issue(), orders.issue()
    orders.lease(NOW)
    beat = orders.ping(NOW + 5, Finished(done.id, "done", "gone"), Finished(failed.id, "failed", "no"))
    assert (beat.commands, beat.settled) == ([], [done.id, failed.id])
    assert orders.lease(NOW + LEASE_MS) == []
    found = orders.read(done)
    assert (found.state, found.message, found.ended_ms) == (CommandState.DONE, "gone", NOW + 5)
    assert orders.read(failed).state == CommandState.FAILED


def test_a_repeated_report_is_harmless(orders: Orders) -> None:
    command = orders.issue()
    orders.ping(NOW)
    assert orders.ping(NOW + 1, Finished(command.id, "done")).settled == [command.id]
    assert orders.ping(NOW + 2, Finished(command.id, "failed", "twice")).settled == []
    found = orders.read(command)
    assert (found.state, found.ended_ms, found.message) == (CommandState.DONE, NOW + 1, "")


def test_a_report_on_what_nobody_asked_is_ignored(orders: Orders) -> None:
    assert orders.ping(NOW, Finished("f" * 32, "done")).settled == []


def test_a_command_is_leased_again_and_then_reported(orders: Orders) -> None:
    """The report of the first lease crosses the second one: it counts, and nothing is handed out a third time."""
    command = orders.issue()
    orders.lease(NOW)
    orders.lease(NOW + LEASE_MS)
    assert orders.ping(NOW + LEASE_MS + 1, Finished(command.id, "done")).settled == [command.id]
    assert orders.lease(NOW + 9 * LEASE_MS) == []


def test_an_expired_command_is_not_handed_out(orders: Orders) -> None:
    command = orders.issue(lasts_ms=1_000)
    assert orders.read(command).state_at(NOW + 1_000) == CommandState.EXPIRED
    assert orders.lease(NOW + 1_000) == []
    assert orders.read(command).state == CommandState.EXPIRED
    assert orders.ping(NOW + 1_001, Finished(command.id, "done")).settled == []


def test_a_newer_order_supersedes_the_older_of_its_kind(orders: Orders) -> None:
    noop, first = orders.issue(Kind.NOOP), orders.issue(Kind.DEREGISTER)
    orders.lease(NOW)
    second = orders.issue(Kind.DEREGISTER, NOW + 1)
    assert orders.superseded == [first.id]
    assert orders.read(first).state == CommandState.SUPERSEDED
    assert orders.lease(NOW + 1) == [second.id]
    assert sorted(orders.lease(NOW + 2 * LEASE_MS)) == sorted([noop.id, second.id])


def test_orders_of_other_kinds_stand_beside_each_other(orders: Orders) -> None:
    first, second = orders.issue(Kind.NOOP), orders.issue(Kind.NOOP, NOW + 1)
    assert orders.superseded == []
    assert orders.lease(NOW + 1) == [first.id, second.id]


def test_a_cancelled_command_is_not_handed_out(orders: Orders) -> None:
    command = orders.issue()
    assert orders.cancel(command, NOW + 1)
    assert not orders.cancel(command, NOW + 2)
    assert orders.lease(NOW + 3) == []
    found = orders.read(command)
    assert (found.state, found.ended_ms) == (CommandState.CANCELLED, NOW + 1)


def test_one_reply_brings_a_bounded_number_oldest_first(orders: Orders) -> None:
    issued = [orders.issue(now_ms=NOW + after).id for after in range(LEASE_MOST + 3)]
    assert orders.lease(NOW + 100) == issued[:LEASE_MOST]
    assert orders.lease(NOW + 100) == issued[LEASE_MOST:]


def test_two_pings_at_once_share_the_commands(orders: Orders) -> None:
    issued = [orders.issue().id for _ in range(5)]

    async def both(client: redis.asyncio.Redis) -> list[list[Command]]:
        return await asyncio.gather(*(commands.lease(client, HOME, "web-1", NOW) for _ in range(4)))

    leased = [command for part in orders.run(both) for command in ids(part)]
    assert sorted(leased) == sorted(issued)


def test_an_issue_wakes_whoever_waits(orders: Orders) -> None:
    with orders.sync.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.WAKE)
        channel.get_message(timeout=2)
        orders.issue()
        message = channel.get_message(timeout=2)
    assert message is not None
    assert message["data"] == f"{HOME} web-1".encode()


def test_the_scheduler_issues_alike(orders: Orders) -> None:
    command = order("web-1", Kind.DEREGISTER, NOW, HOUR_MS)
    assert commands.issue_sync(orders.sync, HOME, command) == []
    assert orders.lease(NOW) == [command.id]


def test_records_lapse_a_day_after_the_last_expiry(orders: Orders) -> None:
    orders.issue(lasts_ms=HOUR_MS)
    orders.issue(lasts_ms=60_000)
    for key in (keys.commands(HOME, "web-1"), keys.queue(HOME, "web-1")):
        assert abs(orders.sync.pttl(key) - (HOUR_MS + commands.KEEP_MS)) < 60_000, key


def test_ended_records_go_with_the_next_issue_after_a_day(orders: Orders) -> None:
    ended = orders.issue()
    orders.cancel(ended, NOW)
    orders.issue(now_ms=NOW + commands.KEEP_MS + 1)
    assert ended.id.encode() not in orders.sync.hkeys(keys.commands(HOME, "web-1"))
