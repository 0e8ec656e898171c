"""Monitors: Lua that people write here and nodes run.

Why: what a monitor is now, and how far its newest version has come. Its versions are the events of its stream, so there
is no table of them; the three documents are those that nodes may be running.
Cost on a full table: none, it is new.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "monitors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False),
        sa.Column("target", JSON, nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("good_document", JSON, nullable=False),
        sa.Column("pushed", sa.Integer(), nullable=False),
        sa.Column("pushed_document", JSON, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("stage_since", INSTANT, nullable=False),
        sa.Column("canaries", JSON, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("saved_by", sa.String(128), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_monitors"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_monitors_account_id"),
        sa.UniqueConstraint("account_id", "name", name="uq_monitors_account_id_name"),
    )
    op.create_index("ix_monitors_stage", "monitors", ["stage"])
