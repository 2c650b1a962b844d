"""Stored profiles: one row per model version and window, the newest of each counts.

What is in a profile this file does not know; it keeps bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from tidegauge.lake.columns import TIMESTAMP
from tidegauge.lake.tables import Lake, last_date
from tidegauge.lake.wildcard import ANY, Wildcard

_FIELDS: dict[str, pa.DataType] = {
    "version": pa.string(),
    "window_start": TIMESTAMP,
    "window_end": TIMESTAMP,
    "baseline_id": pa.string(),
    "computed_at": TIMESTAMP,
    "profile": pa.binary(),
}
SCHEMA = pa.schema(_FIELDS)
_KEYS = SCHEMA.names[:-1]


@dataclass(frozen=True)
class ProfileRow:
    """One stored profile.

    Parameters
    ----------
    version : str or None
        The model's version.
    window_start, window_end : datetime
        The window, half-open.
    baseline_id : str or None
        The baseline whose bins it has; only profiles of one baseline merge.
    computed_at : datetime
        When it was computed; of two for one window the later one counts.
    profile : bytes
        The profile, serialised.
    """

    version: str | None
    window_start: datetime
    window_end: datetime
    baseline_id: str | None
    computed_at: datetime
    profile: bytes


def put_profiles(lake: Lake, project: str, model: str, rows: Iterable[ProfileRow]) -> int | None:
    """Store profiles in one commit; return the table's version, or None without any rows.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import timedelta
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake, start = Lake(folder.name), datetime(2026, 1, 1, tzinfo=UTC)
    >>> end = start + timedelta(days=1)
    >>> first = ProfileRow("1", start, end, "b", end, b"first")
    >>> restated = ProfileRow("1", start, end, "b", end + timedelta(hours=1), b"restated")
    >>> put_profiles(lake, "default", "demo", [first, restated])
    1
    >>> [row.profile for row in get_profiles(lake, "default", "demo", start, end)]
    [b'restated']
    >>> folder.cleanup()
    """
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for name in SCHEMA.names:
            columns[name].append(getattr(row, name))
    if not columns["profile"]:
        return None
    return lake.append(project, model, "profiles", pa.table(columns, schema=SCHEMA))


def get_profiles(
    lake: Lake,
    project: str,
    model: str,
    start: datetime,
    end: datetime,
    version: str | Wildcard | None = ANY,
    *,
    baseline_id: str | Wildcard | None = ANY,
) -> list[ProfileRow]:
    """Return the newest profile of each window that begins within ``[start, end)``.

    Parameters
    ----------
    version, baseline_id : str or None, optional
        Only those of this version, of this baseline.

    Returns
    -------
    list of ProfileRow
        By window, then version. Bytes of profiles that do not count are never read.
    """
    newest: dict[tuple[str | None, datetime], tuple[datetime, str, int]] = {}
    files = {}
    paths = lake.files(project, model, "profiles", start.astimezone(UTC).date(), last_date(end))
    for path in paths:
        file = pq.ParquetFile(path, memory_map=True)
        files[path] = file
        keys = file.read(columns=_KEYS)
        for at, row in enumerate(keys.to_pylist()):
            wanted = (
                start <= row["window_start"] < end
                and version in (ANY, row["version"])
                and baseline_id in (ANY, row["baseline_id"])
            )
            key = row["version"], row["window_start"]
            if wanted and (key not in newest or newest[key][0] <= row["computed_at"]):
                newest[key] = row["computed_at"], path, at
    order = sorted(newest, key=lambda key: (key[1], key[0] or ""))
    rows = [_read(files[newest[key][1]], newest[key][2]) for key in order]
    for file in files.values():
        file.close()
    return rows


def _read(file: pq.ParquetFile, row: int) -> ProfileRow:
    """Read one row from the row group that holds it."""
    group = 0
    while row >= file.metadata.row_group(group).num_rows:
        row -= file.metadata.row_group(group).num_rows
        group += 1
    found = file.read_row_group(group, columns=SCHEMA.names).slice(row, 1).to_pylist()[0]
    return ProfileRow(**found)
