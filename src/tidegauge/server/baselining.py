"""Baselines from uploaded frames and from stored records; runs in worker threads.

Uploaded records go through the same checks as live ones, so that both have the same types.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from tidegauge.engine import profile_source, survey_source
from tidegauge.engine.arrow_file import ArrowSource
from tidegauge.engine.frame import FrameSource
from tidegauge.engine.parquet import ParquetSource
from tidegauge.engine.source import BATCH_ROWS, Source, head, rebatch
from tidegauge.errors import BadInput, EmptyInput, SchemaMismatch, UnreadableSource
from tidegauge.ingest import RecordError, check_records, format_of, parse
from tidegauge.ingest.checked import MAX_ERRORS
from tidegauge.ingest.first_records import as_table
from tidegauge.ingest.parsed import Parsed
from tidegauge.ingest.sources import open_source
from tidegauge.profile import Baseline
from tidegauge.schema import Role, Schema, arrow_schema, infer_schema
from tidegauge.server.growing import with_essentials, with_label

if TYPE_CHECKING:
    from tidegauge.server.runtime import Model, Runtime

_ON_DISK: dict[str, Callable[[Path], Source]] = {
    "Arrow IPC stream": lambda path: ArrowSource(path, "the body"),
    "Parquet": lambda path: ParquetSource([path], "the body"),
}
_NEEDED = frozenset({Role.FEATURE, Role.SEGMENT})
_SEEN = 20_000


@dataclass(frozen=True)
class MadeBaseline:
    """A new baseline, with what is told of it.

    Parameters
    ----------
    baseline : Baseline
    rows : int
        Records in it.
    start, end : datetime or None
        First and last event time; None where its records have none.
    left_out : int
        Records that did not fit the schema.
    errors : tuple of RecordError
        Why, of the first of them.
    missing : tuple of str
        Columns of the schema that it has nothing of.
    """

    baseline: Baseline
    rows: int
    start: datetime | None
    end: datetime | None
    left_out: int = 0
    errors: tuple[RecordError, ...] = ()
    missing: tuple[str, ...] = ()


class Upload(Protocol):
    """An uploaded body: its records as they came, piece by piece, from the start each time."""

    names: Sequence[str]

    def parts(self, names: list[str]) -> Iterator[Parsed]:
        """Return the records; columns other than these may be left out."""

    def sample(self) -> pa.Table:
        """Return the first records, with the types that they have."""


class UploadedRows:
    """A JSON or NDJSON body."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self.names: Sequence[str] = open_source(rows).names

    def parts(self, names: list[str]) -> Iterator[Parsed]:
        """Return the records."""
        del names
        for first in range(0, len(self._rows), BATCH_ROWS):
            yield self._rows[first : first + BATCH_ROWS]

    def sample(self) -> pa.Table:
        """Return the first records, with the types that they have."""
        return as_table(self._rows)


class UploadedFile:
    """An Arrow stream or Parquet file on disk, read piece by piece."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.names: Sequence[str] = source.arrow_schema().names

    def parts(self, names: list[str]) -> Iterator[Parsed]:
        """Return the records."""
        for batch in self._source.batches(names):
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])

    def sample(self) -> pa.Table:
        """Return the first records, with the types that they have."""
        return head(self._source, _SEEN)


@dataclass
class CheckedFrame:
    """A source whose records are checked as live ones are; what does not fit is left out.

    Parameters
    ----------
    upload : Upload
    schema : Schema
        Of the columns that the upload has.
    now : datetime
        The clock.
    """

    upload: Upload
    schema: Schema
    now: datetime
    name: str = "the body"
    rows: int | None = None
    left_out: int = 0
    errors: list[RecordError] = field(default_factory=list)

    def arrow_schema(self) -> pa.Schema:
        """Return names and stored types of its columns."""
        return arrow_schema(self.schema)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read and check the records from the start."""
        self.left_out = 0
        self.errors.clear()
        names = list(self.schema.names)
        first = 0
        for part in self.upload.parts(names):
            checked = check_records(part, self.schema, now=self.now)
            self.left_out += checked.repeated + checked.quarantined.num_rows
            for error in checked.errors[: MAX_ERRORS - len(self.errors)]:
                self.errors.append(replace(error, index=first + error.index))
            first += len(part)
            yield from rebatch(checked.accepted.select(columns or names))


