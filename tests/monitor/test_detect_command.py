"""``tidegauge detect`` as a user meets it: exit codes, the table, JSON, one-line errors."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from tidegauge.cli import app
from tidegauge.errors import TidegaugeError


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["detect", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    n = 2000
    start = datetime(2026, 1, 1)
    times = [start + timedelta(hours=i) for i in range(n)]
    level = np.where(np.arange(n) < 1000, 0.1, 0.4)
    table = pa.table(
        {"ts": times, "error": (rng.random(n) < level).astype(int), "flat": rng.random(n) < 0.3}
    )
    pq.write_table(table.take(pa.array(rng.permutation(n))), folder / "shuffled.parquet")
    pc.write_csv(table, folder / "ordered.csv")
    pq.write_table(table.slice(0, 8), folder / "short.parquet")
    pq.write_table(table.slice(0, 0), folder / "empty.parquet")
    return folder


def test_exit_code_1_and_a_table_with_when_and_how_much(folder: Path) -> None:
    done = run(folder / "shuffled.parquet", "--column", "error", "--time", "ts")
    assert done.exit_code == 1
    assert "1 change in 2\u202f000 values of error, adwin" in done.output
    assert "↑ 11 Feb 2026" in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_without_times_rows_are_named(folder: Path) -> None:
    done = run(folder / "ordered.csv", "--column", "error", "--detector", "ddm")
    assert done.exit_code == 1
    assert "since row" in done.output


def test_exit_code_0_where_nothing_changed(folder: Path) -> None:
    done = run(folder / "ordered.csv", "--column", "flat", "--detector", "page_hinkley")
    assert (done.exit_code, done.output.split()[:3]) == (0, ["✓", "No", "change"])
    short = run(folder / "short.parquet", "--column", "error")
    assert short.exit_code == 0
    assert "note: 8 values are too few" in short.output


def test_json_goes_to_a_file_or_is_printed_alone(folder: Path, tmp_path: Path) -> None:
    given = folder / "ordered.csv", "--column", "error", "--set", "delta=0.01", "--time", "ts"
    printed = run(*given, "--json", "-")
    told = json.loads(printed.output)
    assert printed.exit_code == 1
    assert (told["series"], told["detector"], told["parameters"]["delta"]) == (
        "error",
        "adwin",
        0.01,
    )
    (change,) = told["changes"]
    assert change["time"].startswith("2026-02-1") and change["time"].endswith("Z")
    done = run(*given, "--json", tmp_path / "changes.json")
    assert "written:" in done.output
    assert json.loads((tmp_path / "changes.json").read_text()) == told


def test_bad_input_is_told(folder: Path, tmp_path: Path) -> None:
    good = folder / "ordered.csv"
    for arguments, says in (
        ([good], "give either"),
        ([good, "--column", "error", "--model", "m"], "give either"),
        (["--model", "m"], "give either"),
        (["--model", "m", "--metric", "roc_auc", "--time", "ts"], "give either"),
        ([good, "--column", "eror"], "did you mean 'error'"),
        ([good, "--column", "error", "--time", "tss"], "did you mean 'ts'"),
        ([good, "--column", "error", "--time", "error"], "the times are numbers"),
        ([good, "--column", "ts", "--detector", "ddm"], "needs errors"),
        ([good, "--column", "error", "--set", "delta"], "name=value"),
        ([good, "--column", "error", "--set", "dleta=1"], "did you mean 'delta'"),
        ([good, "--column", "error", "--detector", "dmm"], "did you mean 'ddm'"),
        ([good, "--column", "error", "--json", tmp_path / "no" / "c.json"], "does not exist"),
        ([good, "--column", "error", "--json", good], "named twice"),
        ([folder / "none.csv", "--column", "error"], "no such file"),
        ([folder / "empty.parquet", "--column", "error"], "no values"),
        (["--model", "m", "--metric", "mae", "--url", "http://localhost:9"], "no server answers"),
    ):
        done = run(*arguments)
        assert isinstance(done.exception, TidegaugeError), (arguments, done.output)
        assert says in done.exception.message
