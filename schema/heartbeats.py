"""Contacts of nodes in Redis: who was heard when, and when the sweep must look again.

Receive time decides. All of it comes again by itself: a lost record with the node's next contact, a lost deadline from
the control DB (workers/sweep.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio

from domain.commands import LEASE_MOST, LEASE_MS, Command, CommandId, Outcome
from domain.ids import AccountId
from domain.live import Ask
from schema import commands, keys, live
from schema.lua import Lua, Value, redis_faults

_HEARTBEAT, _TOUCH, _SETTLE = Lua("contact", "lease", "heartbeat"), Lua("contact", "touch"), Lua("settle")
_SETTLED_AT_ONCE = 500


class Contact(msgspec.Struct, kw_only=True):
    """What Redis knows of a node; instants in Unix ms by our clock.

    last      last contact
    state     as the sweep recorded it last; "" for a node the sweep has not seen yet
    interval  ms between contacts that are expected
    instance  of the last contact that named one; `other` the one before, last heard at `other_last`
    clash     when two instances were last seen taking turns under this name; 0 is never
    skew      ms the agent's clock is ahead of ours, less the request's time on its way; None when it told no time
    """

    last: int
    state: str = ""
    interval: int = 0
    pinged: bool = False
    instance: str = ""
    other: str = ""
    other_last: int = 0
    clash: int = 0
    skew: int | None = None


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
    clash_ms  when two instances were last seen under this name; 0 is never
    settled   finished commands that were open until now; the others were repeated or forgotten
    live      what its agent is to stream; None when nobody looks
    """

    is_new: bool
    clash_ms: int
    commands: Sequence[Command]
    settled: Sequence[CommandId]
    live: Ask | None = None


class Judged(NamedTuple):
    """A sweep's judgement of one node, to be settled.

    seen_ms  the last contact it is based on; None when Redis had no record
    due_ms   when to look again; None forgets the node
    """

    node: str
    seen_ms: int | None
    state: str
    due_ms: int | None
    last_ms: int
    interval_ms: int


_decode = msgspec.msgpack.Decoder(Contact).decode


async def beat(
    client: redis.asyncio.Redis,
    account_id: AccountId,
    node: str,
    now_ms: int,
    expected: Expected,
    *,
    instance: str = "",
    sent_ms: int | None = None,
    finished: Sequence[Finished] = (),
) -> Beat:
    """A ping: note the contact, settle what is finished, lease what waits. Raises StoreUnavailable."""
    where = [
        keys.nodes(account_id),
        keys.deadlines(account_id),
        keys.queue(account_id, node),
        keys.commands(account_id, node),
        keys.live_ask(account_id, node),
    ]
    skew = "" if sent_ms is None else sent_ms - now_ms
    reports = [part for report in finished for part in report]
    args: list[Value] = [node, now_ms, *expected, instance, skew, LEASE_MS, LEASE_MOST, *reports]
    state, clash, leased, settled, ask = await _HEARTBEAT.run(client, where, args)
    ended = [CommandId(command.decode()) for command in settled]
    return Beat(not state, clash, commands.unpack(node, leased), ended, live.decode_ask(ask))


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

    A node that never pings is expected at its own cadence, at least every `expected.interval_ms`.
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
    return {name: contact.last / 1000 for name, contact in (await read_contacts(client, account_id, nodes)).items()}


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


def with_deadline(client: redis.Redis, account_id: AccountId, nodes: Sequence[str]) -> set[str]:
    """Those of the nodes that the sweep will look at some time. Raises StoreUnavailable."""
    if not nodes:
        return set()
    with redis_faults():
        scores = client.zmscore(keys.deadlines(account_id), list(nodes))
    return {name for name, score in zip(nodes, scores, strict=True) if score is not None}


def settle(client: redis.Redis, account_id: AccountId, judged: Sequence[Judged], now_ms: int) -> int:
    """Write judgements down; returns how many nodes were heard meanwhile and are due again. Raises StoreUnavailable."""
    where = [keys.nodes(account_id), keys.deadlines(account_id)]
    heard = 0
    for start in range(0, len(judged), _SETTLED_AT_ONCE):  # so that no ping waits long behind a script
        rows = judged[start : start + _SETTLED_AT_ONCE]
        args = ["" if part is None else part for row in rows for part in row]
        heard += _SETTLE.run_sync(client, where, [now_ms, *args])
    return heard


def _contacts(nodes: Sequence[str], found: Sequence[Any]) -> dict[str, Contact]:
    return {name: _decode(packed) for name, packed in zip(nodes, found, strict=True) if packed is not None}
