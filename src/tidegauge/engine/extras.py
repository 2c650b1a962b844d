"""Counts the fields that records brought and no schema knew; each record is counted once.

What was counted is remembered by journal and offset, so that the next count reads only what came
since.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegauge.engine.lake import LakeEngine
from tidegauge.lake.columns import BATCH, EXTRA, INGESTED_AT, JOURNAL
from tidegauge.lake.replayed import REPLAYED
from tidegauge.lake.values import is_vector
from tidegauge.profile.layout import to_datetime

#: A record is in the lake at most so long after it came; what comes later is not counted.
SLACK = timedelta(hours=6)
#: Names that one count tells apart.
MOST = 1_000
_LONG = 60
_EXAMPLE = 200


@dataclass(frozen=True)
class Found:
    """Values of one kind under one name.

    Parameters
    ----------
    name : str
    kind : str
        ``number``, ``boolean``, ``text``, ``long`` (text), ``time``, ``vector``, ``list`` or
        ``object``.
    rows : int
    first_seen, last_seen : datetime
        When the first and the last came.
    example : str
        As JSON, of a long one the beginning.
    """

    name: str
    kind: str
    rows: int
    first_seen: datetime
    last_seen: datetime
    example: str


def count_extras(
    engine: LakeEngine,
    project: str,
    model: str,
    counted: Mapping[str, int],
    since: datetime | None,
) -> tuple[list[Found], dict[str, int]]:
    """Count the fields of records that came since the last count.

    Parameters
    ----------
    counted : mapping of str to int
        How far each journal was counted, as it was returned; empty at first.
    since : datetime, optional
        When the last count was made.

    Returns
    -------
    (list of Found, dict)
        What was found, and how far each journal is counted now.
    """
    where = None if since is None else f"{INGESTED_AT} >= '{(since - SLACK).isoformat()}'"
    files = engine.lake.files(project, model, "records", where=where)
    if not files:
        return [], dict(counted)
    with closing(engine.cursor()) as cursor:
        source = "read_parquet($files, union_by_name = true, hive_partitioning = false)"
        files_of: dict[str, Any] = {"files": files}
        columns = cursor.sql(f"SELECT * FROM {source}", params=files_of).columns
        if EXTRA not in columns:
            return [], dict(counted)
        journal = f"coalesce({JOURNAL}, '')" if JOURNAL in columns else "''"
        # Replays come in no order of offsets, but one after the other.
        mark = (
            f"CASE WHEN starts_with({journal}, '{REPLAYED}') THEN epoch_us({INGESTED_AT})"
            f" ELSE coalesce({BATCH}, 0) END"
        )
        known = [f"({journal} = '{_quoted(name)}' AND {mark} <= {int(upto)})"
                 for name, upto in counted.items()]  # fmt: skip
        fresh = f"NOT ({' OR '.join(known)})" if known else "TRUE"
        marks = cursor.sql(
            f"SELECT {journal}, max({mark}) FROM {source} WHERE {fresh} GROUP BY 1",
            params=files_of,
        ).fetchall()
        reached = {**counted, **{str(name): int(upto) for name, upto in marks}}
        fields = (
            f"SELECT unnest(json_keys({EXTRA})) AS name, {EXTRA} AS extra, {INGESTED_AT} AS came"
            f" FROM {source} WHERE {EXTRA} IS NOT NULL AND {fresh}"
        )
        pointer = "'/' || replace(replace(name, '~', '~0'), '/', '~1')"
        values = (
            f"SELECT name, came, json_type(extra, {pointer}) AS type,"
            f" json_extract(extra, {pointer}) AS value,"
            f" json_extract_string(extra, {pointer}) AS text FROM ({fields})"
        )
        rows = cursor.sql(
            f"SELECT name, {_KIND} AS kind, count(*) AS n, epoch_us(min(came)),"
            f" epoch_us(max(came)), arg_max(left(CAST(value AS VARCHAR), {_EXAMPLE}), came)"
            f" FROM ({values}) GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT {MOST}",
            params=files_of,
        ).fetchall()
    found = [
        Found(name, kind, n, to_datetime(first), to_datetime(last), example)
        for name, kind, n, first, last, example in rows
    ]
    return found, reached


_KIND = f"""CASE
 WHEN type IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE') THEN 'number'
 WHEN type = 'BOOLEAN' THEN 'boolean'
 WHEN type = 'OBJECT' THEN 'object'
 WHEN type = 'ARRAY' THEN
  CASE WHEN {is_vector("text")} THEN 'vector' ELSE 'list' END
 WHEN text IN ('NaN', 'Infinity', '-Infinity') THEN 'number'
 WHEN regexp_matches(text, '^\\d{{4}}-\\d\\d-\\d\\d[T ]\\d\\d:')
  AND TRY_CAST(text AS TIMESTAMPTZ) IS NOT NULL THEN 'time'
 WHEN length(text) > {_LONG} THEN 'long'
 ELSE 'text' END"""


def _quoted(text: str) -> str:
    return text.replace("'", "''")
