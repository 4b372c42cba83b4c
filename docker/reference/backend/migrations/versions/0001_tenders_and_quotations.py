"""Tenders and quotations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "tenders",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "status IN ('received', 'processing', 'retrying', 'drafted', 'failed')",
            name="tenders_status",
        ),
    )
    op.create_index("tenders_status_updated_at", "tenders", ["status", "updated_at"])
    op.create_table(
        "quotations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tender_id", sa.Uuid(), sa.ForeignKey("tenders.id", ondelete="CASCADE"), unique=True, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("fields", postgresql.JSONB(), nullable=False),
        sa.Column("draft", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('portuguese', title || ' ' || draft)", persisted=True),
            nullable=False,
        ),
    )
    op.create_index("quotations_created_at", "quotations", ["created_at"])
    op.create_index("quotations_search", "quotations", ["search"], postgresql_using="gin")


def downgrade() -> None:
    """Drop both, with everything in them."""
    op.drop_table("quotations")
    op.drop_table("tenders")
