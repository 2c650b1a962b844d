"""Alarms carry their arithmetic: the spread, the share of the budget, and a reason in words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("incident_alarms", sa.Column("spread", sa.Double(), nullable=True))
    op.add_column("incident_alarms", sa.Column("level", sa.Double(), nullable=True))
    op.add_column("incident_alarms", sa.Column("reason", sa.String(), nullable=True))
