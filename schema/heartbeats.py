"""Contacts of nodes in Redis: who was heard when, and when the sweep must look again.

Receive time decides. All of it comes again by itself: a lost record with the node's next contact, a lost deadline from
the control DB (workers/sweep.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio

from domain.commands import LEASE_MOST, LEASE_MS, Command, CommandId, Outcome
from domain.ids import AccountId
from domain.live import Ask
from domain.nodes import CLASH_SHOWN, SKEW_SHOWN_S
from schema import commands, keys, live
from schema.lua import Lua, Value, redis_faults

_HEARTBEAT, _TOUCH, _SETTLE = Lua("contact", "lease", "heartbeat"), Lua("contact", "touch"), Lua("settle")
_SETTLED_AT_ONCE = 500
UNKNOWN_INTERVAL_MS = 300_000
"""How often a node is expected that never pinged and has shown no cadence yet; the same in contact.lua."""


class Contact(msgspec.Struct, kw_only=True):
    """What Redis knows of a node; instants in Unix ms by our clock.

    last      last contact; one that is `presumed` never came, but was put in the place of one that Redis lost
    state     as the sweep recorded it last; "" for a node the sweep has not seen yet
    interval  ms between contacts that are expected
    instance  of the last contact that named one; `other` the one before, last heard at `other_last`; both may be the
              same, told apart by their agents' `run` and `other_run`: then a machine was cloned, or only restarted
    clash     when two instances were last seen taking turns under this name; 0 is never, or it is over
    clashing  whether the sweep has recorded that
    skew      ms the agent's clock is ahead of ours, less the time on its way of the quickest of its last few requests
              (`slow` since then, the quickest of which said `slow_skew`); None when it told no time
    bye       why it said goodbye with its last contact, "" when it did not; `away` is the silence in ms it announced
    node      id of the node in the control DB as the sweep knows it; "" for one it has not seen yet
    """

    last: int
    state: str = ""
    interval: int = 0
    pinged: bool = False
    instance: str = ""
    other: str = ""
    other_last: int = 0
    run: str = ""
    other_run: str = ""
    clash: int = 0
    clashing: bool = False
    skew: int | None = None
    slow: int = 0
    slow_skew: int = 0
    bye: str = ""
    away: int = 0
    node: str = ""
    presumed: bool = False

    def clashes(self, now_ms: int) -> bool:
        """Whether two machines share this name just now."""
        return bool(self.clash) and now_ms - self.clash < CLASH_SHOWN.total_seconds() * 1000

    def back_by_ms(self, now_ms: int) -> int | None:
        """By when it means to be back; None when it is not away, or that time is over."""
        until_ms = self.last + self.away
        return until_ms if self.away and until_ms > now_ms else None

    def skew_s(self) -> float | None:
        """How far its clock is ahead of ours, in seconds, when that is worth showing; a clock behind is negative."""
        is_shown = self.skew is not None and abs(self.skew) > SKEW_SHOWN_S * 1000
        return self.skew / 1000 if self.skew is not None and is_shown else None


class Expected(NamedTuple):
    """How often a node is expected: every `interval_ms`, and late after so many missed pings."""

    interval_ms: int
    late_after_pings: int


class Finished(NamedTuple):
    """What a node says became of a command."""

    id: str
    state: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a ping found in Redis.

    is_new    the sweep has not seen the node yet: it may not be registered
    is_first  Redis had no record of it at all: it is new, was removed or deregistered, or Redis was flushed
    node_id   as `Contact.node`
    clash_ms  when two instances were last seen under this name; 0 is never
    settled   finished commands that were open until now; the others were repeated or forgotten
    live      what its agent is to stream; None when nobody looks
    """

    is_new: bool
    clash_ms: int
    commands: Sequence[Command]
    settled: Sequence[CommandId]
    live: Ask | None = None
    node_id: str = ""
    is_first: bool = False


class Farewell(NamedTuple):
    """A ping's goodbye: why, and how long a silence it announces (ms); 0 for a node that is not to be waited for."""

    reason: str
    announced_ms: int = 0


class Judged(NamedTuple):
    """A sweep's judgement of one node, to be settled.

    seen_ms  the last contact it is based on; None when Redis had no record
    due_ms   when to look again; None forgets the node
    node_id  of the control DB; a process that knew another one of this name learns by it that the name is another's
    """

    node: str
    seen_ms: int | None
    state: str
    due_ms: int | None
    last_ms: int
    interval_ms: int
    node_id: str = ""
    is_presumed: bool = False
    farewell: Farewell = Farewell("")
    is_clashing: bool = False


_decode = msgspec.msgpack.Decoder(Contact).decode


async def beat(
    client: redis.asyncio.Redis,
    account_id: AccountId,
    node: str,
    now_ms: int,
    expected: Expected,
    *,
    instance: str = "",
    run: str = "",
    sent_ms: int | None = None,
    finished: Sequence[Finished] = (),
    farewell: Farewell | None = None,
) -> Beat:
    """A ping: note the contact, settle what is finished, lease what waits. Raises StoreUnavailable.

    farewell  its goodbye, if it is one; then nothing is leased, for nobody is there to do it
    """
    where = [
        keys.nodes(account_id),
        keys.deadlines(account_id),
        keys.queue(account_id, node),
        keys.commands(account_id, node),
        keys.live_ask(account_id, node),
    ]
    skew = "" if sent_ms is None else sent_ms - now_ms
    reports = [part for report in finished for part in report]
    reason, announced_ms = farewell or Farewell("")
    most = 0 if farewell else LEASE_MOST
    about: list[Value] = [node, now_ms, *expected, instance, skew]
    args = [*about, reason, announced_ms, run, LEASE_MS, most, *reports]
    state, clash, leased, settled, ask, node_id, is_first = await _HEARTBEAT.run(client, where, args)
    return Beat(
        is_new=not state,
        clash_ms=clash,
        commands=commands.unpack(node, leased),
        settled=[CommandId(command.decode()) for command in settled],
        live=live.decode_ask(ask),
        node_id=node_id.decode(),
        is_first=bool(is_first),
    )


