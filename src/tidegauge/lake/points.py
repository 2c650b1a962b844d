"""Stored results: of each metric, column, segment, version and window the newest counts.

A window keeps what was estimated of its performance beside what was measured: of each the newest.

The results of a whole model, without its segments, are what pages read again and again; they are
kept in memory per file, since a file never changes.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tidegauge.errors import SchemaMismatch
from tidegauge.lake.columns import OWN
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY, Wildcard
from tidegauge.metrics.result import RESULT_SCHEMA, Basis

#: What names a point, beside whether it is estimated; with ``computed_at`` what names a belief.
KEYS = ("metric", "column", "segment", "version", "window_start")

#: Fields of a result that stored points of earlier releases lack.
_LATER = ("basis", "ci_lower", "ci_upper")

_COMPUTE: Any = pc


def append_points(lake: Lake, project: str, model: str, points: pa.Table) -> int | None:
    """Store results in one commit; return the table's version, or None without any rows.

    Parameters
    ----------
    points : pyarrow.Table
        Results, with ``window_start`` and ``computed_at`` as timestamps in UTC.

    Raises
    ------
    SchemaMismatch
        When a column that names a point is missing.
    """
    missing = [name for name in (*KEYS, "computed_at") if name not in points.column_names]
    if missing:
        raise SchemaMismatch(f"points without the column {missing[0]!r}; add it")
    if not points.num_rows:
        return None
    # What is read together stands together: the whole model apart from its segments.
    order: Any = [(name, "ascending") for name in sorted(KEYS, key=lambda name: name != "segment")]
    return lake.append(project, model, "points", points.sort_by(order))


class PointReader:
    """Reads stored results, each key's newest.

    Parameters
    ----------
    lake : Lake
    cache_bytes : int
        Memory for results of whole models, over all models.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import timedelta
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake, start = Lake(folder.name), datetime(2026, 1, 1, tzinfo=UTC)
    >>> def point(value, computed_at, segment=None):
    ...     return {"metric": "psi", "column": "age", "segment": segment, "version": "1",
    ...             "window_start": start, "value": value, "computed_at": computed_at}
    >>> later = start + timedelta(days=2)
    >>> rows = [point(0.1, start + timedelta(days=1)), point(0.3, later)]
    >>> rows += [point(0.5, later, '{"carrier": "UA"}')]
    >>> version = append_points(lake, "default", "demo", pa.Table.from_pylist(rows))
    >>> reader = PointReader(lake)
    >>> reader.read("default", "demo", start, later)["value"].to_pylist()
    [0.3]
    >>> early = start + timedelta(days=1, hours=1)
    >>> reader.read("default", "demo", start, later, as_of=early)["value"].to_pylist()
    [0.1]
    >>> ua = {"carrier": "UA"}
    >>> reader.read("default", "demo", start, later, segment=ua)["value"].to_pylist()
    [0.5]
    >>> folder.cleanup()
    """

    def __init__(self, lake: Lake, *, cache_bytes: int = 256 << 20) -> None:
        self.lake = lake
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[str, pa.Table] = OrderedDict()
        self._held = 0
        self._guard = threading.Lock()

    def read(
        self,
        project: str,
        model: str,
        start: datetime,
        end: datetime,
        *,
        metric: str | Wildcard = ANY,
        column: str | Wildcard | None = ANY,
        segment: Mapping[str, str] | Wildcard | None = None,
        version: str | Wildcard | None = ANY,
        basis: Basis | Wildcard | None = None,
        as_of: datetime | None = None,
    ) -> pa.Table:
        """Return the results of the windows that begin within ``[start, end)``.

        Parameters
        ----------
        metric, column, version : str, optional
            Only these; None for a column is a result of the model as a whole.
        segment : mapping of one column to its value, optional
            The segment; None for the whole, ``ANY`` for the whole and all segments.
        basis : Basis, optional
            Of performance only this basis; ``ANY`` for what is measured and what is estimated
            beside it; by default what is no estimate.
        as_of : datetime, optional
            What was believed then: results computed later do not count.

        Returns
        -------
        pyarrow.Table
            As they were stored, text dictionary-encoded, with null for fields that are newer than
            they are; without rows also without columns.
        """
        wanted = {"metric": metric, "column": column, "version": version}
        filters = {name: value for name, value in wanted.items() if value is not ANY}
        paths = self.lake.files(
            project, model, "points", start.astimezone(UTC).date(), last_date(end)
        )
        self._forget_replaced(paths)
        parts = []
        for path in paths:
            part = self._whole(path) if segment is None else _segments(path, segment, filters)
            keep = _COMPUTE.and_(
                _COMPUTE.greater_equal(part["window_start"], start),
                _COMPUTE.less(part["window_start"], end),
            )
            if as_of is not None:
                keep = _COMPUTE.and_(keep, _COMPUTE.less_equal(part["computed_at"], as_of))
            for name, value in filters.items():
                keep = _COMPUTE.and_(keep, _equals(part[name], value))
            if basis is None and "basis" in part.column_names:
                keep = _COMPUTE.and_(keep, _COMPUTE.invert(_estimated(part)))
            parts.append(part if _COMPUTE.all(keep).as_py() else part.filter(keep))
        if not parts:
            return pa.table({})
        found = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
        rows = newest(found)
        found = found if len(rows) == len(found) else found.take(rows)
        for name in _LATER:
            if name not in found.column_names:
                field = RESULT_SCHEMA.field(name)
                found = found.append_column(field, pa.nulls(len(found), field.type))
        if isinstance(basis, Wildcard) or basis is None:
            return found
        return found.filter(_equals(found["basis"], str(basis)))

    def _forget_replaced(self, paths: Sequence[str]) -> None:
        """Let go of files that were joined into others: of these dates, only these count now."""
        dates = {path.rpartition("/")[0] for path in paths}
        current = set(paths)
        with self._guard:
            old = [
                path
                for path in self._cache
                if path not in current and path.rpartition("/")[0] in dates
            ]
            for path in old:
                self._held -= self._cache.pop(path).nbytes

    def _whole(self, path: str) -> pa.Table:
        """Return a file's results of the whole model, from memory where they are there."""
        with self._guard:
            if path in self._cache:
                self._cache.move_to_end(path)
                return self._cache[path]
        rows = _read(path, ds.field("segment").is_null()).combine_chunks()
        with self._guard:
            if path not in self._cache and rows.nbytes <= self.cache_bytes:
                self._cache[path] = rows
                self._held += rows.nbytes
            while self._held > self.cache_bytes:
                self._held -= self._cache.popitem(last=False)[1].nbytes
        return rows


