"""Commands in Redis: issued, leased by pings, settled by what nodes report.

Only kinds that may be lost live here alone (see domain.commands.Kind): those that follow from a node's state, and
trial runs, which whoever waits for one asks again.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import redis
import redis.asyncio

from domain.commands import LEASE_MOST, LEASE_MS, SUPERSEDES, Command, CommandId, CommandState, Kind
from domain.ids import AccountId
from schema import keys
from schema.lua import Lua, Value, redis_faults

KEEP_MS = 86_400_000
"""How long it can be read what became of a command."""
_ISSUE, _CANCEL, _WAKE = Lua("issue"), Lua("cancel"), Lua("lease", "wake")


class Stored(msgspec.Struct, omit_defaults=True):
    """A command in Redis; the payload is JSON text, which Lua hands through as it is."""

    kind: Kind
    issuer: str
    issued: int
    expires: int
    payload: str
    state: CommandState
    leased: int | None = None
    ended: int | None = None
    message: str = ""


_decode = msgspec.msgpack.Decoder(Stored).decode


async def issue(client: redis.asyncio.Redis, account_id: AccountId, command: Command) -> Sequence[CommandId]:
    """Queue a command and wake a waiting ping; returns what it supersedes. Raises StoreUnavailable."""
    return _ids(await _ISSUE.run(client, *_issue(account_id, command)))


def issue_sync(client: redis.Redis, account_id: AccountId, command: Command) -> Sequence[CommandId]:
    """The same from a worker or the scheduler."""
    return _ids(_ISSUE.run_sync(client, *_issue(account_id, command)))


async def cancel(
    client: redis.asyncio.Redis, account_id: AccountId, node: str, command: CommandId, now_ms: int
) -> bool:
    """Take a command back; False when it has ended or never was. A node that has leased it may still carry it out."""
    return bool(await _CANCEL.run(client, _keys(account_id, node), [command, now_ms]))


async def lease(client: redis.asyncio.Redis, account_id: AccountId, node: str, now_ms: int) -> list[Command]:
    """Hand out what waits for a node whose ping is held; no heartbeat. Raises StoreUnavailable."""
    return unpack(node, await _WAKE.run(client, _keys(account_id, node), [now_ms, LEASE_MS, LEASE_MOST]))


async def read(client: redis.asyncio.Redis, account_id: AccountId, node: str, now_ms: int) -> list[Command]:
    """All commands of a node that are remembered, the newest first. Raises StoreUnavailable."""
    with redis_faults():
        records: dict[Any, Any] = await client.hgetall(keys.commands(account_id, node))
    found = unpack(node, [part for record in records.items() for part in record])
    return sorted(found, key=lambda command: command.issued_ms, reverse=True)


def unpack(node: str, flat: Sequence[bytes]) -> list[Command]:
    """Commands from a script's flat reply: id, record, id, record …"""
    return [_command(node, flat[i], _decode(flat[i + 1])) for i in range(0, len(flat), 2)]


def _command(node: str, command: bytes, stored: Stored) -> Command:
    return Command(
        id=CommandId(command.decode()),
        node=node,
        kind=stored.kind,
        issuer=stored.issuer,
        issued_ms=stored.issued,
        expires_ms=stored.expires,
        payload=msgspec.json.decode(stored.payload, type=dict[str, Any]),
        state=stored.state,
        leased_ms=stored.leased,
        ended_ms=stored.ended,
        message=stored.message,
    )


def _issue(account_id: AccountId, command: Command) -> tuple[list[str], list[Value]]:
    stored = Stored(
        kind=command.kind,
        issuer=command.issuer,
        issued=command.issued_ms,
        expires=command.expires_ms,
        payload=msgspec.json.encode(command.payload).decode(),
        state=command.state,
    )
    wake = f"{account_id} {command.node}"
    supersedes = "1" if command.kind in SUPERSEDES else "0"
    times = [command.issued_ms, command.expires_ms]
    return _keys(account_id, command.node), [
        command.id,
        msgspec.msgpack.encode(stored),
        *times,
        supersedes,
        KEEP_MS,
        keys.WAKE,
        wake,
    ]


def _keys(account_id: AccountId, node: str) -> list[str]:
    return [keys.queue(account_id, node), keys.commands(account_id, node)]


def _ids(replies: Sequence[bytes]) -> list[CommandId]:
    return [CommandId(reply.decode()) for reply in replies]
