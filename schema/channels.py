"""Channels: where deliveries go. What must not be seen again is sealed in a table of its own, outside the log."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from domain import deliveries, webhooks
from domain.accounts import clean_name
from domain.channels import MOST, Kind, Secret, quiet_of
from domain.errors import InvalidBody, LimitReached, NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId
from schema import events
from schema.control.engine import reading
from schema.control.tables import channel_secrets, channels, routes
from schema.control.tables import deliveries as delivery_rows
from schema.sealing import Sealer

ROTATES = timedelta(hours=24)
"""A signing secret that was replaced signs beside the new one for so long."""
REASON_MAX = 300


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel as it is now; `config` as domain/channels.py makes it."""

    id: UUID
    account_id: AccountId
    name: str
    kind: Kind
    config: Mapping[str, Any]
    secret_id: UUID | None
    is_enabled: bool
    created_at: datetime
    verified_at: datetime | None
    disabled_reason: str
    version: int

    @property
    def is_verified(self) -> bool:
        """Whether it may be told: an address must have been confirmed, whoever owns a web server made it answer."""
        return self.kind != Kind.EMAIL or self.verified_at is not None

    @property
    def stream(self) -> str:
        return f"channel/{self.id}"

    @property
    def routed(self) -> deliveries.Channel:
        """As routing sees it."""
        return deliveries.Channel(self.id, self.name, self.is_enabled, self.is_verified, quiet_of(self.config))


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a channel to be; `secret` None leaves the one that it has."""

    name: str
    kind: Kind
    config: Mapping[str, Any]
    secret: Secret | None = None


def create(
    engine: Engine, account_id: AccountId, draft: Draft, sealer: Sealer, now: datetime, *, actor: str
) -> ChannelRow:
    """A new channel, turned on. Raises InvalidBody, LimitReached."""
    channel_id = uuid4()

    def work(conn: Connection) -> ChannelRow:
        events.hold(conn)
        theirs = select(func.count()).select_from(channels).where(channels.c.account_id == account_id)
        if (conn.scalar(theirs) or 0) >= MOST:
            raise LimitReached(f"The account has {MOST} channels; delete one that is no longer used")
        _must_be_free(conn, account_id, draft.name, None)
        secret_id = _keep(conn, account_id, channel_id, draft.secret, sealer, now) if draft.secret else None
        payload = {"account_id": str(account_id), "kind": draft.kind.value, **_payload(draft, secret_id)}
        events.append(conn, f"channel/{channel_id}", 0, [NewEvent("channel_created", payload, actor)], now)
        return one(conn, account_id, channel_id)

    return events.retrying(engine, work)


def change(
    engine: Engine, account_id: AccountId, channel_id: UUID, draft: Draft, sealer: Sealer, now: datetime, *, actor: str
) -> ChannelRow:
    """Another name, place or manner; another address has to be confirmed anew. Raises InvalidBody, NotFound."""

    def work(conn: Connection) -> ChannelRow:
        events.hold(conn)
        found = one(conn, account_id, channel_id)
        _must_be_free(conn, account_id, draft.name, channel_id)
        secret_id = found.secret_id
        if draft.secret:
            secret_id = _keep(conn, account_id, channel_id, draft.secret, sealer, now)
            conn.execute(delete(channel_secrets).where(channel_secrets.c.id == found.secret_id))
        is_verified = draft.config.get("address") == found.config.get("address")
        payload = _payload(draft, secret_id) | {"is_verified": is_verified}
        if payload != _payload_of(found) | {"is_verified": True}:
            events.append(conn, found.stream, found.version, [NewEvent("channel_changed", payload, actor)], now)
        return one(conn, account_id, channel_id)

    return events.retrying(engine, work)


def rotate(
    engine: Engine, account_id: AccountId, channel_id: UUID, sealer: Sealer, now: datetime, *, actor: str
) -> str:
    """A new signing secret, shown this once; the old one signs beside it for a day. Raises NotFound, InvalidBody."""
    signing = webhooks.make_secret(secrets.token_bytes)

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = one(conn, account_id, channel_id)
        if found.kind != Kind.WEBHOOK or found.secret_id is None:
            raise InvalidBody("Only webhooks are signed")
        known = _open(conn, found.secret_id, sealer)
        old = update(channel_secrets).where(channel_secrets.c.id == found.secret_id)
        conn.execute(old.values(expires_at=now + ROTATES))
        secret_id = _keep(conn, account_id, channel_id, replace(known, signing=signing), sealer, now)
        payload = _payload_of(found) | {"secret_id": str(secret_id), "is_verified": True}
        events.append(conn, found.stream, found.version, [NewEvent("channel_changed", payload, actor)], now)

    events.retrying(engine, work)
    return signing


def switch(
    engine: Engine, account_id: AccountId, channel_id: UUID, is_enabled: bool, now: datetime, *, actor: str
) -> None:
    """Turn it on or off. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        switch_in(conn, one(conn, account_id, channel_id), is_enabled, "", now, actor=actor)

    events.retrying(engine, work)