def newest(points: pa.Table) -> NDArray[np.int64]:
    """Return the places of each key's newest row, ascending; estimates have keys of their own.

    Examples
    --------
    >>> from datetime import timedelta
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> rows = [{**dict.fromkeys(KEYS, "x"), "window_start": start, "computed_at": t}
    ...         for t in (start, start + timedelta(hours=1))]
    >>> newest(pa.Table.from_pylist(rows)).tolist()
    [1]
    """
    key: NDArray[np.int64] = np.zeros(len(points), dtype=np.int64)
    width = 1
    if "basis" in points.column_names:
        key, width = _estimated(points).to_numpy().astype(np.int64), 2
    for name in KEYS:
        codes, count = _codes(points[name])
        if width * count >= 2**62:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
            width = len(points)
        key = key * count + codes
        width *= count
    computed = points["computed_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((computed, key))
    ordered = key[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return np.sort(order[last])


def _codes(column: pa.ChunkedArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Return a number for each row's value, null included, and how many numbers there may be."""
    merged: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if not pa.types.is_dictionary(merged.type):
        merged = merged.dictionary_encode()
    count = len(merged.dictionary)
    codes = merged.indices.fill_null(count).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), count + 1


def _estimated(points: pa.Table) -> Any:
    """Return which rows are estimates of performance."""
    return _equals(points["basis"], Basis.ESTIMATED.value)


def _equals(column: pa.ChunkedArray[Any], value: Any) -> Any:
    if value is None:
        return _COMPUTE.is_null(column)
    return _COMPUTE.fill_null(_COMPUTE.equal(column, pa.scalar(value)), False)


def _segments(
    path: str, segment: Mapping[str, str] | Wildcard, filters: Mapping[str, Any]
) -> pa.Table:
    """Read results of segments from a file, no more than is asked for."""
    terms = [
        ds.field(name).is_null() if value is None else ds.field(name) == value
        for name, value in filters.items()
    ]
    if not isinstance(segment, Wildcard):
        terms.append(ds.field("segment") == json.dumps(dict(segment)))
    condition: Any = None
    for term in terms:
        condition = term if condition is None else condition & term
    return _read(path, condition)


def _read(path: str, condition: Any) -> pa.Table:
    names = [name for name in pq.read_schema(path).names if name not in OWN]
    schema = pq.read_schema(path)
    text = [name for name in names if pa.types.is_string(schema.field(name).type)]
    form: Any = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=text))
    return ds.dataset([path], format=form).to_table(columns=names, filter=condition)
