"""Status conditions, what they say of whom, and what tells of it: channels, routes, silences, deliveries.

Why: DESIGN section 9. Which table is folded from events and which is not: schema/control/tables.py.
Cost on a full table: none, all are new.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TEXT_128 = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _judged()
    _told()
    _outbox()


def _judged() -> None:
    op.create_table(
        "conditions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conditions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_conditions_account_id"),
    )
    op.create_index("ix_conditions_account_id", "conditions", ["account_id"])
    op.create_table(
        "statuses",
        sa.Column("condition_id", sa.Uuid(), nullable=False),
        sa.Column("group_sha256", sa.String(64), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("message", sa.String(500), nullable=False),
        sa.Column("reading_at", INSTANT),
        sa.Column("pending_since", INSTANT),
        sa.Column("quiet_since", INSTANT),
        sa.Column("told", sa.String(16), nullable=False),
        sa.Column("told_since", INSTANT),
        sa.Column("acknowledged_by", sa.String(128)),
        sa.Column("acknowledged_at", INSTANT),
        sa.Column("acknowledged_note", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("condition_id", "group_sha256", name="pk_statuses"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_statuses_account_id"),
        sa.ForeignKeyConstraint(["condition_id"], ["conditions.id"], name="fk_statuses_condition_id"),
    )
    op.create_index("ix_statuses_account_id_state", "statuses", ["account_id", "state"])
    op.create_table(
        "watermarks",
        sa.Column("condition_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("evaluated_to", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("condition_id", name="pk_watermarks"),
        sa.ForeignKeyConstraint(
            ["condition_id"], ["conditions.id"], name="fk_watermarks_condition_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_watermarks_due_at", "watermarks", ["due_at"])


def _told() -> None:
    op.create_table(
        "channels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("config", JSON, nullable=False),
        sa.Column("secret_id", sa.Uuid()),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("verified_at", INSTANT),
        sa.Column("disabled_reason", sa.String(300), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_channels_account_id"),
    )
    op.create_index("ix_channels_account_id", "channels", ["account_id"])
    op.create_table(
        "channel_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_channel_secrets"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_channel_secrets_account_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_channel_secrets_account_id", "channel_secrets", ["account_id"])
    op.create_index("ix_channel_secrets_channel_id", "channel_secrets", ["channel_id"])
    op.create_table(
        "routes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("match", JSON, nullable=False),
        sa.Column("channel_ids", JSON, nullable=False),
        sa.Column("group_by", JSON, nullable=False),
        sa.Column("group_wait_s", sa.Integer(), nullable=False),
        sa.Column("repeat_s", sa.Integer(), nullable=False),
        sa.Column("continues", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_routes"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_routes_account_id"),
    )
    op.create_index("ix_routes_account_id", "routes", ["account_id"])
    op.create_table(
        "silences",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("match", JSON, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT),
        sa.Column("recurrence", JSON, nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_silences_account_id"),
    )
    op.create_index("ix_silences_account_id", "silences", ["account_id"])


def _outbox() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid()),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("stream", TEXT_128, nullable=False),
        sa.Column("stream_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("route", JSON, nullable=False),
        sa.Column("group_sha256", sa.String(64), nullable=False),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("next_attempt_at", INSTANT),
        sa.Column("leased_until", INSTANT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("repeat_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_deliveries_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_deliveries_channel_id", ondelete="SET NULL"),
    )
    op.create_index("ix_deliveries_account_id_created_at", "deliveries", ["account_id", "created_at"])
    op.create_index("ix_deliveries_channel_id_thread", "deliveries", ["channel_id", "thread"])
    op.create_index("ix_deliveries_message_id", "deliveries", ["message_id"])
    op.create_index("ix_deliveries_repeat_at", "deliveries", ["repeat_at"])
    op.create_index("ix_deliveries_state_next_attempt_at", "deliveries", ["state", "next_attempt_at"])
    op.create_index("ix_deliveries_stream_channel_id", "deliveries", ["stream", "channel_id"])
    op.create_table(
        "attempts",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("code", sa.Integer()),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_attempts_delivery_id", ondelete="CASCADE"),
    )
    op.create_index("ix_attempts_delivery_id", "attempts", ["delivery_id"])