def switch_in(
    conn: Connection, found: ChannelRow, is_enabled: bool, reason: str, now: datetime, *, actor: str = SYSTEM
) -> None:
    """As `switch`, within the caller's transaction; what waits for a channel that is off is not sent any more."""
    if found.is_enabled == is_enabled:
        return
    payload = {"name": found.name, "is_enabled": is_enabled, "reason": reason[:REASON_MAX]}
    events.append(conn, found.stream, found.version, [NewEvent("channel_switched", payload, actor)], now)
    if not is_enabled:
        _withhold(conn, found, f"the channel {found.name} was turned off", now)


def confirm(engine: Engine, channel_id: UUID, address: str, now: datetime) -> bool:
    """Somebody who reads this address says that it may be told; False when it is another by now, or none."""

    def work(conn: Connection) -> bool:
        events.hold(conn)
        row = conn.execute(select(channels).where(channels.c.id == channel_id)).mappings().one_or_none()
        if row is None or row["config"].get("address") != address:
            return False
        if row["verified_at"] is None:
            verified = NewEvent("channel_verified", {"name": row["name"]})
            events.append(conn, f"channel/{channel_id}", row["version"], [verified], now)
        return True

    return events.retrying(engine, work)


def stop(engine: Engine, channel_id: UUID, address: str, now: datetime) -> None:
    """Somebody who reads this address wants no more: the channel is off, unless it is another address by now."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        row = conn.execute(select(channels).where(channels.c.id == channel_id)).mappings().one_or_none()
        if row is not None and row["config"].get("address") == address:
            switch_in(conn, _row(row), False, "its reader wants no more e-mails", now)

    events.retrying(engine, work)


def remove(engine: Engine, account_id: AccountId, channel_id: UUID, now: datetime, *, actor: str) -> None:
    """Delete it with its secrets; the log of what it was told stays. Raises NotFound, InvalidBody."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = one(conn, account_id, channel_id)
        mine = select(routes.c.position, routes.c.channel_ids).where(routes.c.account_id == account_id)
        used = [str(position) for position, ids in conn.execute(mine) if str(channel_id) in ids]
        if used:
            raise InvalidBody(f"Route {', '.join(used)} leads to {found.name}: take it out there first")
        _withhold(conn, found, f"the channel {found.name} was deleted", now)
        conn.execute(delete(channel_secrets).where(channel_secrets.c.channel_id == channel_id))
        events.append(
            conn, found.stream, found.version, [NewEvent("channel_deleted", {"name": found.name}, actor)], now
        )

    events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, channel_id: UUID) -> ChannelRow:
    """The account's channel with this id. Raises NotFound."""
    with reading(engine) as conn:
        return one(conn, account_id, channel_id)


def list_for(engine: Engine, account_id: AccountId) -> Sequence[ChannelRow]:
    """All of an account, by name."""
    with reading(engine) as conn:
        return sorted(list_in(conn, account_id), key=lambda row: (row.name.lower(), str(row.id)))


