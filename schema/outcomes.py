"""Keeps what came of trying to send: sent, to be tried again, dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, and_, insert, select, update

from domain.accounts import Role
from domain.channels import Kind as ChannelKind
from domain.deliveries import Kind, State, next_attempt_at
from domain.errors import NotFound
from domain.ids import AccountId
from schema import channels, events
from schema.control.tables import attempts, deliveries, memberships, users
from schema.deliveries import plain_row
from schema.outbox import Claim

GONE = 410
ERROR_MAX = 300
OWNERS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try; `error` is empty when it was taken."""

    at: datetime
    code: int | None
    latency_ms: int
    error: str = ""
    retry_after: timedelta | None = None


def record(
    engine: Engine, claimed: Claim, outcome: Outcome, now: datetime, jitter: float, *, tells_owners: bool
) -> None:
    """Keep what came of a try: sent, to be tried again, or dead. A channel that is gone for good is turned off.

    tells_owners  whether the account's owners are to be told of that by e-mail
    """

    def work(conn: Connection) -> None:
        error = outcome.error[:ERROR_MAX]
        tried = {"at": outcome.at, "code": outcome.code, "latency_ms": outcome.latency_ms, "error": error}
        left = conn.scalars(select(deliveries.c.id).where(_of(claimed))).all()  # an account may have been deleted
        if not left:
            return
        conn.execute(insert(attempts), [{"delivery_id": one, **tried} for one in left])
        conn.execute(update(deliveries).where(_of(claimed)).values(attempts=deliveries.c.attempts + 1))
        ours = and_(_of(claimed), deliveries.c.leased_until == claimed.leased_until)
        conn.execute(update(deliveries).where(ours).values(leased_until=None))
        if not outcome.error:
            _sent(conn, claimed, now)
        elif outcome.code == GONE and claimed.channel.kind == ChannelKind.WEBHOOK:
            _gone(conn, claimed, now, tells_owners)
        else:
            _failed(conn, claimed, outcome, now, jitter)

    events.retrying(engine, work)


def _sent(conn: Connection, claimed: Claim, now: datetime) -> None:
    """What was replaced meanwhile was told all the same; it is not repeated."""
    owed = and_(_of(claimed), deliveries.c.state == State.OWED.value)
    still = conn.execute(select(deliveries).where(owed)).mappings().all()
    sent = {"state": State.SENT.value, "ended_at": now, "next_attempt_at": None, "reason": ""}
    conn.execute(update(deliveries).where(_of(claimed)).values(sent))
    for row in still:
        after_s = row["route"].get("repeat_s", 0)
        if after_s and row["kind"] in (Kind.FIRING, Kind.REPEAT):
            later = now + timedelta(seconds=after_s)
            conn.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(repeat_at=later))


def _failed(conn: Connection, claimed: Claim, outcome: Outcome, now: datetime, jitter: float) -> None:
    again = next_attempt_at(claimed.due_at, claimed.tries + 1, now, jitter, outcome.retry_after)
    owed = and_(_of(claimed), deliveries.c.state == State.OWED.value)
    if again is not None:
        conn.execute(update(deliveries).where(owed).values(next_attempt_at=again, reason=outcome.error[:ERROR_MAX]))
        return
    dead = {"state": State.DEAD.value, "ended_at": now, "next_attempt_at": None}
    conn.execute(update(deliveries).where(owed).values(dead | {"reason": outcome.error[:ERROR_MAX]}))


def _gone(conn: Connection, claimed: Claim, now: datetime, tells_owners: bool) -> None:
    reason = "its receiver answered 410 Gone"
    owed = and_(_of(claimed), deliveries.c.state == State.OWED.value)
    dead = {"state": State.DEAD.value, "ended_at": now, "next_attempt_at": None, "reason": reason}
    conn.execute(update(deliveries).where(owed).values(dead))
    try:
        channel = channels.one(conn, claimed.account_id, claimed.channel.id)
    except NotFound:
        return
    if not channel.is_enabled:
        return
    channels.switch_in(conn, channel, False, reason, now)
    if tells_owners:
        told = [{"recipient": address} for address in _owners(conn, claimed.account_id)]
        rows = [plain_row(channel, Kind.DISABLED, now) | to for to in told]
        if rows:
            conn.execute(insert(deliveries), rows)


def _owners(conn: Connection, account_id: AccountId) -> Sequence[str]:
    """Their addresses, of those who have one."""
    owns = (memberships.c.account_id == account_id) & (memberships.c.role == Role.OWNER.value)
    theirs = select(users.c.email).join(memberships).where(owns, users.c.email.is_not(None))
    return conn.scalars(theirs.order_by(users.c.email).limit(OWNERS_TOLD)).all()


def _of(claimed: Claim) -> ColumnElement[bool]:
    return deliveries.c.id.in_(claimed.ids)
