"""Identities of people, invitations, an account's own limits, nodes that say goodbye, accounts to be erased.

Why: signing in through a provider, accounts of several people, and what DESIGN asks of the registry. Which table is
folded from events and which is not: schema/control/tables.py.
Cost on a full table: columns that may be empty, or have a constant default, are added without a rewrite.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
TEXT_128 = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")


def upgrade() -> None:
    _people()
    _nodes()
    _server()


def _people() -> None:
    op.add_column("users", sa.Column("name", sa.String(100)))
    op.add_column("sessions", sa.Column("browser", sa.String(200)))
    op.add_column("accounts", sa.Column("deregister_after_s", sa.Integer()))
    op.create_table(
        "identities",
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("subject_sha256", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.String(100), nullable=False),
        sa.Column("linked_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "subject_sha256", name="pk_identities"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_identities_user_id"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("note", sa.String(100), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_invitations_account_id"),
    )
    op.create_index("ix_invitations_account_id", "invitations", ["account_id"])


def _nodes() -> None:
    op.add_column("nodes", sa.Column("is_ephemeral", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("nodes", sa.Column("away_since", INSTANT))
    op.add_column("nodes", sa.Column("away_until", INSTANT))
    op.add_column("nodes", sa.Column("interval_s", sa.Integer()))


def _server() -> None:
    op.create_table(
        "server_secrets",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_server_secrets"),
    )
    op.create_table(
        "erasures",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("node", TEXT_128, nullable=False),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "node", name="pk_erasures"),
    )
