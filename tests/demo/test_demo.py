"""The main job: nine months through the real server, and what must be found in them."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from tidegauge.demo.findings import missed, print_findings
from tidegauge.demo.replay import LABEL, steps
from tidegauge.errors import TidegaugeError

START = datetime(2013, 4, 1, tzinfo=UTC)


def flights(n: int) -> pa.Table:
    times = [START + timedelta(hours=i) for i in range(n)]
    landed = [t + timedelta(hours=5) if i % 10 else None for i, t in enumerate(times)]
    kind = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "prediction_id": [f"f{i}" for i in range(n)],
            "timestamp": pa.array(times, kind),
            "score": [0.5] * n,
            LABEL: pa.array([i % 2 == 0 if i % 10 else None for i in range(n)]),
            "observed_at": pa.array(landed, kind),
        }
    )


def test_every_flight_is_sent_once_and_its_outcome_only_after_it_landed() -> None:
    replay = flights(200)
    sent, known = [], []
    for step in steps(replay):
        assert LABEL not in step.predictions.column_names
        assert "observed_at" not in step.predictions.column_names
        sent += step.predictions["prediction_id"].to_pylist()
        known += step.labels["prediction_id"].to_pylist()
        if len(step.labels):
            assert pc.max(step.labels["observed_at"]).as_py() < step.end
            assert set(known) <= set(sent)
    assert sent == replay["prediction_id"].to_pylist()
    assert len(known) == 180 == len(set(known))


def test_what_was_not_found_is_named() -> None:
    lines = missed([])
    assert any("spring" in line for line in lines)
    assert any("December" in line for line in lines)
    assert any("'temp'" in line for line in lines)
    assert any("weather missing" in line for line in lines)


def incident(severity: str, **more: Any) -> dict[str, Any]:
    return {
        "severity": severity,
        "title": "'late' [came] true",
        "summary": "At worst.",
        "evidence": {"harm_text": "5 more"},
    } | more


def test_the_summary_shows_the_worst_and_says_what_it_leaves_out() -> None:
    console = Console(record=True, width=80, file=io.StringIO())
    print_findings([incident("critical")] * 9 + [incident("info")], console)
    text = console.export_text()
    assert "'late' [came] true" in text
    assert "2 more, on the pages" in text


def test_a_folder_that_is_no_earlier_demos_is_left_alone(tmp_path: Path) -> None:
    from tidegauge.demo.run import run_demo

    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TidegaugeError, match="is not empty and no earlier demo's"):
        run_demo(tmp_path, port=0, serve=False, console=Console(quiet=True))
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.slow
def test_the_demo_finds_what_it_promises(tmp_path: Path) -> None:
    folder = str(tmp_path / "demo")
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge.cli", "demo", "--no-serve", "--port=0", "--data", folder],
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as promised" not in done.stdout
    assert (tmp_path / "demo" / "report.html").stat().st_size < 1_600_000
