"""The control DB's tables: one log, the state folded from it, and credentials beside it.

State tables (STATES) are folded from `events` in the transaction that appends them, hold the stream's `version`, and
can be made again with `metrist rebuild`. Sign-in links, sessions and last uses are not events: losing them costs a
new sign-in. Nor are watermarks and deliveries, which come and go faster than a history of them is worth. Tokens and
keys are here only as SHA-256; `server_secrets` holds what the server itself signs with.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An instant: aware UTC in Python; timestamptz on PostgreSQL, UTC text on SQLite. Refuses naive datetimes."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A datetime without a time zone is no instant")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


BigId = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER counts up by itself on SQLite
JsonValue = JSON().with_variant(JSONB(), "postgresql")


def _text(length: int) -> String:
    """Text that sorts by code point on both databases, whatever the server's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _id() -> Column[Any]:
    return Column("id", Uuid(), primary_key=True)


def _account(**options: Any) -> Column[Any]:
    return Column("account_id", Uuid(), ForeignKey("accounts.id"), nullable=False, **options)


def _user(*, on_delete: str | None = None, **options: Any) -> Column[Any]:
    return Column("user_id", Uuid(), ForeignKey("users.id", ondelete=on_delete), nullable=False, **options)


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, UtcTime(), nullable=nullable)


def _version() -> Column[Any]:
    return Column("version", Integer(), nullable=False)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

events = Table(
    "events",
    metadata,
    Column("seq", BigId, primary_key=True),
    Column("stream", _text(128), nullable=False),
    Column("version", Integer(), nullable=False),
    Column("type", String(64), nullable=False),
    Column("account_id", Uuid()),  # no foreign key: the log outlives what it tells of
    Column("payload", JsonValue, nullable=False),
    Column("actor", String(128), nullable=False),
    _time("at"),
    UniqueConstraint("stream", "version"),
    Index(None, "account_id", "seq"),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("email", String(254), unique=True),
    _time("created_at"),
    _version(),
    Column("name", String(100)),
)

identities = Table(
    "identities",
    metadata,
    Column("provider", String(32), primary_key=True),
    Column("subject_sha256", String(64), primary_key=True),  # of the provider's id of a person; logins change
    _user(index=True),
    Column("login", String(100), nullable=False),
    _time("linked_at"),
    _version(),
)

accounts = Table(
    "accounts",
    metadata,
    _id(),
    Column("name", String(100), nullable=False),
    _time("created_at"),
    _version(),
    Column("deregister_after_s", Integer()),  # empty: as the platform's settings say
)

