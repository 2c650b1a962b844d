"""Baselines: what models are compared with, one at a time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select, update

from tidegauge.catalog.database import Database
from tidegauge.catalog.registry import by_id
from tidegauge.catalog.revision import raise_revision
from tidegauge.catalog.tables import Baseline
from tidegauge.errors import Conflict, NotFound


class Baselines:
    """The baselines of all models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        model_id: int,
        *,
        profile_path: str,
        n_records: int,
        source: str,
        start: datetime | None = None,
        end: datetime | None = None,
        baseline_id: str | None = None,
        active: bool = True,
        only_first: bool = False,
    ) -> Baseline:
        """Add a baseline, and let it take the place of the one before.

        Parameters
        ----------
        profile_path : str
            Where in the lake its profile is.
        n_records : int
            Records it was made of.
        source : str
            What they are: ``"upload"``, ``"interval"``, ``"first windows"``.
        start, end : datetime, optional
            Their event time, half-open.
        baseline_id : str, optional
            The id that its profile has; a new one by default.
        active : bool
            Whether the model is compared with it from now on.
        only_first : bool
            Only if the model has none yet.

        Raises
        ------
        NotFound
            When there is no such model.
        Conflict
            When it has one, and this was to be the first.
        """
        baseline = Baseline(
            id=baseline_id or uuid.uuid4().hex,
            model_id=model_id,
            active=active,
            source=source,
            start=start,
            end=end,
            n_records=n_records,
            profile_path=profile_path,
            created_at=datetime.now(UTC),
        )
        others = update(Baseline).where(Baseline.model_id == model_id).values(active=False)
        with self._database.writing() as session:
            model = by_id(session, model_id)
            if only_first and session.scalar(_active(model_id)) is not None:
                raise Conflict("the model has a baseline already", code="has_baseline")
            if active:
                session.execute(others)
            session.add(baseline)
            raise_revision(session, model)
        return baseline

    def activate(self, baseline_id: str) -> Baseline:
        """Compare the baseline's model with it from now on.

        Raises
        ------
        NotFound
        """
        with self._database.writing() as session:
            baseline = session.get(Baseline, baseline_id)
            if baseline is None:
                raise NotFound(f"no baseline {baseline_id!r}", code="unknown_baseline")
            model = by_id(session, baseline.model_id)
            others = update(Baseline).where(Baseline.model_id == baseline.model_id)
            session.execute(others.values(active=False))
            session.flush()
            baseline.active = True
            raise_revision(session, model)
        return baseline

    def active(self, model_id: int) -> Baseline | None:
        """Return the baseline that a model is compared with, if it has one."""
        with self._database.reading() as session:
            found: Baseline | None = session.scalar(_active(model_id))
        return found

    def all(self, model_id: int) -> list[Baseline]:
        """Return a model's baselines, the newest first."""
        statement = select(Baseline).where(Baseline.model_id == model_id)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(Baseline.created_at.desc())))


def _active(model_id: int) -> Select[Any]:
    return select(Baseline).where(Baseline.model_id == model_id, Baseline.active)
