"""``tidegauge versions``: its exit codes, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rivals import made

from tidegauge.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["tidegauge", "versions", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("versions")
    tables: dict[str, pa.Table] = {
        "v3": made(),
        "v4": made(seed=2, noise=4.0),
        "few": made(300, seed=2),
    }
    out = {}
    for name, table in tables.items():
        out[name] = folder / f"{name}.parquet"
        pq.write_table(table, out[name])
    return out


def test_the_exit_code_is_the_verdict(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, files["v3"], files["v3"]) == 0
    assert "Ship: " in capsys.readouterr().out
    assert run(monkeypatch, files["v3"], files["v4"]) == 1
    assert "Do not ship: v4 is worse than v3" in capsys.readouterr().out
    assert run(monkeypatch, files["v3"], files["few"]) == 3
    assert "Not enough data yet" in capsys.readouterr().out


def test_bad_input_is_one_line_and_exit_code_2(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("roc_auc", "roc_auc=-1", "rocauc=0.1"):
        assert run(monkeypatch, files["v3"], files["v4"], "--margin", wrong) == 2
        told = capsys.readouterr()
        assert told.err.startswith("tidegauge: error: ") and told.err.count("\n") == 1
    assert run(monkeypatch, files["v3"], "nothing.parquet") == 2


def test_json_goes_to_standard_output(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    margin = ("--margin", "roc_auc=0.5,latency_p95=off", "--margin", "f1=0.5")
    assert run(monkeypatch, files["v3"], files["v4"], *margin, "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["gates"]) == {"roc_auc", "f1", "error_share"}
