"""Reading the table of all results: some rows of it, as results again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.metrics.result import Basis, Result, State


def whole(results: pa.Table) -> pa.Table:
    """Return the results of no segment."""
    return results.filter(pc.is_null(results["segment"]))


def segmented(results: pa.Table) -> pa.Table:
    """Return the results of single segments."""
    return results.filter(pc.is_valid(results["segment"]))


def in_state(results: pa.Table, state: State) -> pa.Table:
    """Return the results in one state."""
    return results.filter(pc.equal(results["state"], str(state)))


def worst(results: pa.Table, most: int, apart: Sequence[str] = ()) -> pa.Table:
    """Return the alarms that least look like chance, the strongest first.

    Parameters
    ----------
    results : pyarrow.Table
    most : int
        How many at most.
    apart : sequence of str
        Names of columns of the table: of alarms that are alike in all of them only the
        strongest is returned.
    """
    alarms = in_state(results, State.ALARM)
    if not alarms.num_rows:
        return alarms
    chance = np.nan_to_num(_floats(alarms["p_value"]), nan=1.0)
    with np.errstate(all="ignore"):
        size = np.abs(_floats(alarms["effect"]) / _floats(alarms["expected"]))
    order = np.lexsort((-np.nan_to_num(size, nan=0.0, posinf=1e9), chance))
    if apart:
        keys = zip(*(alarms[name].to_pylist() for name in apart), strict=True)
        seen = list(keys)
        order = np.array(list({seen[at]: at for at in order[::-1]}.values())[::-1])
    return alarms.take(pa.array(order[:most]))


def as_results(rows: pa.Table) -> list[Result]:
    """Return rows as results."""
    return [_result(row) for row in rows.to_pylist()]


def _result(row: Mapping[str, Any]) -> Result:
    segment = row["segment"]
    return Result(
        **{
            **row,
            "segment": json.loads(segment) if segment else None,
            "state": State(row["state"]),
            "basis": Basis(row["basis"]) if row["basis"] else None,
            "n_reference": row["n_reference"] or 0,
            "n_current": row["n_current"] or 0,
            "direction": row["direction"] or "neither",
        }
    )


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def segment_name(segment: Mapping[str, str] | None) -> str:
    """Write a segment as people say it.

    Examples
    --------
    >>> segment_name({"carrier": "UA"}), segment_name({"carrier": "UA", "origin": "JFK"})
    ('carrier UA', 'carrier UA, origin JFK')
    """
    if not segment:
        return "all"
    return ", ".join(f"{column} {value}" for column, value in segment.items())
