"""Fields of records that no schema knows: what was counted of them, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import update

from tidegauge.catalog.database import Database, insert_or_ignore
from tidegauge.catalog.tables import NewFields


@dataclass(frozen=True)
class Counted:
    """What was counted of a model's unknown fields.

    Parameters
    ----------
    turn : int
        Grows with each count; 0 before the first.
    at : datetime, optional
        When it was made.
    counted : mapping of str to int
        How far, by journal.
    fields : mapping of str to mapping
        What was found, by name, as JSON.
    left_out : int
        How many values had names beyond those that are kept.
    """

    turn: int = 0
    at: datetime | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: int = 0


class NewFieldsBook:
    """What was counted of the unknown fields of each model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, model_id: int) -> Counted:
        """Return what was counted so far."""
        with self._database.reading() as session:
            row = session.get(NewFields, model_id)
            if row is None:
                return Counted()
            return Counted(row.turn, row.counted_at, row.counted, row.fields, row.left_out)

    def save(self, model_id: int, counted: Counted) -> bool:
        """Store a count that goes on from the one before.

        Returns
        -------
        bool
            False, and nothing is stored, where another count was stored since that one.
        """
        values = {
            "turn": counted.turn + 1,
            "counted_at": counted.at,
            "counted": dict(counted.counted),
            "fields": {name: dict(told) for name, told in counted.fields.items()},
            "left_out": counted.left_out,
        }
        with self._database.writing() as session:
            if counted.turn == 0:
                return insert_or_ignore(session, NewFields, [{"model_id": model_id, **values}]) == 1
            result: Any = session.execute(
                update(NewFields)
                .where(NewFields.model_id == model_id, NewFields.turn == counted.turn)
                .values(**values)
            )
            return bool(result.rowcount)
