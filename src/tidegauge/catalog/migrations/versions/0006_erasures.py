"""Erasures of single records, and the servers that take part in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "servers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("ids", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("receipt", sa.JSON(), nullable=False),
        sa.Column("done_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name="fk_erasures_model_id_models", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_index("ix_erasures_model_id", "erasures", ["model_id"])
    op.create_table(
        "erasure_parts",
        sa.Column("erasure_id", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("emptied_at", _MOMENT, nullable=False),
        sa.Column("cleared", sa.Integer(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"],
            ["erasures.id"],
            name="fk_erasure_parts_erasure_id_erasures",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("erasure_id", "server", name="pk_erasure_parts"),
    )
