"""Models and baselines as the server knows them: the catalog's rows, kept in memory.

One process holds a data folder, and all changes go through it; so what is in memory is true.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidegauge.catalog import Catalog
from tidegauge.catalog.tables import Baseline as BaselineRow
from tidegauge.errors import Conflict, NotFound, SchemaError
from tidegauge.ingest import label_column
from tidegauge.lake.columns import EXTRA, VERSION, refuse_unstorable
from tidegauge.lake.names import TableKind, folder_name
from tidegauge.lake.tables import Lake
from tidegauge.monitor.document import policies_from_json, policies_to_json
from tidegauge.monitor.policy import Policies
from tidegauge.profile import Baseline
from tidegauge.schema import Schema, arrow_schema, arrow_type
from tidegauge.server.settings import Settings

#: Active baselines kept in memory; each is some megabytes.
_HELD = 32


@dataclass(frozen=True)
class Model:
    """A model, as it is now.

    Parameters
    ----------
    id : int
        In the catalog.
    project, name : str
    schema : Schema
    window, lateness, label_horizon, restate_interval : timedelta
        How it is watched.
    created_at : datetime
    policies : Policies
        Its budget of false alarms and its monitors.
    """

    id: int
    project: str
    name: str
    schema: Schema
    window: timedelta
    lateness: timedelta
    label_horizon: timedelta
    restate_interval: timedelta
    created_at: datetime
    policies: Policies = field(default_factory=Policies)

    @classmethod
    def of(cls, project: str, row: Any) -> Model:
        """Return the model of a row of the catalog."""
        return cls(
            row.id,
            project,
            row.name,
            row.schema,
            row.window,
            row.lateness,
            row.label_horizon,
            row.restate_interval,
            row.created_at,
            policies_from_json(row.monitors, trusted=True),
        )


class Models:
    """The models of all projects, each read from the catalog once."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._held: dict[tuple[str, str], Model] = {}
        self._listed = False

    def find(self, project: str, name: str) -> Model | None:
        """Return a model, or None.

        Raises
        ------
        Conflict
            If there is one whose name, or whose project's name, differs in case only.
        """
        found = self._held.get((project, name))
        if found is None:
            row = self._catalog.models.find(project, name)
            if row is not None:
                found = self._hold(self._catalog.projects.get(project).name, row)
        return found

    def list(self, project: str | None) -> list[Model]:
        """Return the models of a project, or of all, by name."""
        if not self._listed:
            for owner, row in self._catalog.models.all():
                self._hold(owner.name, row)
            self._listed = True
        held = sorted(self._held.copy().items(), key=lambda item: item[0])
        return [model for (owner, _), model in held if project is None or owner == project]

    def forget(self) -> None:
        """Read all from the catalog again."""
        self._listed = False
        self._held = {}

    def hint(self, project: str, name: str) -> str:
        """Return ``" (did you mean …?)"``, or ``""``."""
        names = [model.name for model in self.list(project)]
        close = get_close_matches(name, names, n=1)
        return f" (did you mean {close[0]!r}?)" if close else ""

    def create(self, project: str, name: str, schema: Schema) -> Model:
        """Return a model, made if it is not there."""
        require_storable(schema)
        self._catalog.projects.ensure(project)
        row, _ = self._catalog.models.ensure(
            project,
            name,
            schema,
            window=self._settings.window,
            lateness=self._settings.lateness,
            label_horizon=self._settings.label_horizon,
            restate_interval=self._settings.restate_interval,
        )
        return self._hold(project, row)

    def put_schema(self, lake: Lake, project: str, name: str, schema: Schema, actor: str) -> Model:
        """Give a model a schema, if its stored records allow it."""
        known = self.find(project, name)
        if known is None:
            return self.create(project, name, schema)
        require_storable(schema)
        require_stored_types(lake, known, schema)
        row = self._catalog.models.save_schema(known.id, schema, actor=actor)
        return self._hold(project, row)

    def put_policies(self, known: Model, policies: Policies, actor: str) -> Model:
        """Give a model another budget and monitors."""
        told = policies_to_json(policies)
        return self._hold(
            known.project, self._catalog.models.save_monitors(known.id, told, actor=actor)
        )

    def _hold(self, project: str, row: Any) -> Model:
        model = Model.of(project, row)
        self._held[project, model.name] = model
        return model


