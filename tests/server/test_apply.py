"""`tidegauge apply` against a server: the plan, then the deed, then nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Api, records

from tidegauge.cli import main

MODEL = """\
model: {name}
task: binary
columns:
  prediction_id: text
  timestamp: datetime
  age: {{type: numeric, unit: years}}
  carrier: categorical
  score: numeric
  label: boolean
false_alarms: {{count: 1, per: 14d}}
monitors:
  - {{metric: missing_share, columns: [age, "c*"], weight: 2}}
  - {{metric: row_count, threshold: {{change: 0.3, against: same_weekday}}, severity: critical}}
"""


def process(api: Api, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", "apply", *map(str, arguments),
         "--server", str(api.http.base_url)],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        words = ["tidegauge", "apply", *map(str, arguments), "--server", str(api.http.base_url)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def file(api: Api, tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL.format(name=api.model))
    return path


def test_a_model_is_planned_made_and_then_there_is_nothing_to_do(api: Api, file: Path) -> None:
    planned = process(api, file, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert f"{api.model}: create\n  + task: binary\n  + 2 numeric: age, score\n" in planned.stdout
    assert "  - false_alarms: {count: 1, per: 30d}\n  + false_alarms: {count: 1, per: 14d}" in (
        planned.stdout
    )
    assert max(map(len, planned.stdout.splitlines())) <= 80
    assert api.http.get(api.path).status_code == 404
    done = process(api, file, "--yes")
    assert (done.returncode, done.stdout) == (0, planned.stdout + f"done: {api.model}\n")
    assert len(api.get("monitors")["monitors"]) == 2
    again = process(api, file, "--yes")
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")


def test_what_a_file_does_not_say_stays_and_what_it_says_is_shown_as_a_difference(
    api: Api, file: Path, run: Run
) -> None:
    run(file, "--yes")
    schema = api.get("schema")
    file.write_text(
        f"model: {api.model}\nfalse_alarms: {{count: 1, per: 14d}}\n"
        "monitors: [{metric: missing_share, columns: [age, 'c*'], weight: 3}]\n"
    )
    _, told, _ = run(file, "--yes")
    assert told.splitlines() == [
        f"{api.model}: change the monitors",
        '  - {metric: missing_share, columns: [age, "c*"], weight: 2}',
        "  - {metric: row_count, threshold: {change: 0.3, against: same_weekday},",
        "      severity: critical}",
        '  + {metric: missing_share, columns: [age, "c*"], weight: 3}',
        f"done: {api.model}",
    ]
    assert api.get("schema") == schema


def test_a_column_that_is_stored_keeps_its_type(api: Api, file: Path, run: Run) -> None:
    run(file, "--yes")
    api.post("predictions", json=records(2))
    api.record("p0")
    file.write_text(file.read_text().replace("carrier: categorical", "carrier: numeric"))
    code, _, error = run(file, "--yes")
    assert code == 2 and "column 'carrier' is stored as" in error


def test_nothing_is_done_where_nobody_can_be_asked(api: Api, file: Path, run: Run) -> None:
    code, told, error = run(file)
    assert code == 2 and "create" in told and "add --yes" in error
    assert api.http.get(api.path).status_code == 404


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {name}\nmonitors: []\n", "the file has no 'columns' to make it with"),
        ("columns: {{age: numeric}}\n", "no 'model'; name the model that it is about"),
        ("model: {name}\ncolums: {{age: numeric}}\n", ":2:1: unknown key 'colums'"),
        (MODEL.replace("c*", "x*"), ":12:44: no column fits 'x*'"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(
    api: Api, run: Run, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(text.format(name=api.model))
    code, told, error = run(path, "--yes")
    assert (code, told) == (2, "")
    assert error.startswith("tidegauge: error: ") and said in error
    assert api.http.get(api.path).status_code == 404