async def touch(
    client: redis.asyncio.Redis,
    account_id: AccountId,
    nodes: Sequence[str],
    now_ms: int,
    expected: Expected,
    *,
    instance: str = "",
) -> list[str]:
    """Snapshots came: note the contacts; returns the nodes that the sweep has not seen yet. Raises StoreUnavailable.

    A node that never pings is expected at its own cadence, which `expected.interval_ms` is the quickest of.
    """
    where = [keys.nodes(account_id), keys.deadlines(account_id)]
    unknown: list[bytes] = await _TOUCH.run(client, where, [now_ms, *expected, instance, *nodes])
    return [name.decode() for name in unknown]


async def read_contacts(client: redis.asyncio.Redis, account_id: AccountId, nodes: Sequence[str]) -> dict[str, Contact]:
    """What is known of these nodes, as far as it is. Raises StoreUnavailable."""
    if not nodes:
        return {}
    with redis_faults():
        found = await client.hmget(keys.nodes(account_id), list(nodes))
    return _contacts(nodes, found)


async def read_last_contact(
    client: redis.asyncio.Redis, account_id: AccountId, nodes: Sequence[str]
) -> dict[str, float]:
    """When these nodes were last heard, Unix seconds, as far as it is known. Raises StoreUnavailable."""
    found = await read_contacts(client, account_id, nodes)
    return {name: contact.last / 1000 for name, contact in found.items() if not contact.presumed}


def read_contacts_sync(client: redis.Redis, account_id: AccountId, nodes: Sequence[str]) -> dict[str, Contact]:
    """As `read_contacts`, for the sweep."""
    if not nodes:
        return {}
    with redis_faults():
        return _contacts(nodes, client.hmget(keys.nodes(account_id), list(nodes)))


def due(client: redis.Redis, accounts: Sequence[AccountId], now_ms: int, at_most: int) -> dict[AccountId, list[str]]:
    """Nodes whose deadline has come, the longest overdue first, of the accounts that have any."""
    with redis_faults(), client.pipeline(transaction=False) as pipeline:
        for account_id in accounts:
            pipeline.zrangebyscore(keys.deadlines(account_id), "-inf", now_ms, start=0, num=at_most)
        found: list[list[bytes]] = pipeline.execute()
    pairs = zip(accounts, found, strict=True)
    return {account_id: [name.decode() for name in names] for account_id, names in pairs if names}


def behind_s(client: redis.Redis, accounts: Sequence[AccountId], now_ms: int) -> float:
    """For how long the deadline that is due longest has been, seconds. Raises StoreUnavailable."""
    with redis_faults(), client.pipeline(transaction=False) as pipeline:
        for account_id in accounts:
            pipeline.zrange(keys.deadlines(account_id), 0, 0, withscores=True)
        found: Any = pipeline.execute()
    late_s = [(now_ms - float(score)) / 1000 for firsts in found for _, score in firsts]
    return max([0.0, *late_s])


def deadlines(client: redis.Redis, account_id: AccountId) -> dict[str, int]:
    """When the sweep will look at each of the account's nodes, Unix ms. Raises StoreUnavailable."""
    with redis_faults():
        found: Any = client.zrange(keys.deadlines(account_id), 0, -1, withscores=True)
    return {name.decode(): int(score) for name, score in found}


def known(client: redis.Redis, account_id: AccountId) -> set[str]:
    """The account's nodes that Redis has a record of. Raises StoreUnavailable."""
    with redis_faults():
        found: Any = client.hkeys(keys.nodes(account_id))
    return {name.decode() for name in found}


def look_at(client: redis.Redis, account_id: AccountId, nodes: Collection[str], now_ms: int) -> None:
    """Have the sweep look at these nodes at once. Raises StoreUnavailable."""
    if nodes:
        with redis_faults():
            client.zadd(keys.deadlines(account_id), dict.fromkeys(nodes, now_ms))


async def forget(client: redis.asyncio.Redis, account_id: AccountId, node: str) -> None:
    """Drop all that is known of a node that was removed; its next contact is a first one. Raises StoreUnavailable."""
    with redis_faults():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(keys.nodes(account_id), node)
            pipeline.zrem(keys.deadlines(account_id), node)
            pipeline.delete(keys.queue(account_id, node), keys.commands(account_id, node))
            await pipeline.execute()


def settle(client: redis.Redis, account_id: AccountId, judged: Sequence[Judged], now_ms: int) -> int:
    """Write judgements down; returns how many nodes were heard meanwhile and are due again. Raises StoreUnavailable."""
    where = [keys.nodes(account_id), keys.deadlines(account_id)]
    heard = 0
    for start in range(0, len(judged), _SETTLED_AT_ONCE):  # so that no ping waits long behind a script
        rows = judged[start : start + _SETTLED_AT_ONCE]
        args = [
            "" if part is None else part
            for row in rows
            for part in (*row[:-3], int(row.is_presumed), *row.farewell, int(row.is_clashing))
        ]
        heard += _SETTLE.run_sync(client, where, [now_ms, *args])
    return heard


def _contacts(nodes: Sequence[str], found: Sequence[Any]) -> dict[str, Contact]:
    return {name: _decode(packed) for name, packed in zip(nodes, found, strict=True) if packed is not None}
