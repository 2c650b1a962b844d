"""How records and labels are read from their Parquet files, in DuckDB's SQL.

A scan is a list of files with what is known of their columns; conditions narrow it. Who runs the
queries, and for what, lives in the engine.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tidegauge.lake.columns import BATCH, DATE, EXTRA, INGESTED_AT, ROW, VERSION
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.values import converted, from_extra
from tidegauge.schema import Column, Role, Schema
from tidegauge.schema.arrow import TIMESTAMP, arrow_type

#: The order in which rows were committed.
COMMITTED = f"{INGESTED_AT}, {BATCH}, {ROW}"

_MONDAY = 4 * 86_400_000_000
_FILE = "_read_from_file"
_PLACE = "file_row_number"
_TYPES = {
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    TIMESTAMP: "TIMESTAMPTZ",
    pa.list_(pa.float32()): "FLOAT[]",
}


#: An interval of event time, the end not in it.
Span = tuple[datetime, datetime]


def days_within(within: Sequence[Span]) -> str | None:
    """Return the condition on partitions, in SQL, that they hold parts of some intervals.

    Examples
    --------
    >>> days_within([(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC))])
    "(_date >= '2026-01-05' AND _date <= '2026-01-06')"
    """
    days = (
        f"({DATE} >= '{start.astimezone(UTC).date()}' AND {DATE} <= '{last_date(end)}')"
        for start, end in within
    )
    return " OR ".join(days) or None


@dataclass(frozen=True)
class Scan:
    """Records of one model, as far as they are wanted.

    Parameters
    ----------
    files : tuple of str
        The files to read; one at least.
    columns : mapping of str to str
        The columns that these files have, each with its type in SQL.
    time, version : str
        Event time and model version, in SQL.
    key : str or None
        The prediction id, in SQL; None where the schema has none.
    conditions : tuple of str
        What must hold for a row, in SQL.
    parameters : dict
        The conditions' parameters by name.
    rows : int, optional
        How many records it has, once they were counted; repeated ones included.
    arrived : date, optional
        When the last of them arrived, likewise.
    aside : frozenset of str
        Columns whose values of before they were known stand in ``_extra``.
    """

    files: tuple[str, ...]
    columns: Mapping[str, str]
    time: str
    version: str
    key: str | None
    conditions: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    arrived: date | None = None
    aside: frozenset[str] = frozenset()

    def having(self, condition: str, **parameters: Any) -> Scan:
        """Return the scan narrowed by a further condition."""
        return replace(
            self,
            conditions=(*self.conditions, condition),
            parameters={**self.parameters, **parameters},
        )

    def between(self, start: datetime, end: datetime, within: Sequence[Span] = ()) -> Scan:
        """Return the scan of records whose event time lies in ``[start, end)``.

        Parameters
        ----------
        within : sequence of (start, end)
            Only these parts of it; all of it by default.
        """
        scan = self.having(f"{self.time} >= $start AND {self.time} < $end", start=start, end=end)
        parts = [
            f"({self.time} >= TIMESTAMPTZ '{first.isoformat()}'"
            f" AND {self.time} < TIMESTAMPTZ '{last.isoformat()}')"
            for first, last in within
        ]
        return scan.having(" OR ".join(parts)) if len(parts) > 1 else scan

    @property
    def source(self) -> str:
        """The files as a table, in SQL, named ``r``."""
        return (
            "read_parquet($files, union_by_name = true, hive_partitioning = false,"
            f" filename = '{_FILE}', {_PLACE} = true) AS r"
        )

    @property
    def where(self) -> str:
        """All conditions, in SQL."""
        return " AND ".join(f"({condition})" for condition in self.conditions) or "TRUE"

    def value(self, column: Column) -> str:
        """Return a column in its schema's type, in SQL; null where the files do not have it.

        Files of before its type was widened are read in the type of now, and a profile of before
        that reads what came after in the type that it knows: what has none there is null.
        """
        kind, held = sql_type(column), self.columns.get(column.name)
        stored = "" if held is None else converted(f"r.{quoted(column.name)}", held, kind)
        known = [stored] if stored else []
        if column.name in self.aside and EXTRA in self.columns:
            known.append(from_extra(f"r.{EXTRA}", column.name, kind))
        if not known:
            return f"CAST(NULL AS {kind})"
        return known[0] if len(known) == 1 else f"coalesce({', '.join(known)})"

    def run(self, cursor: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> Any:
        """Run a query over the scan's source and return DuckDB's relation."""
        values = {"files": list(self.files), **self.parameters, **parameters}
        return cursor.sql(query, params=values)


def scan_records(
    cursor: duckdb.DuckDBPyConnection,
    files: Sequence[str],
    schema: Schema,
    aside: frozenset[str] = frozenset(),
) -> Scan | None:
    """Return the scan of all records in these files, or None without any files."""
    if not files:
        return None
    described = cursor.sql(
        "SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)",
        params={"files": list(files)},
    )
    columns = dict(zip(described.columns, map(str, described.types), strict=True))
    key, time = schema.role(Role.PREDICTION_ID), schema.role(Role.TIMESTAMP)
    version = schema.role(Role.VERSION)
    version_name = VERSION if VERSION in columns else version.name if version else None
    return Scan(
        files=tuple(files),
        columns=columns,
        time=_stored(time.name if time else INGESTED_AT, columns, "TIMESTAMPTZ"),
        version=_stored(version_name, columns, "VARCHAR"),
        key=_stored(key.name, columns, "VARCHAR") if key else None,
        aside=aside,
    )


def without_repeats(
    cursor: duckdb.DuckDBPyConnection, scan: Scan, *, window: timedelta | None = None
) -> Scan:
    """Return the scan without records whose prediction id an earlier one of it has, and counted.

    Earlier means committed earlier. Where nothing is repeated, which is the rule, this reads the
    ids once and adds no condition.

    Parameters
    ----------
    window : timedelta, optional
        Look for repeats in each window of this width apart, not in the scan as a whole.
    """
    key = scan.key or "CAST(NULL AS VARCHAR)"
    group = key if window is None else f"({key}, {window_start(scan.time, window)})"
    counted = (
        f"SELECT count(*), count({key}),"
        f" count(DISTINCT hash({group})) FILTER (WHERE {key} IS NOT NULL),"
        f" CAST(max({INGESTED_AT}) AS DATE) FROM {scan.source} WHERE {scan.where}"
    )
    rows, known, distinct, arrived = scan.run(cursor, counted).fetchall()[0]
    scan = replace(scan, rows=rows, arrived=arrived)
    if known == distinct:
        return scan
    where = f"{scan.where} AND {key} IS NOT NULL"
    suspects = (
        f"SELECT hash({group}) FROM {scan.source} WHERE {where} GROUP BY 1 HAVING count(*) > 1"
    )
    ranked = (
        f"SELECT r.{_FILE} AS file, r.{_PLACE} AS place,"
        f" row_number() OVER (PARTITION BY {group} ORDER BY {COMMITTED}) AS turn"
        f" FROM {scan.source} WHERE {where} AND hash({group}) IN ({suspects})"
    )
    repeats = scan.run(cursor, f"SELECT file, place FROM ({ranked}) WHERE turn > 1")
    cursor.register("repeated_records", repeats.to_arrow_table())
    return scan.having(
        "NOT EXISTS (SELECT 1 FROM repeated_records AS x"
        f" WHERE x.file = r.{_FILE} AND x.place = r.{_PLACE})"
    )


@dataclass(frozen=True)
class LabelFiles:
    """The label files that may hold labels of some records.

    Parameters
    ----------
    files : tuple of str
        None at all is allowed.
    scattered : bool
        Whether most of their labels are of other records, so that these are best left out before
        anything else is done with them.
    """

    files: tuple[str, ...]
    scattered: bool = True


def label_files(
    cursor: duckdb.DuckDBPyConnection,
    lake: Lake,
    project: str,
    model: str,
    scan: Scan,
    first: date,
    last: date,
    horizon: timedelta,
    *,
    within: Sequence[Span] = (),
) -> LabelFiles:
    """Return the files that may hold labels of a scan's records.

    Labels with a timestamp stand under the event date of their records. Those without one stand
    under the date they were observed; they are looked for from ``horizon`` before the first event,
    since a label may wait for its prediction, until ``horizon`` after the last event or the last
    arrival, so that a replay of old records finds its labels too.

    Parameters
    ----------
    first, last : date
        Event dates of the records.
    within : sequence of (start, end)
        The parts of it that they lie in.
    """
    dated = lake.files(project, model, "labels", first, last, where=days_within(within))
    until = _shifted(max(last, scan.arrived or last), horizon)
    undated = lake.files(
        project, model, "labels", _shifted(first, -horizon), until, where="timestamp IS NULL"
    )
    files = list(dict.fromkeys([*dated, *undated]))
    if not files or scan.rows is None:
        return LabelFiles(tuple(files))
    counted = "SELECT count(*) FROM read_parquet($files, hive_partitioning = false)"
    labels = cursor.sql(counted, params={"files": files}).fetchall()[0][0]
    return LabelFiles(tuple(files), scattered=labels > 2 * scan.rows)


def _shifted(day: date, by: timedelta) -> date:
    """Return a date so much later, or the last (or first) one that there is."""
    try:
        return day + by
    except OverflowError:
        return date.min if by < timedelta() else date.max


def select_records(
    scan: Scan,
    schema: Schema,
    labels: LabelFiles | None = None,
    *,
    as_of: datetime | None = None,
    also: Sequence[str] = (),
) -> tuple[str, dict[str, Any]]:
    """Return the query for a scan's records with their newest labels, and its parameters.

    Parameters
    ----------
    schema : Schema
        The columns to select, in the schema's types.
    labels : LabelFiles, optional
        Where their labels are; a record's own label stands where no other is known.
    as_of : datetime, optional
        Labels observed later do not count.
    also : sequence of str
        Further columns, in SQL.
    """
    values = {column.name: scan.value(column) for column in schema}
    label, joined = schema.role(Role.LABEL), ""
    parameters: dict[str, Any] = {}
    if label is not None and labels is not None and labels.files and scan.key is not None:
        newest = _newest_labels(scan, labels, as_of=as_of is not None)
        joined = f" LEFT JOIN ({newest}) AS l ON l.prediction_id = {scan.key}"
        known = f"TRY_CAST(l.label AS {sql_type(label)})"
        values[label.name] = f"coalesce({known}, {values[label.name]})"
        parameters["labels"] = list(labels.files)
        if as_of is not None:
            parameters["as_of"] = as_of
    selected = [*(f"{value} AS {quoted(name)}" for name, value in values.items()), *also]
    query = f"SELECT {', '.join(selected)} FROM {scan.source}{joined} WHERE {scan.where}"
    return query, parameters


def _newest_labels(scan: Scan, labels: LabelFiles, *, as_of: bool) -> str:
    """Return the records' newest labels in SQL: ``prediction_id``, ``label``.

    The newest is the one observed last; of those the one committed last.
    """
    terms = ["observed_at <= $as_of"] if as_of else []
    if labels.scattered:
        terms.append(f"prediction_id IN (SELECT {scan.key} FROM {scan.source} WHERE {scan.where})")
    return (
        f"SELECT prediction_id, arg_max(label, (observed_at, {COMMITTED})) AS label"
        " FROM read_parquet($labels, union_by_name = true, hive_partitioning = false)"
        f" WHERE {' AND '.join(terms) or 'TRUE'} GROUP BY prediction_id"
    )


def window_start(time: str, width: timedelta) -> str:
    """Return the start of a time's window in SQL, as microseconds since 1970.

    Windows are aligned to Monday, midnight UTC, as profiles are.
    """
    step = width // timedelta(microseconds=1)
    shifted = f"(epoch_us({time}) - {_MONDAY})"
    return f"{shifted} - (({shifted} % {step}) + {step}) % {step} + {_MONDAY}"


def sql_type(column: Column) -> str:
    """Return the SQL type of a column's values.

    Examples
    --------
    >>> from tidegauge.schema import ColumnType
    >>> sql_type(Column("age", ColumnType.NUMERIC))
    'DOUBLE'
    """
    return _TYPES[arrow_type(column)]


def quoted(name: str) -> str:
    """Return a column name as SQL takes it, whatever characters it has.

    Examples
    --------
    >>> print(quoted('5" pipe'))
    "5"" pipe"
    """
    return '"' + name.replace('"', '""') + '"'


def _stored(name: str | None, columns: Container[str], kind: str) -> str:
    return f"r.{quoted(name)}" if name in columns and name else f"CAST(NULL AS {kind})"
