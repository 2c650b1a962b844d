"""The commands quarantine and columns, against a running server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from harness import Api, records

from tidegauge.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command on a server; returns its exit code and what it printed."""

    def start(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr("sys.argv", ["tidegauge", *arguments, "--server", address])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    rows: list[Any] = records(6)
    for row in rows[3:]:
        row |= {"gate": "B7", "price": 3.5}
    rows[4]["age"] = "old\x1b[2J"
    assert api.post("predictions", json=records(3)).json()["accepted"] == 3
    assert api.post("predictions", json=rows[3:]).json()["quarantined"] == 1
    api.record("p5")
    until = time.monotonic() + 5
    while not api.get("quarantine")["rows"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    return start


def test_quarantine_is_listed_shown_and_replayed(api: Api, run: Run) -> None:
    code, told, _ = run("quarantine", "list", api.model)
    assert code == 0
    assert f"{api.model}: 1 row in quarantine" in told
    assert "type_error" in told and "is no number" in told
    code, told, _ = run("quarantine", "show", api.model, "--code", "type_error")
    assert '"prediction_id": "p4"' in told
    assert "\x1b" not in told
    code, told, _ = run("quarantine", "replay", api.model)
    assert "0 rows stored, 1 stay in quarantine" in told
    code, told, _ = run("quarantine", "show", api.model, "--column", "carrier")
    assert "nothing like that" in told
    code, _, error = run("quarantine", "list", "nobody")
    assert code == 2
    assert error.startswith("tidegauge: error: no model 'nobody'")


def test_new_columns_are_shown_accepted_and_in_the_history(api: Api, run: Run) -> None:
    _, told, _ = run("columns", "new", api.model)
    assert "gate" in told and "categorical" in told and "price" in told
    arguments = ("columns", "accept", api.model, "gate=text", "price")
    code, told, _ = run(*arguments, "--by", "ana", "--reason", "release 12")
    assert code == 0
    assert "gate, price accepted" in told
    _, told, _ = run("columns", "history", api.model)
    assert "ana: release 12" in told
    assert "gate added: text, feature" in told
    code, _, error = run("columns", "accept", api.model, "gate")
    assert code == 2
    assert "has a column 'gate' already" in error
    _, told, _ = run("columns", "new", api.model)
    assert "its schema knows all columns that came" in told