@dataclass(frozen=True)
class StoredRecords:
    """A model's stored records of an interval, with their labels."""

    runtime: Runtime
    model: Model
    start: datetime
    end: datetime
    name: str = "the stored records"
    rows: int | None = None

    def arrow_schema(self) -> pa.Schema:
        """Return names and stored types of the model's columns."""
        return arrow_schema(self.model.schema)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the records from the start."""
        yield from self.runtime.engine.batches(
            self.model.project,
            self.model.name,
            self.model.schema,
            self.start,
            self.end,
            columns=columns,
            window=self.model.window,
        )


def from_stored(runtime: Runtime, model: Model, start: datetime, end: datetime) -> MadeBaseline:
    """Make a baseline of stored records; those that are accepted by now are among them.

    Raises
    ------
    EmptyInput
        If there are none.
    """
    runtime.flusher.flush_now()
    return _profiled(StoredRecords(runtime, model, start, end), model.schema, model.window)


def from_upload(
    upload: Upload, schema: Schema, width: timedelta, *, now: datetime | None = None
) -> MadeBaseline:
    """Make a baseline of an uploaded frame.

    Parameters
    ----------
    upload : Upload
    schema : Schema
        The model's.
    width : timedelta
        Of the model's windows.
    now : datetime, optional
        The clock.

    Raises
    ------
    SchemaMismatch
        If the frame lacks a feature, or has no column of the schema.
    BadInput
        If its timestamps have no zone, or no record can be used.
    """
    held = set(upload.names)
    missing = tuple(name for name in schema.names if name not in held)
    if len(missing) == len(schema):
        raise SchemaMismatch(
            "the baseline has no column of the model's schema; send the columns that its records "
            "have",
            code="no_common_columns",
        )
    lacking = [name for name in missing if schema[name].role in _NEEDED]
    if lacking:
        raise SchemaMismatch(
            f"the baseline has no column {lacking[0]!r}, which the model's schema knows; add it, "
            "or change the schema",
            code="missing_column",
        )
    time = schema.role(Role.TIMESTAMP)
    timed = time is not None and time.name in held
    checked = CheckedFrame(upload, schema.select(held), now or datetime.now(UTC))
    made = _profiled(checked, schema, width if timed else None)
    return replace(made, left_out=checked.left_out, errors=tuple(checked.errors), missing=missing)


def _profiled(source: Any, schema: Schema, width: timedelta | None) -> MadeBaseline:
    survey = survey_source(source, schema)
    if survey.rows == 0:
        errors = getattr(source, "errors", [])
        if errors:
            raise BadInput(
                f"no record of {source.name} can be used: {errors[0].message}",
                code=errors[0].code,
            )
        raise EmptyInput(f"{source.name} hold no records; a baseline needs some")
    layout = survey.layout(f"b{uuid.uuid4().hex[:12]}")
    profile = profile_source(source, layout, width)
    rows = int(profile.rows[:, 0].sum())
    return MadeBaseline(Baseline(profile, datetime.now(UTC)), rows, *profile.event_times)


def open_upload(path: Path, content_type: str | None) -> Upload:
    """Return an uploaded body.

    Raises
    ------
    BadInput
        If it is not what its content type says.
    """
    open_file = _ON_DISK.get(format_of(content_type).name)
    if open_file is None:
        parsed = parse(path.read_bytes(), content_type)
        if isinstance(parsed, pa.Table):
            return UploadedFile(FrameSource(parsed, "the body"))
        return UploadedRows(parsed)
    try:
        return UploadedFile(open_file(path))
    except UnreadableSource as error:
        raise UnreadableSource(error.message.replace(str(path), "the body")) from None


def waits_on_disk(content_type: str | None) -> bool:
    """Tell whether a format is read from disk piece by piece, however large it is.

    Raises
    ------
    UnsupportedMediaType
        If no format has this content type.
    """
    return format_of(content_type).name in _ON_DISK


def schema_of_upload(upload: Upload) -> Schema:
    """Infer a model's schema from a baseline; its records' id and time are added if need be.

    Raises
    ------
    EmptyInput
        Without rows, or columns of the sender's own.
    """
    table = upload.sample()
    own = [name for name in table.column_names if not name.startswith("_")]
    if table.num_rows == 0 or not own:
        raise EmptyInput("the body holds no records; a baseline needs some")
    return with_essentials(with_label(infer_schema(table.select(own))))
