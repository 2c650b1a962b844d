"""The server's own engine: DuckDB over the lake's Parquet files, records joined with their labels.

It brings rows: as Arrow batches to the profiler, as JSON-ready dictionaries to people. Stored
results are read here too, so that callers need one engine. It computes no statistics.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tidegauge.errors import BadInput, NotFound
from tidegauge.lake.arrivals import Arrival, came_with
from tidegauge.lake.columns import BATCH, EXTRA, INGESTED_AT, ROW
from tidegauge.lake.points import PointReader
from tidegauge.lake.scan import (
    COMMITTED,
    Scan,
    Span,
    days_within,
    label_files,
    scan_records,
    select_records,
    window_start,
    without_repeats,
)
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY, Wildcard
from tidegauge.metrics.result import Basis
from tidegauge.profile.layout import to_datetime
from tidegauge.schema import Role, Schema

#: Rows of one Arrow batch.
BATCH_ROWS = 131_072
#: For how long labels without a timestamp are looked for.
LABEL_HORIZON = timedelta(days=90)


class LakeEngine:
    """Brings the lake's records, labels and results.

    Parameters
    ----------
    lake : Lake
    threads : int, optional
        Threads of all queries together; as many as cores by default.
    memory_limit : str, optional
        What all queries together may hold in memory, such as ``"2GB"``.
    label_horizon : timedelta
        Labels without a timestamp are looked for among those observed until this long after their
        records' event time or arrival.
    cache_bytes : int
        Memory for stored results that are read again and again.
    aside : callable, optional
        Tells of a project and model the columns whose values may stand in ``_extra``, because
        they came before the column was known.

    Examples
    --------
    >>> import tempfile
    >>> from tidegauge.schema import Column, ColumnType
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake, start = Lake(folder.name), datetime(2026, 1, 1, tzinfo=UTC)
    >>> schema = Schema((
    ...     Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
    ...     Column("timestamp", ColumnType.DATETIME, Role.TIMESTAMP),
    ...     Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ... ))
    >>> times = pa.array([start, start + timedelta(hours=1)], pa.timestamp("us", "UTC"))
    >>> rows = pa.table({"prediction_id": ["a", "b"], "timestamp": times})
    >>> version = lake.append("default", "demo", "records", rows)
    >>> labels = pa.table({"prediction_id": ["b"], "label": [True]})
    >>> version = lake.append("default", "demo", "labels", labels)
    >>> engine, end = LakeEngine(lake), start + timedelta(days=1)
    >>> for batch in engine.batches("default", "demo", schema, start, end):
    ...     print(batch["prediction_id"].to_pylist(), batch["label"].to_pylist())
    ['a', 'b'] [None, True]
    >>> engine.record("default", "demo", schema, "b")["label"]
    True
    >>> engine.close(); folder.cleanup()
    """

    def __init__(
        self,
        lake: Lake,
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        label_horizon: timedelta = LABEL_HORIZON,
        cache_bytes: int = 256 << 20,
        aside: Callable[[str, str], frozenset[str]] | None = None,
    ) -> None:
        self.lake = lake
        self._aside = aside or (lambda project, model: frozenset())
        self.label_horizon = label_horizon
        self._database = duckdb.connect(":memory:")
        self._database.execute("SET GLOBAL TimeZone = 'UTC'")
        if threads is not None:
            self._database.execute(f"SET GLOBAL threads = {int(threads)}")
        if memory_limit is not None:
            self._database.execute("SET GLOBAL memory_limit = ?", [memory_limit])
        self._points = PointReader(lake, cache_bytes=cache_bytes)

    def close(self) -> None:
        """Let go of the database that queries run in."""
        self._database.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of the caller's own to the database that queries run in."""
        return self._database.cursor()

    def versions(
        self,
        project: str,
        model: str,
        schema: Schema,
        start: datetime,
        end: datetime,
        *,
        within: Sequence[Span] = (),
    ) -> list[str | None]:
        """Return the model versions that have records in ``[start, end)``.

        Parameters
        ----------
        within : sequence of (start, end)
            Only in these parts of it.

        Returns
        -------
        list of str or None
            None, for records without a version, comes first; empty where there is no record.
        """
        with closing(self._database.cursor()) as cursor:
            scan = self._scan(cursor, project, model, schema, start, end, within)
            if scan is None:
                return []
            query = (
                f"SELECT DISTINCT CAST({scan.version} AS VARCHAR) FROM {scan.source}"
                f" WHERE {scan.where} ORDER BY 1 NULLS FIRST"
            )
            return [row[0] for row in scan.run(cursor, query).fetchall()]

    def batches(
        self,
        project: str,
        model: str,
        schema: Schema,
        start: datetime,
        end: datetime,
        *,
        version: str | Wildcard | None = ANY,
        columns: Iterable[str] | None = None,
        window: timedelta | None = None,
        as_of: datetime | None = None,
        within: Sequence[Span] = (),
    ) -> Iterator[pa.RecordBatch]:
        """Bring the records whose event time lies in ``[start, end)``, with their labels.

        Of several records with one prediction id the first that was committed counts, among those
        of the version asked for. A label that came later takes the place of the record's own; of
        several the one observed last counts, then the one committed last. The cost is that of
        these records, however many there are outside the interval.

        Parameters
        ----------
        schema : Schema
            Says which columns are brought, and in which types. Without a label column, labels are
            not looked at.
        version : str or None, optional
            Only records of this version; None for those without one.
        columns : iterable of str, optional
            Only these columns, in the schema's order.
        window : timedelta, optional
            A prediction id counts once in each window of this width; once in the whole interval
            by default.
        as_of : datetime, optional
            Labels observed later do not count.
        within : sequence of (start, end)
            Only records of these parts of the interval; their labels are looked for once.

        Yields
        ------
        pyarrow.RecordBatch
            The schema's columns, in the types they are stored in; null where files lack them.
        """
        wanted = schema if columns is None else schema.select(columns)
        with closing(self._database.cursor()) as cursor:
            scan = self._scan(cursor, project, model, schema, start, end, within)
            if scan is None:
                return
            if version is not ANY:
                scan = scan.having(f"{scan.version} IS NOT DISTINCT FROM $version", version=version)
            scan = without_repeats(cursor, scan, window=window)
            if not scan.rows:
                return
            labels = None
            if wanted.role(Role.LABEL) is not None:
                first, last = start.astimezone(UTC).date(), last_date(end)
                names = self.lake, project, model
                labels = label_files(
                    cursor, *names, scan, first, last, self.label_horizon, within=within
                )
            query, parameters = select_records(scan, wanted, labels, as_of=as_of)
            yield from scan.run(cursor, query, **parameters).to_arrow_reader(BATCH_ROWS)

    def record(
        self, project: str, model: str, schema: Schema, prediction_id: str
    ) -> dict[str, Any]:
        """Return one record with its label, ready for JSON.

        Besides the schema's columns it has the fields that the schema does not know, and
        ``version`` where the schema has no such column.

        Raises
        ------
        NotFound
            When there is no such record.
        """
        with closing(self._database.cursor()) as cursor:
            files = self.lake.files(project, model, "records")
            scan = scan_records(cursor, files, schema, self._aside(project, model))
            if scan is not None and scan.key is not None:
                scan = scan.having(f"{scan.key} = $id", id=prediction_id)
                found = self._objects(cursor, scan, project, model, schema, COMMITTED, 1)
                if found:
                    return found[0]
        raise NotFound(
            f"model {model!r} has no record with the prediction id {prediction_id!r}",
            code="unknown_record",
        )

    def records(
        self,
        project: str,
        model: str,
        schema: Schema,
        start: datetime,
        end: datetime,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return records of an interval, oldest first, a page at a time, ready for JSON.

        Parameters
        ----------
        limit : int
            Records of one page at most.
        cursor : str, optional
            Where the page before ended, as it was returned with it.

        Returns
        -------
        (list of dict, str or None)
            The records with their labels, and the cursor of the next page if there is one.

        Raises
        ------
        BadInput
            On a cursor that was not returned from here.
        """
        with closing(self._database.cursor()) as connection:
            scan = self._scan(connection, project, model, schema, start, end)
            if scan is None or limit < 1:
                return [], None
            scan = without_repeats(connection, scan)
            place = (
                f"epoch_us({scan.time}), epoch_us({INGESTED_AT}),"
                f" coalesce({BATCH}, 0), coalesce({ROW}, 0)"
            )
            if cursor is not None:
                after = dict(zip(("a", "b", "c", "d"), _opened(cursor), strict=True))
                scan = scan.having(
                    f"({place}) > ($a::BIGINT, $b::BIGINT, $c::BIGINT, $d::BIGINT)", **after
                )
            # The places first, from a few narrow columns; then the rows up to the last of them.
            query = f"SELECT {place} FROM {scan.source} WHERE {scan.where} ORDER BY {place}"
            places = scan.run(connection, f"{query} LIMIT {limit + 1}").fetchall()
            if not places:
                return [], None
            until = to_datetime(places[:limit][-1][0])
            page = scan.having(f"{scan.time} <= $until", until=until)
            found = self._objects(connection, page, project, model, schema, place, limit)
        return found, _closed(places[limit - 1]) if len(places) > limit else None

    def time_bounds(
        self, project: str, model: str, schema: Schema
    ) -> tuple[datetime, datetime] | None:
        """Return the least and the greatest event time of all records, or None without any."""
        time = schema.role(Role.TIMESTAMP)
        name = time.name if time is not None else INGESTED_AT
        files = self.lake.files_at_ends(project, model, "records", name)
        with closing(self._database.cursor()) as cursor:
            scan = scan_records(cursor, files, schema)
            if scan is None:
                return None
            query = f"SELECT epoch_us(min({scan.time})), epoch_us(max({scan.time}))"
            low, high = scan.run(cursor, f"{query} FROM {scan.source}").fetchall()[0]
        return None if low is None else (to_datetime(low), to_datetime(high))

    def recorded_windows(
        self,
        project: str,
        model: str,
        schema: Schema,
        arrivals: Sequence[Arrival],
        width: timedelta,
        *,
        first: date | None = None,
        last: date | None = None,
    ) -> list[datetime]:
        """Return the starts of the windows of records that came with some arrivals.

        Parameters
        ----------
        first, last : date, optional
            Between which their events lie, where that is known.
        """
        if not arrivals:
            return []
        fresh = came_with(arrivals, self.lake.columns(project, model, "records").names)
        files = self.lake.files(project, model, "records", first, last, where=fresh)
        with closing(self._database.cursor()) as cursor:
            scan = scan_records(cursor, files, schema)
            if scan is None:
                return []
            scan = scan.having(fresh)
            return [to_datetime(start) for start in sorted(_windows(cursor, scan, width))]

    def labelled_windows(
        self,
        project: str,
        model: str,
        schema: Schema,
        arrivals: Sequence[Arrival],
        width: timedelta,
    ) -> list[datetime]:
        """Return the starts of the windows of labels that came with some arrivals.

        Where a label has no timestamp, its record is looked for.
        """
        if not arrivals:
            return []
        fresh = f"({came_with(arrivals, self.lake.columns(project, model, 'labels').names)})"
        files = self.lake.files(project, model, "labels", where=fresh)
        if not files:
            return []
        source = "read_parquet($labels, union_by_name = true, hive_partitioning = false)"
        dated = f"SELECT DISTINCT {window_start('timestamp', width)} FROM {source} WHERE {fresh}"
        undated = f"FROM {source} WHERE {fresh} AND timestamp IS NULL"
        with closing(self._database.cursor()) as cursor:
            names = {"labels": files}
            rows = cursor.sql(f"{dated} AND timestamp IS NOT NULL", params=names).fetchall()
            starts = {row[0] for row in rows}
            bounds = (
                "SELECT CAST(min(observed_at) AS DATE), CAST(max(observed_at) AS DATE),"
                f" CAST(min({INGESTED_AT}) AS DATE) {undated}"
            )
            first, last, arrived = cursor.sql(bounds, params=names).fetchall()[0]
            if first is not None:
                # Predictions come before their labels: in event time, or, in a replay, by arrival.
                earliest, day = first - self.label_horizon, timedelta(days=1)
                came = arrived - self.label_horizon
                where = (
                    f"(_date >= '{earliest}' AND _date <= '{last + day}')"
                    f" OR {INGESTED_AT} >= '{came}T00:00:00Z'"
                )
                paths = self.lake.files(project, model, "records", where=where)
                scan = scan_records(cursor, paths, schema)
                if scan is not None and scan.key is not None:
                    scan = scan.having(f"{scan.key} IN (SELECT prediction_id {undated})")
                    starts |= _windows(cursor, scan, width, labels=files)
        return [to_datetime(start) for start in sorted(starts)]

    def points(
        self,
        project: str,
        model: str,
        *,
        start: datetime,
        end: datetime,
        metric: str | Wildcard = ANY,
        column: str | Wildcard | None = ANY,
        segment: Mapping[str, str] | Wildcard | None = None,
        version: str | Wildcard | None = ANY,
        basis: Basis | Wildcard | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """Return the stored results of the windows that begin within ``[start, end)``.

        See :meth:`tidegauge.lake.points.PointReader.read`.
        """
        return self._points.read(
            project,
            model,
            start,
            end,
            metric=metric,
            column=column,
            segment=segment,
            version=version,
            basis=basis,
            as_of=as_of,
        )

    def _scan(
        self,
        cursor: duckdb.DuckDBPyConnection,
        project: str,
        model: str,
        schema: Schema,
        start: datetime,
        end: datetime,
        within: Sequence[Span] = (),
    ) -> Scan | None:
        """Return the scan of an interval's records; None where no file can hold one."""
        first, days = start.astimezone(UTC).date(), days_within(within)
        files = self.lake.files(project, model, "records", first, last_date(end), where=days)
        scan = scan_records(cursor, files, schema, self._aside(project, model))
        return None if scan is None else scan.between(start, end, within)

    def _objects(
        self,
        cursor: duckdb.DuckDBPyConnection,
        scan: Scan,
        project: str,
        model: str,
        schema: Schema,
        order: str,
        limit: int,
    ) -> list[dict[str, Any]]:
        """Return the first records of a scan in some order, with their labels, ready for JSON."""
        bounds = (
            f"SELECT epoch_us(min({scan.time})), epoch_us(max({scan.time})),"
            f" CAST(max({INGESTED_AT}) AS DATE) FROM {scan.source} WHERE {scan.where}"
        )
        low, high, arrived = scan.run(cursor, bounds).fetchall()[0]
        if low is None:
            return []
        first, last = to_datetime(low), to_datetime(high)
        # What is known of their time spares reading most of what else the files hold.
        between = f"{scan.time} >= $low AND {scan.time} <= $high"
        scan = replace(scan.having(between, low=first, high=last), arrived=arrived, rows=None)
        labels = label_files(
            cursor,
            self.lake,
            project,
            model,
            scan,
            first.date(),
            last.date(),
            self.label_horizon,
        )
        also = [f"CAST({scan.version} AS VARCHAR) AS _version"]
        if EXTRA in scan.columns:
            also.append(f"r.{EXTRA} AS {EXTRA}")
        query, parameters = select_records(scan, schema, replace(labels, scattered=True), also=also)
        tail = f" ORDER BY {order} LIMIT {limit}"
        rows = scan.run(cursor, query + tail, **parameters).to_arrow_table().to_pylist()
        return [_object(row, schema) for row in rows]


def _windows(
    cursor: duckdb.DuckDBPyConnection, scan: Scan, width: timedelta, **parameters: Any
) -> set[int]:
    start = window_start(scan.time, width)
    query = f"SELECT DISTINCT {start} FROM {scan.source} WHERE {scan.where}"
    rows = scan.run(cursor, query, **parameters).fetchall()
    return {row[0] for row in rows if row[0] is not None}


def _object(row: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Return a record as it is shown: its columns, what else was sent, its version."""
    extra, version = row.pop(EXTRA, None), row.pop("_version")
    shown = {name: _plain(value) for name, value in row.items()}
    if version is not None and schema.role(Role.VERSION) is None:
        shown.setdefault("version", version)
    return {**(json.loads(extra) if extra else {}), **shown}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _closed(place: Sequence[int]) -> str:
    """Return a place in the order of records as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _opened(cursor: str) -> list[int]:
    """Return the place that a cursor holds."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = json.loads(base64.urlsafe_b64decode(padded.encode()))
    except ValueError:
        place = None
    if (
        not isinstance(place, list)
        or len(place) != 4
        or not all(isinstance(part, int) for part in place)
    ):
        raise BadInput(
            f"the cursor {cursor[:40]!r} is none of ours; take the one in 'next', or none",
            code="bad_cursor",
        )
    return place