memberships = Table(
    "memberships",
    metadata,
    _account(primary_key=True),
    _user(primary_key=True, index=True),
    Column("role", String(16), nullable=False),
    _time("granted_at"),
    _version(),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(16), primary_key=True),
    _account(index=True),
    Column("role", String(16), nullable=False),
    Column("note", String(100), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("invited_by", Uuid(), nullable=False),
    _time("created_at"),
    _time("expires_at"),
    _version(),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    _account(index=True),
    Column("name", String(100), nullable=False),
    Column("scopes", JsonValue, nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    _time("created_at"),
    _time("revoked_at", nullable=True),
    _version(),
)

nodes = Table(
    "nodes",
    metadata,
    _id(),
    _account(),
    Column("name", _text(128), nullable=False),
    Column("state", String(16), nullable=False),
    _time("state_since"),
    _time("registered_at"),
    Column("instance_id", String(128)),
    _time("instance_since", nullable=True),
    Column("labels", JsonValue, nullable=False),
    Column("agent", JsonValue, nullable=False),
    _version(),
    Column("is_ephemeral", Boolean(), nullable=False, server_default=false()),
    _time("away_since", nullable=True),  # it said goodbye then, and means to be back by …
    _time("away_until", nullable=True),
    Column("interval_s", Integer()),  # between its pings; 0: as it is asked, empty: it never pinged
    _time("clash_since", nullable=True),  # two machines report under its name
    UniqueConstraint("account_id", "name"),
)

recordings = Table(
    "recordings",
    metadata,
    _id(),
    _account(),
    Column("node", _text(128), nullable=False),
    Column("metrics", JsonValue, nullable=False),
    Column("every_ms", Integer(), nullable=False),
    Column("note", String(100), nullable=False),
    Column("started_by", String(128), nullable=False),
    _time("started_at"),
    _time("ends_at"),
    _version(),
    Index(None, "account_id", "node", "started_at"),
)

dashboards = Table(
    "dashboards",
    metadata,
    _id(),
    _account(index=True),
    Column("title", String(100), nullable=False),
    Column("panels", Integer(), nullable=False),  # how many: what a list tells without reading documents
    Column("document", JsonValue, nullable=False),
    Column("created_by", String(128), nullable=False),
    _time("created_at"),
    Column("saved_by", String(128), nullable=False),
    _time("saved_at"),
    _version(),
)

shares = Table(
    "shares",
    metadata,
    Column("id", String(16), primary_key=True),
    _account(index=True),
    Column("dashboard_id", Uuid(), ForeignKey("dashboards.id"), nullable=False, index=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("note", String(100), nullable=False),
    Column("fixed", JsonValue, nullable=False),  # values of variables that readers of the link cannot change
    Column("created_by", String(128), nullable=False),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _version(),
)

monitors = Table(
    "monitors",
    metadata,
    _id(),
    _account(),
    Column("name", _text(64), nullable=False),
    Column("target", JsonValue, nullable=False),
    Column("head", Integer(), nullable=False),  # the newest version, and what it is
    Column("document", JsonValue, nullable=False),
    Column("good", Integer(), nullable=False),  # the last one that came to all its nodes; 0 for none
    Column("good_document", JsonValue, nullable=False),
    Column("pushed", Integer(), nullable=False),  # the one on its way, or that came last; 0 for none
    Column("pushed_document", JsonValue, nullable=False),
    Column("stage", String(16), nullable=False, index=True),
    _time("stage_since"),
    Column("canaries", JsonValue, nullable=False),
    Column("reason", String(500), nullable=False),  # why it was halted
    Column("is_paused", Boolean(), nullable=False),
    Column("created_by", String(128), nullable=False),
    _time("created_at"),
    Column("saved_by", String(128), nullable=False),
    _time("saved_at"),
    _version(),
    UniqueConstraint("account_id", "name"),
)

conditions = Table(
    "conditions",
    metadata,
    _id(),
    _account(index=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("spec", JsonValue, nullable=False),
    Column("is_enabled", Boolean(), nullable=False),
    _time("created_at"),
    _version(),
)

statuses = Table(
    "statuses",
    metadata,
    Column("condition_id", Uuid(), ForeignKey("conditions.id"), primary_key=True),
    Column("group_sha256", String(64), primary_key=True),  # of the labels that tell the condition's groups apart
    _account(),
    Column("labels", JsonValue, nullable=False),
    Column("state", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    _time("since"),
    Column("value", Double()),  # that made it what it is; empty for what has none
    Column("message", String(500), nullable=False),
    _time("reading_at", nullable=True),
    _time("pending_since", nullable=True),
    _time("quiet_since", nullable=True),  # it fires still, and would not without keep_firing_s
    Column("told", String(16), nullable=False),  # the state that notices last told of; empty: nothing, or that it is ok
    _time("told_since", nullable=True),
    Column("acknowledged_by", String(128)),
    _time("acknowledged_at", nullable=True),
    Column("acknowledged_note", String(200), nullable=False),
    _version(),
    Index(None, "account_id", "state"),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("condition_id", Uuid(), ForeignKey("conditions.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", Uuid(), nullable=False),
    _time("evaluated_to"),  # the last instant that was judged
    Column("due_at", UtcTime(), nullable=False, index=True),  # when the next one can be
)

channels = Table(
    "channels",
    metadata,
    _id(),
    _account(index=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("config", JsonValue, nullable=False),  # nothing secret
    Column("secret_id", Uuid()),
    Column("is_enabled", Boolean(), nullable=False),
    _time("created_at"),
    _time("verified_at", nullable=True),
    Column("disabled_reason", String(300), nullable=False),
    _version(),
)

channel_secrets = Table(
    "channel_secrets",
    metadata,
    _id(),
    Column("account_id", Uuid(), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("channel_id", Uuid(), nullable=False, index=True),  # no foreign key: it is written before its channel
    Column("sealed", LargeBinary(), nullable=False),  # with a server secret
    _time("created_at"),
    _time("expires_at", nullable=True),  # one that was replaced signs beside its successor until then
)

routes = Table(
    "routes",
    metadata,
    _id(),
    _account(index=True),
    Column("position", Integer(), nullable=False),
    Column("match", JsonValue, nullable=False),
    Column("channel_ids", JsonValue, nullable=False),
    Column("group_by", JsonValue, nullable=False),
    Column("group_wait_s", Integer(), nullable=False),
    Column("repeat_s", Integer(), nullable=False),
    Column("continues", Boolean(), nullable=False),  # whether the routes after it are asked as well
    _version(),
)

silences = Table(
    "silences",
    metadata,
    _id(),
    _account(index=True),
    Column("match", JsonValue, nullable=False),
    _time("starts_at"),
    _time("ends_at", nullable=True),  # empty: a window that recurs until it is ended
    Column("recurrence", JsonValue, nullable=False),  # {} for one that does not
    Column("note", String(200), nullable=False),
    Column("created_by", String(128), nullable=False),
    _time("created_at"),
    _version(),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("account_id", Uuid(), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("channel_id", Uuid(), ForeignKey("channels.id", ondelete="SET NULL")),  # empty: no channel was to be told
    Column("recipient", String(254), nullable=False),  # an address that is not the channel's; empty: the channel's
    Column("stream", _text(128), nullable=False),  # of the status that it tells of; the channel's own for a test
    Column("stream_version", Integer(), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(300), nullable=False),  # why it waits, or was never sent
    Column("thread", String(64), nullable=False),  # one for all that is told of an incident
    Column("facts", JsonValue, nullable=False),  # what it tells, as it was when it was owed
    Column("route", JsonValue, nullable=False),  # how it came to the channel, and when it is to be repeated
    Column("group_sha256", String(64), nullable=False),  # those of one group that wait go out as one message
    Column("message_id", Uuid()),  # of the message that it was tried in; the same for all of it, and for each try
    _time("created_at"),
    _time("due_at"),  # since when it is to be sent
    _time("next_attempt_at", nullable=True),
    _time("leased_until", nullable=True),  # somebody is trying it just now
    Column("attempts", Integer(), nullable=False),
    _time("ended_at", nullable=True),
    Column("repeat_at", UtcTime(), index=True),  # when to tell it again, if it is still so
    Index(None, "state", "next_attempt_at"),
    Index(None, "account_id", "created_at"),
    Index(None, "stream", "channel_id"),
    Index(None, "channel_id", "thread"),
    Index(None, "message_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_id", Uuid(), ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False, index=True),
    _time("at"),
    Column("code", Integer()),  # what was answered; empty when nothing was
    Column("latency_ms", Integer(), nullable=False),
    Column("error", String(300), nullable=False),
)

api_key_uses = Table(
    "api_key_uses",
    metadata,
    Column("key_id", String(16), ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    _time("last_used_at"),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _user(on_delete="CASCADE", index=True),
    _time("created_at"),
    Column("expires_at", UtcTime(), nullable=False, index=True),
    _time("redeemed_at", nullable=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _user(on_delete="CASCADE", index=True),
    Column("account_id", Uuid()),  # the one being looked at; membership is asked anew with every request
    _time("created_at"),
    _time("last_seen_at"),
    Column("idle_until", UtcTime(), nullable=False, index=True),
    Column("idle_s", Integer(), nullable=False),
    Column("expires_at", UtcTime(), nullable=False, index=True),
    Column("browser", String(200)),
)

server_secrets = Table(
    "server_secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary(), nullable=False),
    _time("created_at"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("account_id", Uuid(), primary_key=True),  # of an account that is no more, or has lost a node
    Column("node", _text(128), primary_key=True),  # empty: all of the account
    _time("asked_at"),
    _time("due_at"),
    Column("passes", Integer(), nullable=False),  # how often nothing was left of it
    Column("attempts", Integer(), nullable=False),  # looks since then that still found something, or no store
)

STATES: dict[str, Table] = {
    "user": users,
    "identity": identities,
    "account": accounts,
    "membership": memberships,
    "invitation": invitations,
    "key": api_keys,
    "node": nodes,
    "recording": recordings,
    "dashboard": dashboards,
    "share": shares,
    "monitor": monitors,
    "condition": conditions,
    "status": statuses,
    "channel": channels,
    "route": routes,
    "silence": silences,
}
"""Kind of stream → its state table, parents before children."""
