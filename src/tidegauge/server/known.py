"""Models and baselines as the server knows them: the catalog's rows, kept in memory.

Several servers may change the catalog. Each change raises its revision; a server asks for that
about once a second and reads again what changed. Until then it goes by what it knew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from tidegauge.catalog import Catalog
from tidegauge.catalog.tables import Baseline as BaselineRow
from tidegauge.errors import NotFound, SchemaError
from tidegauge.lake.columns import EXTRA, VERSION, refuse_unstorable
from tidegauge.lake.names import folder_name
from tidegauge.lake.store import Store
from tidegauge.monitor.document import policies_from_json, policies_to_json
from tidegauge.monitor.policy import Policies
from tidegauge.profile import Baseline
from tidegauge.schema import Schema, arrow_schema
from tidegauge.schema.retention import Retention, retention_of, retention_to_json
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
    schema_number : int
        How many schemas it has had.
    revision : int
        The catalog's revision of its last change.
    retention : Retention
        For how long its records and profiles are kept.
    records_from : datetime or None
        Records of before were dropped, since they were kept long enough.
    aside : frozenset of str
        Columns that came to be known later than the model; values of before are in ``_extra``.
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
    retention: Retention = field(default=Retention(), compare=False)
    records_from: datetime | None = field(default=None, compare=False)
    schema_number: int = field(default=1, compare=False)
    revision: int = field(default=0, compare=False)
    aside: frozenset[str] = field(default=frozenset(), compare=False)

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
            retention_of(row.settings),
            _moment(row.settings.get("records_from")),
            row.schema_number,
            row.revision,
            frozenset(row.settings.get("aside", ())),
        )


class Models:
    """The models of all projects, each read from the catalog once after every change."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._held: dict[tuple[str, str], Model] = {}
        #: What was changed up to this revision is held; -1 before anything was read.
        self._revision = -1
        self._guard = threading.Lock()

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
        if self._revision < 0:
            self.refresh()
        held = sorted(self._held.copy().items(), key=lambda item: item[0])
        return [model for (owner, _), model in held if project is None or owner == project]

    def refresh(self) -> Collection[int]:
        """Read what was changed since the last look, by whomever; return the models' ids."""
        revision = self._catalog.revision.current()
        if revision == self._revision:
            return ()
        if revision < self._revision:  # The catalog was put back from an older copy.
            self._held, self._revision = {}, -1
        rows = self._catalog.models.all(changed_since=self._revision)
        changed = [self._hold(owner.name, row).id for owner, row in rows]
        self._revision = revision
        return changed

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

    def read(self, known: Model) -> Model:
        """Return a model as it is in the catalog now."""
        return self._hold(known.project, self._catalog.models.get(known.project, known.name))

    def put_schema(
        self,
        project: str,
        name: str,
        schema: Schema,
        actor: str,
        reason: str = "",
        number: int | None = None,
    ) -> Model:
        """Give a model a schema; what is stored of it has the schema's types already."""
        known = self.find(project, name)
        if known is None:
            return self.create(project, name, schema)
        require_storable(schema)
        row = self._catalog.models.save_schema(
            known.id, schema, actor=actor, reason=reason, number=number
        )
        return self._hold(project, row)

    def put_policies(self, known: Model, policies: Policies, actor: str) -> Model:
        """Give a model another budget and monitors."""
        told = policies_to_json(policies)
        return self._hold(
            known.project, self._catalog.models.save_monitors(known.id, told, actor=actor)
        )

    def put_retention(self, known: Model, retention: Retention, actor: str) -> Model:
        """Have a model's records and profiles kept for another time."""
        told = retention_to_json(retention)
        if known.retention == retention:
            return known
        row = self._catalog.models.configure(known.id, settings={"retention": told})
        self._catalog.audit.record(
            actor,
            "retention.set",
            project=known.project,
            subject=known.name,
            details={"before": retention_to_json(known.retention), "after": told},
        )
        return self._hold(known.project, row)

    def _hold(self, project: str, row: Any) -> Model:
        model = Model.of(project, row)
        with self._guard:
            held = self._held.get((project, model.name))
            if held is not None and held.revision > model.revision:
                return held  # Read earlier, but held later.
            self._held[project, model.name] = model
        return model


class Baselines:
    """Baselines: entries in the catalog, profiles in files beside the model's tables.

    Parameters
    ----------
    catalog : Catalog
    store : Store
        The lake's files by path.
    """

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store
        self._held: OrderedDict[int, Baseline | None] = OrderedDict()
        #: How often others' changes were asked for: what was read before one is not held after it.
        self._changes = 0
        self._guard = threading.Lock()

    def active(self, model: Model) -> Baseline | None:
        """Return a model's active baseline, or None."""
        with self._guard:
            if model.id in self._held:
                self._held.move_to_end(model.id)
                return self._held[model.id]
            changes = self._changes
        # Not while others wait: an object store may take its time.
        row = self._catalog.baselines.active(model.id)
        found = None if row is None else self._read(row)
        with self._guard:
            if model.id not in self._held and self._changes == changes:
                self._hold(model, found)
            return self._held.get(model.id, found)

    def list(self, model: Model) -> Sequence[BaselineRow]:
        """Return the entries of a model's baselines."""
        return self._catalog.baselines.all(model.id)

    def forget(self, model_id: int) -> None:
        """Read a model's baseline anew: its file was changed."""
        with self._guard:
            self._changes += 1
            self._held.pop(model_id, None)

    def refresh(self, models: Collection[int]) -> None:
        """Forget the baselines of some models, as far as others are active by now."""
        if not models:
            return
        with self._guard:
            self._changes += 1
            held = {one: self._held[one] for one in models if one in self._held}
        for model_id, baseline in held.items():
            row = self._catalog.baselines.active(model_id)
            if (baseline.id if baseline else None) != (row.id if row else None):
                with self._guard:
                    self._held.pop(model_id, None)

    def put(
        self, model: Model, baseline: Baseline, *, source: str, first_under: Catalog | None = None
    ) -> BaselineRow:
        """Store a baseline and make it active: the file first, then its entry.

        Parameters
        ----------
        first_under : Catalog, optional
            The catalog as the scheduler writes it, for a baseline that is the first or none.

        Raises
        ------
        Conflict
            If it was to be the first, and there is one already.
        """
        folder = f"{folder_name(model.project)}/{folder_name(model.name)}/baselines"
        path = f"{folder}/{baseline.id}.arrow"
        self._store.write(path, baseline.to_bytes())
        start, end = baseline.profile.event_times
        with self._guard:
            row = (first_under or self._catalog).baselines.add(
                model.id,
                baseline_id=baseline.id,
                source=source,
                start=start,
                end=end,
                n_records=int(baseline.profile.rows[:, 0].sum()),
                profile_path=path,
                only_first=first_under is not None,
            )
            self._hold(model, baseline)
        return row

    def _read(self, row: BaselineRow) -> Baseline:
        try:
            return Baseline.from_bytes(self._store.read(row.profile_path))
        except FileNotFoundError:
            raise NotFound(
                f"the profile of baseline {row.id} is not in the lake, at {row.profile_path}; set "
                "the baseline again",
                code="missing_baseline",
            ) from None

    def _hold(self, model: Model, baseline: Baseline | None) -> None:
        self._held[model.id] = baseline
        self._held.move_to_end(model.id)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


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
