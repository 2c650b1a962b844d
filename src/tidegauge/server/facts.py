"""What is true of a model's stored records at the moment; asked again only when they changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from tidegauge.engine.lake import LakeEngine
from tidegauge.lake.tables import Lake
from tidegauge.server.known import Model


@dataclass(frozen=True)
class StoredFacts:
    """What is stored of a model.

    Parameters
    ----------
    records : int
        Records in the lake.
    first_event, last_event : datetime or None
        Their least and greatest event time.
    """

    records: int = 0
    first_event: datetime | None = None
    last_event: datetime | None = None


class Facts:
    """The facts of all models, each kept with the version of its table.

    Parameters
    ----------
    lake : Lake
    engine : LakeEngine
    """

    def __init__(self, lake: Lake, engine: LakeEngine) -> None:
        self._lake = lake
        self._engine = engine
        self._held: dict[int, tuple[int, StoredFacts]] = {}
        self._guard = threading.Lock()

    def of(self, model: Model) -> StoredFacts:
        """Return the facts of one model."""
        handle = self._lake.table(model.project, model.name, "records")
        if handle is None:
            return StoredFacts()
        version = int(handle.version())
        with self._guard:
            held = self._held.get(model.id)
        if held is not None and held[0] == version:
            return held[1]
        bounds = self._engine.time_bounds(model.project, model.name, model.schema)
        first, last = bounds or (None, None)
        facts = StoredFacts(int(handle.count()), first, last)
        with self._guard:
            self._held[model.id] = version, facts
        return facts
