"""Reads what is in quarantine: in groups, row by row, and piece by piece for a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from tidegauge.engine.lake import LakeEngine
from tidegauge.errors import BadInput
from tidegauge.lake.columns import BATCH, INGESTED_AT, JOURNAL, ROW
from tidegauge.lake.names import TableKind
from tidegauge.lake.replayed import name_in_sql
from tidegauge.profile.layout import to_datetime

#: Letters of an example's record that a group shows.
EXAMPLE = 2_000
#: Rows that are planned at once in a replay, and rows and bytes that are read at once.
ROUND, PIECE, PIECE_BYTES = 50_000, 5_000, 16 << 20

_RESOURCE = "coalesce(r.resource, 'predictions')"


@dataclass(frozen=True)
class Chosen:
    """Which quarantined rows are meant; what is None does not matter.

    Parameters
    ----------
    resource : {"predictions", "labels"}, optional
        Where they were sent.
    code : str, optional
        Why they are there.
    column : str, optional
        The column that is wrong; empty: none, but the record as a whole.
    """

    resource: str | None = None
    code: str | None = None
    column: str | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return the choice as a condition in SQL, and its parameters.

        Examples
        --------
        >>> Chosen(code="type_error").where()
        ("coalesce(r.code, '') = $code", {'code': 'type_error'})
        """
        terms, values = [], {}
        sql = {
            "resource": _RESOURCE,
            "code": "coalesce(r.code, '')",
            "column": "coalesce(r.\"column\", '')",
        }
        for name, held in sql.items():
            value = getattr(self, name)
            if value is not None:
                terms.append(f"{held} = ${name}")
                values[name] = value
        return " AND ".join(terms) or "TRUE", values


@dataclass(frozen=True)
class Group:
    """Quarantined rows of which the same is wrong.

    Parameters
    ----------
    resource : {"predictions", "labels"}
    code : str
    column : str or None
    rows : int
    first_seen, last_seen : datetime
        When the first and the last came.
    message, record : str
        Of the last that came; the record as it was sent, of a long one the beginning.
    """

    resource: str
    code: str
    column: str | None
    rows: int
    first_seen: datetime
    last_seen: datetime
    message: str
    record: str


@dataclass(frozen=True)
class Kept:
    """One quarantined row.

    Parameters
    ----------
    name : str
        What tells it from all others.
    resource : {"predictions", "labels"}
    code : str
    column : str or None
    message : str
    version : str or None
        That of its request.
    received_at : datetime
    record : str
        As it was sent.
    """

    name: str
    resource: str
    code: str
    column: str | None
    message: str
    version: str | None
    received_at: datetime
    record: str


