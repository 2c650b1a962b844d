"""Heat maps of a comparison: which columns alarmed when, which segments, and where."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.metrics.result import State
from tidegauge.profile.layout import Segment
from tidegauge.report.charts import HeatCell, Spec, heatmap
from tidegauge.report.format import plural, quantity
from tidegauge.report.sections.tables import in_state, segmented, worst
from tidegauge.report.sections.tracks import moment

_MOST_ROWS = 24
_MOST_CELLS = 1600
_MODEL = "(model)"
_TOLD = 3
#: What of a result is read here.
_READ = [
    "segment", "column", "metric", "value", "unit", "expected", "effect", "p_value",
    "lower", "upper", "state", "n_current", "window_start", "window_end",
]  # fmt: skip


@dataclass(frozen=True)
class HeatMap:
    """A heat map and what it leaves out.

    Parameters
    ----------
    title : str
    spec : dict
    left_out : str
        An honest sentence, or nothing.
    """

    title: str
    spec: Spec
    left_out: str


def columns_by_window(results: pa.Table) -> HeatMap | None:
    """Return which columns alarmed in which window; ``None`` where none did.

    Parameters
    ----------
    results : pyarrow.Table
        Of no segment.
    """
    rows = results.select(_READ)
    rows = rows.filter(pc.is_valid(rows["window_start"]))
    if not rows.num_rows:
        return None
    rows = rows.append_column("row", pc.fill_null(rows["column"], _MODEL))
    return _timed(rows, "column", "What alarmed when")


def segment_maps(results: pa.Table, segments: Iterable[str]) -> list[HeatMap]:
    """Return a heat map for each segment column: its values by window, or by column.

    Parameters
    ----------
    results : pyarrow.Table
    segments : iterable of str
        Names of the segment columns.
    """
    rows = segmented(results.select(_READ))
    if not rows.num_rows:
        return []
    coded = rows["segment"].combine_chunks().dictionary_encode()
    parsed = [Segment.from_json(json.loads(text)) for text in coded.dictionary.to_pylist()]
    made = []
    for name in segments:
        values = pa.array([one.value if one.column == name else None for one in parsed])
        labels = pa.chunked_array([values.cast(pa.string()).take(coded.indices)])
        part = rows.append_column("row", labels)
        part = part.filter(pc.is_valid(part["row"]))
        if not part.num_rows:
            continue
        if pc.is_valid(part["window_start"]).to_pylist()[0]:
            one = _timed(part, name, f"{name} by window")
        else:
            one = _crossed(part, name)
        if one:
            made.append(one)
    return made


def _timed(rows: pa.Table, name: str, title: str) -> HeatMap | None:
    """Cells of row × window."""
    ranked, loud = _loudest(rows, name)
    if not loud:
        return None
    starts = sorted(set(rows["window_start"].cast(pa.int64()).to_pylist()))
    room = max(1, min(_MOST_ROWS, _MOST_CELLS // max(len(starts), 1)))
    kept = ranked[:room]
    part = rows.filter(pc.is_in(rows["row"], pa.array(kept)))
    told = _worst_of(part, ["row", "window_start"])
    counted, silent = _speaking(_counted(part, ["row", "window_start", "window_end"]))
    cells = [
        HeatCell(
            one["row"],
            one["state"],
            start=moment(one["window_start"]),
            end=moment(one["window_end"]),
            alarms=one["alarms"],
            records=one["records"],
            told=told.get((one["row"], one["window_start"]), ""),
        )
        for one in counted
    ]
    left_out = _rest(ranked, kept, name, silent)
    return HeatMap(title, heatmap(_in_order(cells, kept), rows=name), left_out)


def _crossed(rows: pa.Table, name: str) -> HeatMap | None:
    """Cells of row × column, for a comparison without windows."""
    ranked, loud = _loudest(rows, name)
    if not loud:
        return None
    rows = rows.append_column("place", pc.fill_null(rows["column"], _MODEL))
    alarms = in_state(rows, State.ALARM)
    across = _ranked_names(alarms, "place")[:_MOST_ROWS]
    kept = ranked[:_MOST_ROWS]
    part = rows.filter(pc.is_in(rows["row"], pa.array(kept)))
    part = part.filter(pc.is_in(part["place"], pa.array(across)))
    told = _worst_of(part, ["row", "place"])
    counted, silent = _speaking(_counted(part, ["row", "place"]))
    cells = [
        HeatCell(
            one["row"],
            one["state"],
            column=one["place"],
            alarms=one["alarms"],
            records=one["records"],
            told=told.get((one["row"], one["place"]), ""),
        )
        for one in counted
    ]
    order = {place: at for at, place in enumerate(across)}
    cells.sort(key=lambda cell: order[cell.column])
    spec = heatmap(_in_order(cells, kept), rows=name, columns="column")
    return HeatMap(f"{name} by column", spec, _rest(ranked, kept, name, silent))


def _loudest(rows: pa.Table, name: str) -> tuple[list[str], bool]:
    """Return the names of rows, those with most alarms first, and whether there are any alarms."""
    alarmed = _ranked_names(in_state(rows, State.ALARM), "row")
    if name == "column":
        return alarmed, bool(alarmed)
    quiet = sorted(set(rows["row"].unique().to_pylist()) - set(alarmed))
    return alarmed + quiet, bool(alarmed)


def _ranked_names(rows: pa.Table, name: str) -> list[str]:
    counted = rows[name].value_counts().to_pylist()
    return [one["values"] for one in sorted(counted, key=lambda one: -one["counts"])]


def _counted(rows: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    """Return each cell with its state: alarmed, or mostly too few to judge, or well."""
    bounded = pc.or_(pc.is_valid(rows["lower"]), pc.is_valid(rows["upper"]))
    slim = pa.table(
        {
            **{key: _plain(rows[key]) for key in keys},
            "alarm": _flag(pc.equal(rows["state"], "alarm")),
            "few": _flag(pc.equal(rows["state"], "too_few")),
            "well": _flag(pc.and_(pc.equal(rows["state"], "ok"), bounded)),
            "n": pc.fill_null(rows["n_current"], 0),
        }
    )
    grouped = slim.group_by(keys).aggregate(
        [("alarm", "sum"), ("few", "sum"), ("well", "sum"), ("n", "max")]
    )
    ordered = grouped.sort_by([(key, "ascending") for key in keys[1:]])
    return [
        {**one, "state": _state(one), "alarms": one["alarm_sum"], "records": one["n_max"]}
        for one in ordered.to_pylist()
    ]


def _flag(truth: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(truth, False).cast(pa.int32())


def _state(cell: Mapping[str, int]) -> str:
    if cell["alarm_sum"]:
        return "alarm"
    if cell["few_sum"] and cell["few_sum"] >= cell["well_sum"]:
        return "too_few"
    return "ok" if cell["well_sum"] else "not_applicable"


def _worst_of(rows: pa.Table, keys: list[str]) -> dict[tuple[Any, ...], str]:
    """Return, for each cell, its strongest alarms in words."""
    told: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    top = worst(rows, 4000)
    columns = [_plain(top[key]).to_pylist() for key in keys]
    about = (top[name].to_pylist() for name in ("column", "metric", "value", "unit"))
    for *key, column, metric, value, unit in zip(*columns, *about, strict=True):
        said = told[tuple(key)]
        if len(said) < _TOLD:
            said.append(f"{column + ' ' if column else ''}{metric} {quantity(value, unit)}")
    return {key: ", ".join(said) for key, said in told.items()}


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _in_order(cells: list[HeatCell], kept: list[str]) -> list[HeatCell]:
    order = {row: at for at, row in enumerate(kept)}
    return sorted(cells, key=lambda cell: order[cell.row])


def _speaking(cells: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Leave out rows that have too few records everywhere, and count them."""
    heard = {one["row"] for one in cells if one["state"] != "too_few"}
    left = {one["row"] for one in cells} - heard
    return [one for one in cells if one["row"] in heard], len(left)


def _rest(ranked: list[str], kept: list[str], name: str, silent: int) -> str:
    noun = "column" if name == "column" else f"value of {name}"
    many = "columns" if name == "column" else f"values of {name}"
    told = []
    if len(ranked) > len(kept):
        told.append(
            f"The {len(kept)} with most alarms of {plural(len(ranked), noun, many)}; "
            "the others are in --json."
        )
    if silent:
        told.append(f"{plural(silent, noun, many)} left out: too few records everywhere.")
    return " ".join(told)