def list_in(conn: Connection, account_id: AccountId) -> list[ChannelRow]:
    """All of an account, within the caller's transaction."""
    found = conn.execute(select(channels).where(channels.c.account_id == account_id)).mappings()
    return [_row(row) for row in found]


def one(conn: Connection, account_id: AccountId, channel_id: UUID) -> ChannelRow:
    """The account's channel with this id, within the caller's transaction. Raises NotFound."""
    theirs = (channels.c.account_id == account_id) & (channels.c.id == channel_id)
    found = conn.execute(select(channels).where(theirs)).mappings().one_or_none()
    if found is None:
        raise NotFound("There is no such channel in this account")
    return _row(found)


def secrets_of(engine: Engine, channel: ChannelRow, sealer: Sealer, now: datetime) -> tuple[Secret, list[str]] | None:
    """What a webhook is sent with, and all the secrets that sign just now, the newest first; None without any."""
    if channel.secret_id is None:
        return None
    with reading(engine) as conn:
        current = _open(conn, channel.secret_id, sealer)
        replaced = (channel_secrets.c.channel_id == channel.id) & (channel_secrets.c.expires_at > now)
        newest = channel_secrets.c.created_at.desc()
        ids = conn.scalars(select(channel_secrets.c.id).where(replaced).order_by(newest)).all()
        older = [_open(conn, secret_id, sealer).signing for secret_id in ids]
    return current, [current.signing, *older]


def purge_secrets(engine: Engine, now: datetime) -> int:
    """Remove replaced secrets that sign no longer; returns how many."""
    with engine.begin() as conn:
        return conn.execute(delete(channel_secrets).where(channel_secrets.c.expires_at <= now)).rowcount


def _withhold(conn: Connection, found: ChannelRow, reason: str, now: datetime) -> None:
    waiting = (delivery_rows.c.channel_id == found.id) & (delivery_rows.c.state == deliveries.State.OWED.value)
    ended = {"state": deliveries.State.WITHHELD.value, "reason": reason[:REASON_MAX], "ended_at": now}
    conn.execute(update(delivery_rows).where(waiting).values(ended | {"next_attempt_at": None}))
    conn.execute(update(delivery_rows).where(delivery_rows.c.channel_id == found.id).values(repeat_at=None))


def _must_be_free(conn: Connection, account_id: AccountId, name: str, but: UUID | None) -> None:
    """People tell channels apart by their names alone."""
    taken = (channels.c.account_id == account_id) & (channels.c.name == clean_name(name))
    if conn.scalar(select(channels.c.id).where(taken)) not in (None, but):
        raise InvalidBody(f"There is a channel {clean_name(name)} already")


def _keep(
    conn: Connection, account_id: AccountId, channel_id: UUID, secret: Secret, sealer: Sealer, now: datetime
) -> UUID:
    secret_id = uuid4()
    plain = json.dumps(asdict(secret)).encode()
    row = {"id": secret_id, "account_id": account_id, "channel_id": channel_id, "created_at": now, "expires_at": None}
    conn.execute(insert(channel_secrets).values(**row, sealed=sealer.seal(plain, str(secret_id))))
    return secret_id


def _open(conn: Connection, secret_id: UUID, sealer: Sealer) -> Secret:
    sealed = conn.scalar(select(channel_secrets.c.sealed).where(channel_secrets.c.id == secret_id))
    if sealed is None:
        raise NotFound("The channel's secret is gone; save the channel again with its address")
    return Secret(**json.loads(sealer.open(sealed, str(secret_id))))


def _payload(draft: Draft, secret_id: UUID | None) -> dict[str, Any]:
    config = dict(draft.config)
    return {"name": clean_name(draft.name), "config": config, "secret_id": str(secret_id) if secret_id else None}


def _payload_of(found: ChannelRow) -> dict[str, Any]:
    return _payload(Draft(found.name, found.kind, found.config), found.secret_id)


def _row(row: Any) -> ChannelRow:
    return ChannelRow(**{**row, "kind": Kind(row["kind"])})
