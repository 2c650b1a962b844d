"""Every chart is a valid Vega-Lite specification, whatever it is given."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tidegauge.metrics.result import Basis, Result, State
from tidegauge.report import charts
from tidegauge.report.charts.ink import INK
from tidegauge.report.data import Histogram

DAY = timedelta(days=1)
START = datetime(2013, 4, 1, tzinfo=UTC)


def held_against_altair(spec: dict[str, Any]) -> None:
    import altair

    text = json.dumps(spec, allow_nan=False)
    altair.Chart.from_dict(json.loads(text), validate=True)


def points(n: int = 20, **about: Any) -> list[Result]:
    states = (State.OK, State.ALARM, State.TOO_FEW, State.NOT_APPLICABLE)
    bases = (Basis.FINAL, Basis.PARTIAL, Basis.ESTIMATED, None)
    values = (0.7, None, math.nan, 0.71, 0.69, math.inf)
    return [
        Result(
            "roc_auc",
            value=values[at % 6],
            expected=0.7,
            lower=0.6,
            n_current=900,
            state=states[at % 4],
            basis=bases[at * 4 // n],
            window_start=START + DAY * at,
            window_end=START + DAY * (at + 1),
            **about,
        )
        for at in range(n)
    ]


def marks() -> list[charts.TimeMark]:
    return [
        charts.TimeMark("baseline", START, START + 3 * DAY, "baseline"),
        charts.TimeMark("incident", START + 9 * DAY, None, "late & <later>", "/incidents/1"),
        charts.TimeMark("version", START + 5 * DAY, None, "version 2"),
    ]


def specs() -> Iterator[tuple[str, dict[str, Any]]]:
    edges = tuple(float(at) for at in range(31))
    shares = tuple(1 / 30 for _ in range(30))
    even = Histogram(edges, (), shares, shares)
    uneven = Histogram((0.0, 1.0, 5.0), (), (0.5, 0.5), (0.2, 0.8))
    words = Histogram((), tuple(f"w{at}" for at in range(40)), (0.025,) * 40, (0.025,) * 40)
    nothing = Histogram((), (), (), ())
    missing = Histogram((0.0, 1.0), (), (math.nan,), (math.inf,))
    for name, one in {"even": even, "uneven": uneven, "words": words, "none": nothing,
                      "missing": missing}.items():  # fmt: skip
        yield f"distribution-{name}", charts.distribution(one, name="age", unit="years", alarm=True)
    yield "distribution-dates", charts.distribution(even, name="seen", dates=True)
    yield (
        "timeline",
        charts.timeline(
            points(), title="roc_auc", marks=marks(), second=points(), names=("1", "2"), brush=True
        ),
    )
    yield "timeline-empty", charts.timeline([], title="rows", unit="rows", zero=True)
    yield "timeline-share", charts.timeline(points(3), title="missing_share", unit="share")
    windows = [(START + DAY * at, START + DAY * (at + 1)) for at in range(5)]
    levels = dict.fromkeys(("p05", "p25", "median", "p75", "p95"), (1.0, None, math.nan, 2, 3))
    yield "ribbon", charts.quantile_ribbon(windows, levels, name="age", unit="years", expected=1)
    yield "ribbon-empty", charts.quantile_ribbon([], {}, name="age")
    many = {f"w{at}": (0.1, 0.2, None, 0.1, 0.1) for at in range(12)}
    yield "shares", charts.share_ribbon(windows, many, name="carrier")
    yield "shares-empty", charts.share_ribbon([], {}, name="carrier")
    cells = [
        charts.HeatCell(
            f"r{at % 3}",
            state,
            start=START + DAY * at,
            end=START + DAY * (at + 1),
            alarms=at,
            href="/there",
        )
        for at, state in enumerate(("ok", "alarm", "too_few", "warning") * 3)
    ]
    yield "heatmap", charts.heatmap(cells, rows="carrier")
    grid = [charts.HeatCell("r", "ok", "c"), charts.HeatCell("r", "alarm", "d", alarms=2)]
    yield "heatmap-grid", charts.heatmap(grid, rows="carrier", columns="column")
    yield "heatmap-empty", charts.heatmap([], rows="carrier")
    parts = [
        charts.IntervalRow("UA", 0.7, 0.6, 0.8, 0.75, 0.65, None, "alarm", 90, "note", "/x"),
        charts.IntervalRow("AA", 0.72, 0.6, 0.84, basis="estimated"),
        charts.IntervalRow("B6", 0.71, basis="partial", state="too_few", records=7),
        charts.IntervalRow("DL", None),
    ]
    yield "intervals", charts.intervals(parts, title="roc_auc", whole=0.74)
    yield "intervals-share", charts.intervals(parts, title="f1", unit="share")
    yield "intervals-empty", charts.intervals([], title="f1")
    found = [
        charts.ForestRow(state, middle, middle - 1, middle + 1, state, middle > 0, "as told")
        for state, middle in (("ok", 0.5), ("unknown", -0.8), ("alarm", -9.0))
    ]
    yield "forest", charts.forest(found)
    yield "forest-empty", charts.forest([])


@pytest.mark.parametrize(("name", "spec"), [pytest.param(*one, id=one[0]) for one in specs()])
def test_a_specification_is_valid_vega_lite(name: str, spec: dict[str, Any]) -> None:
    held_against_altair(spec)
    assert spec["description"]


@pytest.mark.parametrize(("name", "spec"), [pytest.param(*one, id=one[0]) for one in specs()])
def test_a_specification_names_its_colours_and_never_sets_them(
    name: str, spec: dict[str, Any]
) -> None:
    spec["params"] = [one for one in spec["params"] if one["name"] != "ink"]
    text = json.dumps(spec)
    assert not re.search(r"#[0-9a-fA-F]{6}", text)
    assert set(re.findall(r"ink\.(\w+)", text)) <= set(INK)


def test_a_line_is_cut_where_its_labels_change_and_at_gaps() -> None:
    spec = charts.timeline(points(), title="roc_auc")
    runs = next(
        layer["data"]["values"]
        for layer in spec["layer"]
        if "strokeDash" in layer.get("encoding", {})
    )
    by_run: dict[int, set[str]] = {}
    for row in runs:
        by_run.setdefault(row["g"], set()).add(row["k"])
    assert all(len(bases) == 1 for bases in by_run.values())
    assert all(row["v"] is not None for row in runs)


def test_histograms_of_unequal_bins_are_drawn_as_densities() -> None:
    spec = charts.distribution(Histogram((0.0, 1.0, 5.0), (), (0.5, 0.5), (0.2, 0.8)), name="age")
    area = spec["layer"][0]["encoding"]["y"]
    assert area["axis"]["title"] == "density"
    assert [row.get("x") for row in spec["data"]["values"]][:2] == [0.5, 0.125]


def test_a_drawing_is_wellformed_and_says_what_it_shows() -> None:
    values = [0.1, None, math.nan, 0.5, 0.4] * 50
    states = ["ok", "ok", "ok", "alarm", "too_few"] * 50
    text = charts.sparkline(
        values, [0.0] * 250, [None, 0.3] * 125, states, label='a "b" <c>', bases=["estimated"] * 9
    )
    root = ElementTree.fromstring(text)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'a "b" <c>'
    assert root.find("circle[@class='alarm']") is not None
    assert len(text) < 5000


@pytest.mark.parametrize("values", [[], [None], [math.nan] * 3, [5.0], [5.0, 5.0], [math.inf]])
def test_a_drawing_of_next_to_nothing_is_wellformed(values: list[float | None]) -> None:
    ElementTree.fromstring(charts.sparkline(values, values, values, label="x"))


def test_a_band_bar_needs_a_band() -> None:
    assert charts.band_bar(0.3, None, None, None, "ok", label="x") == ""
    drawn = ElementTree.fromstring(charts.band_bar(0.3, 0.1, None, 0.2, "alarm", label="x"))
    assert drawn.find("circle").attrib["class"] == "alarm"  # type: ignore[union-attr]


def test_the_style_sheet_and_the_specifications_have_the_same_colours() -> None:
    css = (Path(charts.__file__).parents[1] / "static" / "tidegauge.css").read_text()
    light = css[: css.index("prefers-color-scheme: dark")]
    for name, colour in INK.items():
        assert f"--ink-{name}: {colour};" in light, name