class Baselines:
    """Baselines: entries in the catalog, profiles in files beside the model's tables.

    Parameters
    ----------
    catalog : Catalog
    root : Path
        Of the lake.
    """

    def __init__(self, catalog: Catalog, root: Path) -> None:
        self._catalog = catalog
        self._root = root
        self._held: OrderedDict[int, Baseline | None] = OrderedDict()
        self._guard = threading.Lock()

    def active(self, model: Model) -> Baseline | None:
        """Return a model's active baseline, or None."""
        with self._guard:
            if model.id in self._held:
                self._held.move_to_end(model.id)
                return self._held[model.id]
            row = self._catalog.baselines.active(model.id)
            found = None if row is None else self._read(row)
            self._hold(model, found)
            return found

    def list(self, model: Model) -> Sequence[BaselineRow]:
        """Return the entries of a model's baselines."""
        return self._catalog.baselines.all(model.id)

    def put(self, model: Model, baseline: Baseline, *, source: str) -> BaselineRow:
        """Store a baseline and make it active: the file first, then its entry."""
        folder = Path(folder_name(model.project), folder_name(model.name), "baselines")
        path = folder / f"{baseline.id}.arrow"
        (self._root / folder).mkdir(parents=True, exist_ok=True)
        half = self._root / folder / f".{baseline.id}.part"
        half.write_bytes(baseline.to_bytes())
        half.replace(self._root / path)
        start, end = baseline.profile.event_times
        with self._guard:
            row = self._catalog.baselines.add(
                model.id,
                baseline_id=baseline.id,
                source=source,
                start=start,
                end=end,
                n_records=int(baseline.profile.rows[:, 0].sum()),
                profile_path=path.as_posix(),
            )
            self._hold(model, baseline)
        return row

    def _read(self, row: BaselineRow) -> Baseline:
        path = self._root / row.profile_path
        try:
            return Baseline.from_bytes(path.read_bytes())
        except FileNotFoundError:
            raise NotFound(
                f"the profile of baseline {row.id} is not at {path}; set the baseline again",
                code="missing_baseline",
            ) from None

    def _hold(self, model: Model, baseline: Baseline | None) -> None:
        self._held[model.id] = baseline
        self._held.move_to_end(model.id)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)


def require_storable(schema: Schema) -> None:
    """Refuse a schema whose records the lake could not store, or whose names are ours.

    Raises
    ------
    SchemaError, SchemaMismatch
    """
    for name in (EXTRA, VERSION):
        if name in schema:
            raise SchemaError(
                f"the column name {name!r} is kept for our own use; rename the column",
                code="reserved_column",
            )
    refuse_unstorable(arrow_schema(schema))


def require_stored_types(lake: Lake, model: Model, schema: Schema) -> None:
    """Refuse a schema that gives a stored column another type.

    Raises
    ------
    Conflict
        With the code ``type_changed``.
    """
    label = label_column(schema)
    wanted: dict[TableKind, dict[str, pa.DataType]] = {
        "records": {column.name: arrow_type(column) for column in schema},
        "labels": {"label": arrow_type(label)},
    }
    for kind, columns in wanted.items():
        stored = lake.columns(model.project, model.name, kind)
        names = {name.lower(): name for name in stored.names}
        for name, type_ in columns.items():
            same = names.get(name.lower())
            if same is None:
                continue
            if same != name:
                raise Conflict(
                    f"column {name!r}: records are stored with a column {same!r}, whose name "
                    "differs in case only; keep that name",
                    code="duplicate_column",
                )
            held = stored.field(name).type
            if held != type_ and not _alike(held, type_):
                raise Conflict(
                    f"column {name!r} is stored as {held} and would become {type_}; keep its "
                    "type, or log to another model",
                    code="type_changed",
                )


def _alike(held: pa.DataType, wanted: pa.DataType) -> bool:
    """Tell whether two types are one to the lake, whose texts and lists may be of a large kind."""
    kinds: tuple[Any, ...] = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(is_kind(held) for is_kind in kinds) and any(is_kind(wanted) for is_kind in kinds):
        return True
    if pa.types.is_timestamp(held) and pa.types.is_timestamp(wanted):
        return True
    lists = (pa.types.is_list(held) or pa.types.is_large_list(held)) and pa.types.is_list(wanted)
    return bool(lists)
