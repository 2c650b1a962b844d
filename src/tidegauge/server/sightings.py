"""Which versions of a model were seen, and when; noted in the catalog now and then."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.catalog import Catalog
from tidegauge.lake.columns import VERSION

#: A version that is known already is noted again so often at most.
PAUSE_SECONDS = 30.0

_Times = tuple[datetime, datetime]


class Sightings:
    """Event times of the first and last record of each version, gathered until they are noted.

    Parameters
    ----------
    catalog : Catalog
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._guard = threading.Lock()
        self._gathered: dict[int, dict[str | None, _Times]] = {}
        self._noted: dict[int, set[str | None]] = {}
        self._noted_at: dict[int, float] = {}

    def gather(self, model_id: int, records: pa.Table, time_name: str) -> None:
        """Look at accepted records; runs with every request."""
        if not records.num_rows or time_name not in records.column_names:
            return
        seen = list(_seen(records[VERSION], records[time_name]))
        with self._guard:
            held = self._gathered.setdefault(model_id, {})
            for version, (first, last) in seen:
                before = held.get(version, (first, last))
                held[version] = min(before[0], first), max(before[1], last)

    def note(self, *, everything: bool = False) -> None:
        """Write down what is new, or what has not been written down for a while.

        Parameters
        ----------
        everything : bool
            Before the end.
        """
        now = time.monotonic()
        with self._guard:
            due = {
                model_id: held
                for model_id, held in self._gathered.items()
                if everything
                or not held.keys() <= self._noted.get(model_id, set())
                or now - self._noted_at.get(model_id, 0.0) > PAUSE_SECONDS
            }
            for model_id in due:
                del self._gathered[model_id]
        while due:
            model_id, held = next(iter(due.items()))
            try:
                self._catalog.models.saw_versions(model_id, held)
            except BaseException:
                self._put_back(due)
                raise
            del due[model_id]
            self._noted.setdefault(model_id, set()).update(held)
            self._noted_at[model_id] = now

    def _put_back(self, due: dict[int, dict[str | None, _Times]]) -> None:
        """Keep for the next time what could not be noted."""
        with self._guard:
            for model_id, seen in due.items():
                held = self._gathered.setdefault(model_id, {})
                for version, (first, last) in seen.items():
                    before = held.get(version, (first, last))
                    held[version] = min(before[0], first), max(before[1], last)


def _seen(versions: Any, times: Any) -> list[tuple[str | None, _Times]]:
    """Return each version's first and last time."""
    names = versions.unique().to_pylist()
    if len(names) == 1:
        bounds = pc.min_max(times)
        found = [(names[0], bounds["min"].as_py(), bounds["max"].as_py())]
    else:
        table = pa.table({"version": versions, "time": times})
        rows = table.group_by("version").aggregate([("time", "min"), ("time", "max")]).to_pylist()
        found = [(row["version"], row["time_min"], row["time_max"]) for row in rows]
    return [(name, (low, high)) for name, low, high in found if low is not None]
