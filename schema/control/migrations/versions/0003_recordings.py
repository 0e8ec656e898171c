"""Recordings of live views.

Why: what somebody saw live can be opened again by its link. The data is among the samples; this says where.
Cost on a full table: none, it is new.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TEXT_128 = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("node", TEXT_128, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("every_ms", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(100), nullable=False),
        sa.Column("started_by", sa.String(128), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_recordings_account_id"),
    )
    op.create_index("ix_recordings_account_id_node_started_at", "recordings", ["account_id", "node", "started_at"])
