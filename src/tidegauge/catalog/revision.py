"""The revision of models: a number that grows with each change that servers keep in memory."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tidegauge.catalog.database import Database
from tidegauge.catalog.tables import Counter, Model

_MODELS = "models"


class Revision:
    """How often any model, its monitors or its baseline were changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> int:
        """Return the number; what was changed up to it can be read."""
        with self._database.reading() as session:
            return session.scalars(select(Counter.value).where(Counter.name == _MODELS)).one()


def raise_revision(session: Session, model: Model) -> None:
    """Mark a model as changed, in the transaction that changes it and as the last thing there.

    The counter's row stays locked until the transaction has ended, so the numbers become visible
    in their order.
    """
    session.flush()
    value = session.scalar(
        update(Counter)
        .where(Counter.name == _MODELS)
        .values(value=Counter.value + 1)
        .returning(Counter.value)
    )
    assert value is not None
    model.revision = value
