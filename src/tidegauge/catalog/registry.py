"""Projects, models, their schemas and versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from tidegauge.catalog.database import Database, insert_or_ignore, insert_or_update
from tidegauge.catalog.revision import raise_revision
from tidegauge.catalog.tables import AuditEntry, Model, Project, SchemaRevision, Version
from tidegauge.errors import BadInput, Conflict, NotFound
from tidegauge.schema import Schema

_Named = TypeVar("_Named", Project, Model)
_MODEL_OPTIONS: dict[str, timedelta] = {
    "window": timedelta(days=1),
    "lateness": timedelta(hours=1),
    "label_horizon": timedelta(days=90),
    "restate_interval": timedelta(minutes=10),
}


class Projects:
    """The tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ensure(self, name: str) -> Project:
        """Return the project, made if it is not there.

        Raises
        ------
        Conflict
            When there is one whose name differs in case only.
        """
        with self._database.reading() as session:
            found = _project(session, name)
        if found is None:
            row = {"name": name, "folded": _folded(name), "created_at": datetime.now(UTC)}
            with self._database.writing() as session:
                insert_or_ignore(session, Project, [row])
                found = _project(session, name)
            assert found is not None
        return found

    def get(self, name: str) -> Project:
        """Return the project.

        Raises
        ------
        NotFound
        """
        with self._database.reading() as session:
            return _known_project(session, name)

    def all(self) -> list[Project]:
        """Return all projects by name."""
        with self._database.reading() as session:
            return list(session.scalars(select(Project).order_by(Project.name)))


class Models:
    """The models of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ensure(
        self,
        project: str,
        name: str,
        schema: Schema,
        *,
        actor: str = "server",
        settings: Mapping[str, Any] | None = None,
        **options: timedelta,
    ) -> tuple[Model, bool]:
        """Return the model and whether it was made now, with this schema.

        Parameters
        ----------
        project, name : str
            The project has to be there.
        schema : Schema
            Its first schema; of a model that is there already nothing is changed.
        actor : str
            Who made it, for its schema's history.
        settings : mapping, optional
            Whatever else is set for the model, as JSON.
        **options : timedelta
            ``window`` (a day), ``lateness`` (an hour), ``label_horizon`` (90 days),
            ``restate_interval`` (ten minutes).

        Raises
        ------
        NotFound
            When the project is not there.
        Conflict
            When there is a model whose name differs in case only.
        """
        now = datetime.now(UTC)
        with self._database.writing() as session:
            owner = _known_project(session, project)
            row = {
                "project_id": owner.id,
                "name": name,
                "folded": _folded(name),
                "task": schema.task.value if schema.task is not None else None,
                **_durations({**_MODEL_OPTIONS, **options}),
                "schema": schema,
                "schema_number": 1,
                "settings": dict(settings or {}),
                "monitors": {},
                "progress": {},
                "created_at": now,
            }
            made = insert_or_ignore(session, Model, [row]) == 1
            model = _model(session, project, name)
            assert model is not None
            if made:
                session.add(_revision(model, actor, "first records", now))
                raise_revision(session, model)
        return model, made

    def find(self, project: str, name: str) -> Model | None:
        """Return the model, or None."""
        with self._database.reading() as session:
            return _model(session, project, name)

    def get(self, project: str, name: str) -> Model:
        """Return the model.

        Raises
        ------
        NotFound
        """
        found = self.find(project, name)
        if found is None:
            raise NotFound(
                f"project {project!r} has no model {name!r}; its first records make it",
                code="unknown_model",
            )
        return found

    def all(
        self, project: str | None = None, *, changed_since: int | None = None
    ) -> list[tuple[Project, Model]]:
        """Return the models of a project, or of all, each with its project, by name.

        Parameters
        ----------
        project : str, optional
        changed_since : int, optional
            Only those that were changed after this revision.
        """
        statement = select(Project, Model).join(Model, Model.project_id == Project.id)
        if project is not None:
            statement = statement.where(Project.folded == _folded(project))
        if changed_since is not None:
            statement = statement.where(Model.revision > changed_since)
        with self._database.reading() as session:
            rows = session.execute(statement.order_by(Project.name, Model.name))
            return [(row[0], row[1]) for row in rows]

    def configure(
        self, model_id: int, *, settings: Mapping[str, Any] | None = None, **options: timedelta
    ) -> Model:
        """Change how a model is watched; see :meth:`ensure` for the options."""
        with self._database.writing() as session:
            model = by_id(session, model_id)
            for column, value in _durations(options).items():
                setattr(model, column, value)
            if settings is not None:
                model.settings = {**model.settings, **settings}
            raise_revision(session, model)
        return model

    def note(self, model_id: int, **progress: Any) -> None:
        """Remember how far the scheduler has come with a model, as JSON by name."""
        with self._database.writing() as session:
            model = by_id(session, model_id)
            model.progress = {**model.progress, **progress}

    def note_all(self, progress: Mapping[int, Mapping[str, Any]]) -> None:
        """Remember how far the scheduler has come with some models, in one transaction."""
        if not progress:
            return
        with self._database.writing() as session:
            for model_id in sorted(progress):
                model = by_id(session, model_id)
                model.progress = {**model.progress, **progress[model_id]}

    def save_schema(
        self,
        model_id: int,
        schema: Schema,
        *,
        actor: str,
        reason: str = "",
        number: int | None = None,
    ) -> Model:
        """Give a model another schema; the ones before are kept. The same one changes nothing.

        Parameters
        ----------
        model_id : int
        schema : Schema
        actor, reason : str
            Who changed it and why, for its history.
        number : int, optional
            The number of the schema that this one was made from.

        Raises
        ------
        NotFound
        Conflict
            With the code ``schema_moved``, when the model has another schema by now than the one
            with this number; read it again.
        """
        with self._database.writing() as session:
            model = by_id(session, model_id)
            if number is not None and model.schema_number != number:
                raise Conflict(
                    f"the schema of model {model.name!r} was changed a moment ago, it has the "
                    f"number {model.schema_number} by now and not {number}; read it again",
                    code="schema_moved",
                )
            if model.schema != schema:
                # Values of what was not known before may have been set aside until now.
                later = set(schema.names).difference(model.schema.names)
                aside = later.union(model.settings.get("aside", ()))
                model.settings = {**model.settings, "aside": sorted(aside)}
                model.schema = schema
                model.schema_number += 1
                model.task = schema.task.value if schema.task is not None else None
                session.add(_revision(model, actor, reason, datetime.now(UTC)))
                raise_revision(session, model)
        return model

    def save_monitors(self, model_id: int, monitors: Mapping[str, Any], *, actor: str) -> Model:
        """Give a model another budget and monitors, and note who did; the same changes nothing.

        Parameters
        ----------
        model_id : int
        monitors : mapping
            As JSON.
        actor : str
        """
        with self._database.writing() as session:
            model = by_id(session, model_id)
            before = model.monitors
            if before != dict(monitors):
                model.monitors = dict(monitors)
                owner = session.get(Project, model.project_id)
                session.add(
                    AuditEntry(
                        at=datetime.now(UTC),
                        actor=actor,
                        action="monitors.set",
                        project=None if owner is None else owner.name,
                        subject=model.name,
                        details={"before": before, "after": dict(monitors)},
                    )
                )
                raise_revision(session, model)
        return model

    def schemas(self, model_id: int) -> list[SchemaRevision]:
        """Return the schemas that a model has had, the newest first."""
        statement = select(SchemaRevision).where(SchemaRevision.model_id == model_id)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(SchemaRevision.number.desc())))

    def saw_versions(
        self, model_id: int, seen: Mapping[str | None, tuple[datetime, datetime]]
    ) -> None:
        """Note for each version the event times of the first and last record seen of it."""
        with self._database.writing() as session:
            for name, (first, last) in seen.items():
                row = {"model_id": model_id, "name": name, "first_seen": first, "last_seen": last}
                earlier = case((Version.first_seen > first, first), else_=Version.first_seen)
                later = case((Version.last_seen < last, last), else_=Version.last_seen)
                insert_or_update(
                    session,
                    Version,
                    row,
                    keys=("model_id", "name"),
                    changes={"first_seen": earlier, "last_seen": later},
                )

    def versions(self, model_id: int) -> list[Version]:
        """Return a model's versions, the one seen first at first."""
        statement = select(Version).where(Version.model_id == model_id)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(Version.first_seen, Version.name)))