class QuarantineReader:
    """Reads the quarantine of models.

    Parameters
    ----------
    engine : LakeEngine
    """

    def __init__(self, engine: LakeEngine) -> None:
        self._engine = engine

    def count(self, project: str, model: str) -> int:
        """Return how many rows are there; the table's log tells, no file is read."""
        handle = self._engine.lake.table(project, model, "quarantine")
        return 0 if handle is None else int(handle.count())

    def groups(
        self, project: str, model: str, chosen: Chosen | None = None, *, limit: int = 1_000
    ) -> tuple[list[Group], int]:
        """Return the rows in groups, the largest first, and how many groups there are in all."""
        select = (
            f'SELECT {_RESOURCE}, r.code, r."column", count(*) AS n,'
            f" epoch_us(min(r.{INGESTED_AT})), epoch_us(max(r.{INGESTED_AT})),"
            f" arg_max(r.message, r.{INGESTED_AT}),"
            f" arg_max(left(r.record, {EXAMPLE}), r.{INGESTED_AT}), count(*) OVER ()"
        )
        tail = f"GROUP BY 1, 2, 3 ORDER BY n DESC, 1, 2, 3 LIMIT {int(limit)}"
        found, groups = [], 0
        for row in self._ask(project, model, select, tail, chosen).to_pylist():
            resource, code, column, n, first, last, message, record, groups = row.values()
            times = to_datetime(first), to_datetime(last)
            found.append(Group(resource, code, column, n, *times, message or "", record or ""))
        return found, groups

    def rows(
        self,
        project: str,
        model: str,
        chosen: Chosen | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Kept], str | None]:
        """Return rows, the newest first, a page at a time, and the cursor of the next page.

        Raises
        ------
        BadInput
            On a cursor that was not returned from here.
        """
        after, values = "TRUE", {}
        if cursor is not None:
            after, values = "(came, name) < ($came::BIGINT, $name::VARCHAR)", _opened(cursor)
        select = (
            f"SELECT epoch_us(r.{INGESTED_AT}) AS came, {{name}} AS name, {_RESOURCE} AS resource,"
            ' r.code, r."column", r.message, r.version, r.record'
        )
        tail = f"AND {after} ORDER BY came DESC, name DESC LIMIT {int(limit) + 1}"
        found = self._ask(project, model, select, tail, chosen, **values).to_pylist()
        kept = [
            Kept(
                row["name"],
                row["resource"],
                row["code"],
                row["column"],
                row["message"] or "",
                row["version"],
                to_datetime(row["came"]),
                row["record"] or "",
            )
            for row in found[:limit]
        ]
        last = found[limit - 1] if len(found) > limit else None
        return kept, None if last is None else f"{last['came']}~{last['name']}"

    def pieces(
        self, project: str, model: str, chosen: Chosen, after: tuple[str, int, int] | None
    ) -> tuple[Iterator[pa.Table], tuple[str, int, int] | None]:
        """Return a round of a replay: rows in the order of their names, piece by piece.

        A piece has the columns ``name``, ``_journal``, ``_batch``, ``_row``, ``_ingested_at``,
        ``resource``, ``version``, ``code``, ``column`` and ``record``.

        Parameters
        ----------
        after : (str, int, int), optional
            Where the round before ended.

        Returns
        -------
        (iterator of pyarrow.Table, tuple or None)
            The pieces, and where this round ends; None if nothing comes after.
        """
        place = f"({{journal}}, coalesce(r.{BATCH}, 0), coalesce(r.{ROW}, 0))"
        select = (
            f"SELECT {{journal}} AS journal, coalesce(r.{BATCH}, 0) AS batch,"
            f" coalesce(r.{ROW}, 0) AS row, {{name}} AS name, strlen(r.record) AS size"
        )
        values: dict[str, Any] = {}
        later = "TRUE"
        if after is not None:
            later = f"{place} > ($j::VARCHAR, $b::BIGINT, $r::INTEGER)"
            values = dict(zip(("j", "b", "r"), after, strict=True))
        tail = f"AND {later} ORDER BY journal, batch, row LIMIT {ROUND}"
        plan = self._ask(project, model, select, tail, chosen, **values)
        if not plan.num_rows:
            return iter(()), None
        last = plan.slice(plan.num_rows - 1).to_pylist()[0]
        end = last["journal"], last["batch"], last["row"]
        return self._read(project, model, plan), end if plan.num_rows == ROUND else None

    def known(self, project: str, model: str, kind: TableKind, names: Sequence[str]) -> set[str]:
        """Return which of some rows' names a table has."""
        if not names:
            return set()
        low, high = _range(names)
        found = self._ask(
            project,
            model,
            "SELECT {name} AS name",
            "AND {name} IN (SELECT unnest($names))",
            kind=kind,
            batches=(low, high),
            names=list(names),
        )
        return set(found["name"].to_pylist()) if found.num_rows else set()

    def _read(self, project: str, model: str, plan: pa.Table) -> Iterator[pa.Table]:
        sizes = np.cumsum(plan["size"].fill_null(0).to_numpy() + 1)
        cuts = [0]
        while cuts[-1] < plan.num_rows:
            used = 0 if cuts[-1] == 0 else int(sizes[cuts[-1] - 1])
            most = int(np.searchsorted(sizes, used + PIECE_BYTES, side="right"))
            cuts.append(min(max(most, cuts[-1] + 1), cuts[-1] + PIECE, plan.num_rows))
        select = (
            f"SELECT {{name}} AS name, {{journal}} AS {JOURNAL}, r.{BATCH}, r.{ROW},"
            f' r.{INGESTED_AT}, {_RESOURCE} AS resource, r.version, r.code, r."column", r.record'
        )
        for start, end in pairwise(cuts):
            names = plan["name"].slice(start, end - start).to_pylist()
            yield self._ask(
                project,
                model,
                select,
                f"AND {{name}} IN (SELECT unnest($names)) ORDER BY {JOURNAL}, {BATCH}, {ROW}",
                batches=_range(names),
                names=names,
            )

    def _ask(
        self,
        project: str,
        model: str,
        select: str,
        tail: str,
        chosen: Chosen | None = None,
        *,
        kind: TableKind = "quarantine",
        batches: tuple[int, int] | None = None,
        **values: Any,
    ) -> pa.Table:
        """Run a query over a table's rows, named ``r``; nothing where there is no file."""
        within = "TRUE"
        if batches is not None:
            low, high = batches
            within = f"({BATCH} >= {low} AND {BATCH} <= {high} OR {BATCH} IS NULL)"
        files = self._engine.lake.files(
            project, model, kind, where=None if batches is None else within
        )
        if not files:
            return pa.table({})
        with closing(self._engine.cursor()) as cursor:
            columns = _columns(cursor, files)
            words = {
                "name": name_in_sql(columns, "r."),
                "journal": f"coalesce(r.{JOURNAL}, '')" if JOURNAL in columns else "''",
            }
            where, parameters = (chosen or Chosen()).where()
            for name, text in words.items():
                select, tail = (part.replace(f"{{{name}}}", text) for part in (select, tail))
            group = "" if tail.startswith("AND") else " "
            query = (
                f"{select} FROM read_parquet($files, union_by_name = true, hive_partitioning ="
                f" false) AS r WHERE {where} AND {within}{group} {tail}"
            )
            found = cursor.sql(query, params={"files": files, **parameters, **values})
            return found.to_arrow_table()


def _columns(cursor: duckdb.DuckDBPyConnection, files: Sequence[str]) -> list[str]:
    query = "SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)"
    return list(cursor.sql(query, params={"files": list(files)}).columns)


def _range(names: Sequence[str]) -> tuple[int, int]:
    batches = [int(name.rsplit(":", 2)[1] or 0) for name in names]
    return min(batches), max(batches)


def _opened(cursor: str) -> dict[str, Any]:
    at, mark, name = cursor.partition("~")
    if not mark or not at.lstrip("-").isdigit() or len(at) > 18:
        raise BadInput(
            f"the cursor {cursor[:40]!r} is none of ours; take the one in 'next', or none",
            code="bad_cursor",
        )
    return {"came": int(at), "name": name}
