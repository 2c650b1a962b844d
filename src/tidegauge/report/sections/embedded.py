"""The results that a report carries, for whoever wants to take them along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tidegauge.metrics.result import State
from tidegauge.report.charts.spec import rounded
from tidegauge.report.format import count, plural
from tidegauge.report.sections.tables import in_state, worst

_MOST = 1000
_DIGITS = 6


@dataclass(frozen=True)
class Embedded:
    """Results by column, and a sentence that says which they are.

    Parameters
    ----------
    packed : dict
        ``rows``, and ``columns``: each with its ``values``, words as an index into ``words``.
    sentence : str
    """

    packed: dict[str, Any]
    sentence: str


def embedded(results: pa.Table, of_whole: pa.Table, most: int = _MOST) -> Embedded:
    """Return as many results as a file should carry.

    All of them where there are few; else those of the whole, or the strongest alarms.

    Parameters
    ----------
    results : pyarrow.Table
        ``RESULT_SCHEMA``.
    of_whole : pyarrow.Table
        Those of no segment.
    most : int
        How many at most.
    """
    total = results.num_rows
    if total <= most:
        told = f"{plural(total, 'result')}, numbers to {_DIGITS} digits."
        return Embedded(_packed(results), told)
    kept, told = of_whole, "results of the whole; those of segments"
    if not 0 < kept.num_rows <= most:
        alarms = in_state(results, State.ALARM).num_rows
        kept = worst(results, most)
        strongest = "alarms" if alarms <= most else f"strongest of {count(alarms)} alarms"
        told = f"{strongest}; the other results"
    left = count(total - kept.num_rows)
    sentence = f"{count(kept.num_rows)} {told} ({left}) are left out to keep this file small"
    return Embedded(_packed(kept), f"{sentence}: --json writes all, in full precision.")


def _packed(rows: pa.Table) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {}
    for name in rows.column_names:
        column = rows[name]
        if column.null_count == len(column):
            columns[name] = {"values": []}
        elif pa.types.is_floating(column.type):
            columns[name] = {"values": [rounded(x, _DIGITS) for x in column.to_pylist()]}
        elif pa.types.is_integer(column.type):
            columns[name] = {"values": column.to_pylist()}
        else:
            coded = column.combine_chunks().dictionary_encode()
            words = [_text(word) for word in coded.dictionary.to_pylist()]
            columns[name] = {"words": words, "values": coded.indices.to_pylist()}
    return {"rows": rows.num_rows, "columns": columns}


def _text(word: Any) -> str:
    return word if isinstance(word, str) else word.isoformat().replace("+00:00", "Z")
