"""Models have a budget of false alarms and monitors of their own, as JSON; empty by default."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    column = sa.Column("monitors", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
    op.add_column("models", column)
