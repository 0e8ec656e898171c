"""Dashboards, and the links by which people without a session may read one.

Why: graphs that people arrange and keep. A dashboard's revisions are the events of its stream, so there is no table of
them; of a link's secret only the SHA-256 is kept.
Cost on a full table: none, both are new.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "dashboards",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("panels", sa.Integer(), nullable=False),
        sa.Column("document", JSON, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("saved_by", sa.String(128), nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dashboards"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_dashboards_account_id"),
    )
    op.create_index("ix_dashboards_account_id", "dashboards", ["account_id"])
    op.create_table(
        "shares",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("dashboard_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.String(100), nullable=False),
        sa.Column("fixed", JSON, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_shares_account_id"),
        sa.ForeignKeyConstraint(["dashboard_id"], ["dashboards.id"], name="fk_shares_dashboard_id"),
    )
    op.create_index("ix_shares_account_id", "shares", ["account_id"])
    op.create_index("ix_shares_dashboard_id", "shares", ["dashboard_id"])
