"""Metrics that are computed only where somebody asks for them by name, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import tidegauge as tg
from tidegauge.errors import NotFound
from tidegauge.metrics import all_metrics

#: Modules that a comparison must not load unless it needs them.
HEAVY = ("scipy.stats", "sklearn")


def sides(shift: float = 1.0) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue"])
    return tuple(
        pa.table(
            {
                "x": rng.normal(size=500) + by,
                "y": rng.normal(size=500),
                "vip": rng.uniform(size=500) < 0.4,
                "vector": list(rng.normal(size=(500, 4)) + by),
                "note": [" ".join(rng.choice(words, 12)) + f" {k}" for k in range(500)],
            }
        )
        for by in (0.0, shift)
    )


def test_what_is_asked_for_is_shown_and_leaves_the_verdict_as_it_was() -> None:
    then, now = sides()
    plain = tg.compare(then, now)
    asked = tg.compare(then, now, metrics=("cramer_von_mises", "mmd"))
    assert (asked.verdict, asked.alarms) == (plain.verdict, plain.alarms)
    frame = asked.to_frame()
    assert set(frame["metric"]) - set(plain.to_frame()["metric"]) == {"cramer_von_mises", "mmd"}
    row = frame[(frame["metric"] == "cramer_von_mises") & (frame["column"] == "x")].iloc[0]
    expected = stats.cramervonmises_2samp(now["x"].to_numpy(), then["x"].to_numpy())
    assert row["value"] == pytest.approx(expected.statistic)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert (row["state"], row["lower"], row["upper"]) == ("ok", None, None) or np.isnan(
        row["upper"]
    )
    model = frame[frame["metric"] == "mmd"].iloc[0]
    assert model["column"] is None or isinstance(model["column"], float)
    assert model["p_value"] == pytest.approx(1 / 200)


def test_all_asks_for_everything_that_applies() -> None:
    held = {row["metric"] for row in tg.compare(*sides(), metrics="all").to_json()["results"]}
    of_times = {"label_age", "model_age", "baseline_age"}
    asked = {name for name, one in all_metrics().items() if one.asked} - of_times
    assert asked <= held


def test_a_name_that_is_almost_one_is_hinted_at_before_anything_is_read() -> None:
    with pytest.raises(NotFound, match="did you mean 'mann_whitney'"):
        tg.compare("no/such/file.parquet", "none.parquet", metrics="mann_whitny")


def test_what_applies_to_nothing_is_said() -> None:
    then, now = (side.select(["x"]) for side in sides())
    report = tg.compare(then, now, metrics=("text_domain_classifier", "t_test"))
    assert "nothing here that text_domain_classifier could be computed for" in report.data.notes


def test_a_changed_dimension_is_an_alarm_that_names_the_column() -> None:
    then, now = sides(0.0)
    vectors = pa.array([[0.0, 1.0]] * 500)
    now = now.set_column(now.column_names.index("vector"), "vector", vectors)
    report = tg.compare(then, now)
    assert report.alarms == 1
    assert "'vector' has damaged values" in report.verdict


def test_the_report_and_the_command_line_show_it(tmp_path: Path) -> None:
    files = [tmp_path / "then.parquet", tmp_path / "now.parquet"]
    for file, table in zip(files, sides(), strict=True):
        pq.write_table(table, file)
    html, results = tmp_path / "r.html", tmp_path / "r.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tidegauge.cli", "compare", *files),
            *("--metric", "epps_singleton", "--metric", "pca_reconstruction_error"),
            *("--html", html, "--json", results),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "epps_singleton" in done.stdout
    assert "pca_reconstruction_error" in done.stdout
    held = {row["metric"] for row in json.loads(results.read_text())["results"]}
    assert {"epps_singleton", "pca_reconstruction_error"} <= held
    page = html.read_text()
    assert "epps_singleton" in page
    assert "pca_reconstruction_error" in page
    wrong = subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", "compare", *files, "--metric", "epps_singelton"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert wrong.returncode == 2
    assert wrong.stderr == (
        "tidegauge: error: no metric 'epps_singelton' (did you mean 'epps_singleton'?); "
        "docs/metrics.md lists all\n"
    )


def test_a_comparison_loads_nothing_heavy_unless_asked() -> None:
    code = (
        "import sys, pyarrow as pa, tidegauge as tg\n"
        "t = pa.table({'x': [float(k % 9) for k in range(400)], 'w': ['a b', 'c'] * 200,"
        " 'v': [[1.0, 2.0]] * 400})\n"
        f"tg.compare(t, t); print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
