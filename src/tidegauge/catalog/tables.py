"""The catalog's tables as classes. Objects of them are values: changing one changes no row.

What grows with traffic, columns or segments is not here but in the lake. Rows are read and
written by the classes of the files named for their subject.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tidegauge.catalog.types import Moment, OrNone, SchemaText, Seconds
from tidegauge.schema import Schema


class Base(DeclarativeBase):
    """Base of all tables; constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment,
        timedelta: Seconds,
        dict[str, Any]: JSON,
        Schema: SchemaText,
    }


class IncidentKind(StrEnum):
    """What an incident is about."""

    PERFORMANCE = "performance"
    DRIFT = "drift"
    QUALITY = "quality"
    SERVICE = "service"
    VOLUME = "volume"
    STALENESS = "staleness"
    FAIRNESS = "fairness"


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Project(Base):
    """A tenant; names that differ in case only are one name."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    folded: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Model(Base):
    """A model of a project, with its schema of today and how it is watched.

    ``monitors`` are its budget and monitors as JSON, empty for what is usual; ``progress`` is what
    the scheduler remembers of its work on the model. ``revision`` is that of its last change.
    """

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("project_id", "folded"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    folded: Mapped[str]
    task: Mapped[str | None]
    window: Mapped[timedelta] = mapped_column("window_seconds")
    lateness: Mapped[timedelta] = mapped_column("lateness_seconds")
    label_horizon: Mapped[timedelta] = mapped_column("label_horizon_seconds")
    restate_interval: Mapped[timedelta] = mapped_column("restate_interval_seconds")
    schema: Mapped[Schema]
    schema_number: Mapped[int]
    settings: Mapped[dict[str, Any]]
    monitors: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    progress: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class SchemaRevision(Base):
    """A schema that a model has, or had."""

    __tablename__ = "schema_revisions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    number: Mapped[int]
    schema: Mapped[Schema]
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]


class NewFields(Base):
    """Fields of a model's records that its schema does not know, as far as they were counted.

    ``counted`` tells for each journal how far, at ``counted_at``; ``fields`` what was found, by
    name; ``left_out`` is how many values were of names beyond those that are kept. ``turn`` grows
    with each count.
    """

    __tablename__ = "new_fields"

    model_id: Mapped[int] = mapped_column(
        ForeignKey("models.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    turn: Mapped[int] = mapped_column(BigInteger)
    counted_at: Mapped[datetime]
    counted: Mapped[dict[str, Any]]
    fields: Mapped[dict[str, Any]]
    left_out: Mapped[int] = mapped_column(BigInteger)


class Version(Base):
    """A version of a model, with the event times of its first and last record."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("model_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    name: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class Baseline(Base):
    """What a model is compared with; its profile is a file, at most one a model is active."""

    __tablename__ = "baselines"
    __table_args__ = (
        Index(
            "uq_baselines_active",
            "model_id",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    active: Mapped[bool]
    source: Mapped[str]
    start: Mapped[datetime | None]
    end: Mapped[datetime | None]
    n_records: Mapped[int] = mapped_column(BigInteger)
    profile_path: Mapped[str]
    created_at: Mapped[datetime]


class Window(Base):
    """A window of one model version, as far as it was worked on."""

    __tablename__ = "windows"
    __table_args__ = (UniqueConstraint("model_id", "version", "start", "end"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    version: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    start: Mapped[datetime]
    end: Mapped[datetime]
    state: Mapped[str]
    n_records: Mapped[int] = mapped_column(BigInteger)
    n_labelled: Mapped[int] = mapped_column(BigInteger)
    basis: Mapped[str | None]
    profiled_at: Mapped[datetime | None]


class Incident(Base):
    """Alarms of one cause."""

    __tablename__ = "incidents"
    __table_args__ = (Index("ix_incidents_model_id_state", "model_id", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    version: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    kind: Mapped[str]
    severity: Mapped[str]
    state: Mapped[str]
    opened_at: Mapped[datetime]
    first_window: Mapped[datetime]
    last_window: Mapped[datetime]
    title: Mapped[str]
    summary: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    acknowledged_by: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]


class IncidentAlarm(Base):
    """One alarm; the same one cannot belong to two incidents, nor twice to one."""

    __tablename__ = "incident_alarms"
    __table_args__ = (
        UniqueConstraint(
            "model_id",
            "version",
            "metric",
            "column",
            "segment",
            "window_start",
            name="uq_incident_alarms_key",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(
        ForeignKey("incidents.id", ondelete="CASCADE"), index=True
    )
    model_id: Mapped[int]
    version: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    metric: Mapped[str]
    column: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    segment: Mapped[str | None] = mapped_column(OrNone, nullable=False)
    window_start: Mapped[datetime]
    window_end: Mapped[datetime]
    value: Mapped[float | None]
    expected: Mapped[float | None]
    lower: Mapped[float | None]
    upper: Mapped[float | None]
    p_value: Mapped[float | None]
    effect: Mapped[float | None]
    n_current: Mapped[int] = mapped_column(BigInteger)
    spread: Mapped[float | None]
    level: Mapped[float | None]
    reason: Mapped[str | None]


class AuditEntry(Base):
    """Who did what, when."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    project: Mapped[str | None]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]


class Lease(Base):
    """Who does a work that one at a time does; ``owner`` is empty where it was given back.

    That name and term are unique together makes a takeover a change of a key: PostgreSQL has it
    wait for transactions that rely on the term, and lets beats pass.
    """

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("name", "term"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    term: Mapped[int] = mapped_column(BigInteger)
    beat: Mapped[int] = mapped_column(BigInteger)


class News(Base):
    """What one flush of one server brought a model, until it is worked on."""

    __tablename__ = "news"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True
    )
    project: Mapped[str]
    model: Mapped[str]
    journal: Mapped[str]
    first_offset: Mapped[int] = mapped_column(BigInteger)
    last_offset: Mapped[int] = mapped_column(BigInteger)
    records: Mapped[int] = mapped_column(BigInteger)
    labels: Mapped[int] = mapped_column(BigInteger)
    quarantined: Mapped[int] = mapped_column(BigInteger)
    first_event: Mapped[datetime | None]
    last_event: Mapped[datetime | None]
    at: Mapped[datetime]


class Counter(Base):
    """A number that only grows, by name."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Server(Base):
    """A server process's data folder, which holds a journal; known until somebody forgets it."""

    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    since: Mapped[datetime]


class Erasure(Base):
    """A person's wish that the records of some ids go, and what became of it.

    ``ids`` is null once they are gone; ``receipt`` is what was done so far.
    """

    __tablename__ = "erasures"

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    state: Mapped[str]
    turn: Mapped[int]
    requested_at: Mapped[datetime]
    requested_by: Mapped[str]
    asked: Mapped[int]
    digest: Mapped[str]
    ids: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    receipt: Mapped[dict[str, Any]]
    done_at: Mapped[datetime | None]


class ErasurePart(Base):
    """What one server has done of an erasure in its own folder."""

    __tablename__ = "erasure_parts"

    erasure_id: Mapped[str] = mapped_column(
        ForeignKey("erasures.id", ondelete="CASCADE"), primary_key=True
    )
    server: Mapped[str] = mapped_column(primary_key=True)
    emptied_at: Mapped[datetime]
    cleared: Mapped[int]
    found: Mapped[dict[str, Any]]