def _folded(name: str) -> str:
    return name.casefold()


def _durations(options: Mapping[str, timedelta]) -> dict[str, timedelta]:
    unknown = sorted(set(options) - set(_MODEL_OPTIONS))
    if unknown:
        raise BadInput(f"a model has no option {unknown[0]!r}; one of {', '.join(_MODEL_OPTIONS)}")
    for name, value in options.items():
        if value < timedelta(seconds=name != "lateness"):
            raise BadInput(f"{name} cannot be {value}; give it some seconds", code="bad_duration")
    return dict(options)


def _project(session: Session, name: str) -> Project | None:
    found = session.scalar(select(Project).where(Project.folded == _folded(name)))
    return _same_case(found, name, "project")


def _known_project(session: Session, name: str) -> Project:
    found = _project(session, name)
    if found is None:
        raise NotFound(f"no project {name!r}", code="unknown_project")
    return found


def _model(session: Session, project: str, name: str) -> Model | None:
    statement = (
        select(Model)
        .join(Project, Model.project_id == Project.id)
        .where(Project.folded == _folded(project), Model.folded == _folded(name))
    )
    return _same_case(session.scalar(statement), name, "model")


def _same_case(found: _Named | None, name: str, what: str) -> _Named | None:
    if found is not None and found.name != name:
        raise Conflict(
            f"there is a {what} {found.name!r}, and {name!r} differs from it in case only; "
            "use one spelling",
            code="name_differs_in_case",
        )
    return found


def by_id(session: Session, model_id: int) -> Model:
    """Return a model to be changed; nobody else changes it before the transaction has ended.

    Raises
    ------
    NotFound
    """
    model = session.get(Model, model_id, with_for_update=True)
    if model is None:
        raise NotFound(f"no model with the id {model_id}", code="unknown_model")
    return model


def _revision(model: Model, actor: str, reason: str, now: datetime) -> SchemaRevision:
    return SchemaRevision(
        model_id=model.id,
        number=model.schema_number,
        schema=model.schema,
        actor=actor,
        reason=reason,
        created_at=now,
    )
