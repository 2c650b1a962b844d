"""The command line as a user meets it: exit codes, one-line errors, what is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for name, shift in (("then", 0.0), ("same", 0.0), ("later", 2.0)):
        table = pa.table({"x": rng.normal(size=2000) + shift, "word": rng.choice(["a", "b"], 2000)})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def test_exit_code_0_and_the_verdict_where_nothing_changed(files: Path) -> None:
    done = run("compare", files / "then.parquet", files / "same.parquet")
    assert done.returncode == 0, done.stderr
    assert "No alarm" in done.stdout


def test_exit_code_1_on_an_alarm_and_both_files_written(files: Path, tmp_path: Path) -> None:
    html, results = tmp_path / "r.html", tmp_path / "r.json"
    done = run(
        "compare",
        files / "then.parquet",
        files / "later.parquet",
        "--html",
        html,
        "--json",
        results,
    )
    assert done.returncode == 1, done.stderr
    assert "'x'" in done.stdout
    assert html.stat().st_size > 1000
    assert json.loads(results.read_text())["alarms"] >= 1


def test_results_are_printed_instead_of_the_verdict(files: Path, tmp_path: Path) -> None:
    html = tmp_path / "r.html"
    done = run(
        "compare", files / "then.parquet", files / "later.parquet", "--json", "-", "--html", html
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["alarms"] >= 1
    assert html.exists()


def test_the_help_of_serve_tells_what_goes_without_saying() -> None:
    said = run("serve", "--help").stdout
    assert "[default: 8420]" in said
    assert "[default: 127.0.0.1]" in said


def test_quiet_prints_nothing(files: Path) -> None:
    done = run("compare", files / "then.parquet", files / "later.parquet", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_bad_input_is_one_line_and_exit_code_2(files: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("this is no parquet")
    pq.write_table(pa.table({"y": [1.0]}), tmp_path / "other.parquet")
    (tmp_path / "bad.yaml").write_text("columns:\n  x: {type: numerc, role: feature}\n")
    good = files / "then.parquet"
    for arguments in (
        ["compare", good, "nowhere.parquet"],
        ["compare", good, tmp_path / "bad.parquet"],
        ["compare", good, tmp_path / "other.parquet"],
        ["compare", good, good, "--schema", tmp_path / "bad.yaml"],
        ["compare", good, good, "--schema", tmp_path / "none.yaml"],
        ["compare", good, good, "--segment", "wrd"],
        ["compare", good, good, "--window", "1d"],
        ["compare", good, good, "--window", "9999999d"],
        ["compare", good, good, "--window", "\N{SUPERSCRIPT TWO}d"],
        ["compare", good, good, "--html", tmp_path / "nowhere" / "r.html"],
        ["compare", good, good, "--html", tmp_path / "r", "--json", tmp_path / "r"],
        ["compare", good, good, "--json", good],
        ["schema", "nowhere.csv"],
        ["schema", good, "-o", tmp_path / "nowhere" / "s.yaml"],
        ["schema", good, "-o", tmp_path],
        ["baseline", "set", "m", good, "--url", "localhost"],
        ["baseline", "set", "m", good, "--url", "http://localhost:9"],
    ):
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert done.stderr.startswith("tidegauge: error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_an_error_in_a_schema_names_line_and_column(files: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("columns:\n  x: {type: numerc, role: feature}\n")
    done = run(
        "compare", files / "then.parquet", files / "same.parquet", "--schema", tmp_path / "bad.yaml"
    )
    assert "bad.yaml:2:" in done.stderr
    assert "did you mean 'numeric'" in done.stderr


def test_an_inferred_schema_can_be_saved_edited_and_used(files: Path, tmp_path: Path) -> None:
    target = tmp_path / "schema.yaml"
    assert run("schema", files / "then.parquet", "-o", target).returncode == 0
    assert "word" in target.read_text()
    good = files / "then.parquet"
    assert run("compare", good, good, "--schema", target).returncode == 0


def test_the_version_is_printed() -> None:
    assert run("--version").stdout.startswith("tidegauge 0.")


def test_monitors_of_a_file_decide_what_is_an_alarm(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "monitors.yaml"
    path.write_text("monitors:\n  - {metric: '*', weight: 0}\n  - {metric: ks, columns: x}\n")
    arguments = ["compare", files / "then.parquet", files / "later.parquet", "--monitors", path]
    watched = run(*arguments)
    assert (watched.returncode, "1 alarm: 'x' has drifted." in watched.stdout) == (1, True)
    path.write_text("monitors:\n  - {metric: ks, columns: word}\n")
    refused = run(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert ":2:27: ks is for datetime or numeric columns, and 'word' is" in refused.stderr
