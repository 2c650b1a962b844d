"""A window's performance is estimated, then partial, then final; earlier beliefs stay readable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from harness import ARROW, Api, running

from tidegauge.schema import dump_schema, infer_schema
from tidegauge.server.settings import Settings

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS, ROWS = 14, 500


def records(days: int = DAYS + 1, seed: int = 3) -> pa.Table:
    """Records whose outcome hangs on the score, and beyond it on ``known``: who has ``known`` is
    labelled first, and ranked worse.
    """
    rng = np.random.default_rng(seed)
    n = days * ROWS
    day = np.repeat(np.arange(days), ROWS)
    second = np.tile(np.linspace(0, 86_000, ROWS), days)
    known = rng.random(n) < 0.5
    x = rng.normal(size=n)
    score = 1 / (1 + np.exp(-x))
    truth = 1 / (1 + np.exp(-np.where(known, 0.2 * x, 2.2 * x)))
    times = [
        START + timedelta(days=int(d), seconds=float(s)) for d, s in zip(day, second, strict=True)
    ]
    return pa.table(
        {
            "prediction_id": [f"p{i}" for i in range(n)],
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "x": x,
            "known": np.where(known, "yes", "no"),
            "place": rng.choice(["north", "south"], n),
            "score": score,
            "label": rng.random(n) < truth,
        }
    )


def stream(table: pa.Table) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"content": sink.getvalue().to_pybytes(), "headers": {"Content-Type": ARROW}}


class Model(Api):
    """One model whose labels are sent as the test goes on."""

    def send(self, table: pa.Table) -> None:
        self.post(
            "predictions?version=1", **stream(table.drop_columns(["label"]))
        ).raise_for_status()

    def label(self, table: pa.Table) -> None:
        if len(table):
            named = table.select(["prediction_id", "label", "timestamp"])
            self.post("labels", **stream(named)).raise_for_status()

    def settled(self, closed: int) -> None:
        until, calm = time.monotonic() + 30, 0
        while calm < 3:
            lag = self.get().get("lag") or {}
            assert time.monotonic() < until, f"not settled: {lag}"
            busy = sum(lag.get(name, 1) for name in ("windows", "restatements", "records"))
            calm = calm + 1 if not busy and lag["closed"] >= closed else 0
            time.sleep(0.1)

    def points(self, metric: str = "roc_auc", **wanted: Any) -> dict[str, dict[str, Any]]:
        """Return the results of the newest closed day, by basis."""
        start = (START + (DAYS - 1) * DAY).isoformat()
        found = self.get("metrics", metric=metric, start=start, **wanted)["points"]
        return {point["basis"]: point for point in found}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder: Path = tmp_path_factory.mktemp("states")
    quick = timedelta(milliseconds=150)
    settings = Settings(
        data=folder,
        port=0,
        flush_interval=quick,
        tick_interval=quick,
        restate_interval=timedelta(seconds=1),
        lateness=timedelta(hours=1),
    )
    with running(settings) as (address, _), httpx.Client(base_url=address, timeout=30) as http:
        yield Model(http, "states")


def test_estimated_partial_final_and_what_was_believed_before(model: Model) -> None:
    table = records()
    schema = dump_schema(infer_schema(table, segments=("place",)))
    headers = {"Content-Type": "application/yaml"}
    model.http.put(
        f"{model.path}/schema", content=schema.encode(), headers=headers
    ).raise_for_status()
    before, newest = table.slice(0, (DAYS - 1) * ROWS), table.slice((DAYS - 1) * ROWS, ROWS)
    model.send(table)
    model.label(before)
    span = {"start": START.isoformat(), "end": (START + (DAYS - 1) * DAY).isoformat()}
    time.sleep(1)  # Until labels have been flushed, a baseline would lack them.
    made = model.post("baselines", json=span)
    made.raise_for_status()
    model.settled(DAYS)

    (guess,) = model.points().values()
    assert guess["basis"] == "estimated" and guess["n_current"] == ROWS
    assert guess["ci_lower"] < guess["value"] < guess["ci_upper"]
    assert guess["lower"] is None and guess["upper"] is None and guess["state"] == "ok"
    assert guess["expected"] is not None
    north = model.points(segment="place:north")["estimated"]
    assert 0 < north["n_current"] < ROWS and north["ci_upper"] - north["ci_lower"] > (
        guess["ci_upper"] - guess["ci_lower"]
    )

    chosen = newest.filter(pa.compute.equal(newest["known"], "yes")).slice(0, 180)
    model.label(chosen)
    model.settled(DAYS)
    found = model.points()
    assert set(found) == {"estimated", "partial"}
    part = found["partial"]
    assert part["n_current"] == len(chosen)
    assert part["reason"].startswith("labels of 36% of the records, by themselves 0.")
    alone = float(part["reason"].rpartition(" ")[2])

    model.label(newest)
    model.settled(DAYS)
    found = model.points()
    assert set(found) == {"estimated", "final"}, "what was partial is final"
    final = found["final"]
    assert final["n_current"] == ROWS and final["reason"] is None
    assert final["ci_lower"] < final["value"] < final["ci_upper"]

    assert guess["ci_lower"] <= final["value"] <= guess["ci_upper"]
    assert part["ci_lower"] <= final["value"] <= part["ci_upper"]
    assert abs(alone - final["value"]) > 0.08, "those who are labelled first are no fair sample"
    assert abs(part["value"] - final["value"]) < abs(alone - final["value"]) / 2
    assert found["estimated"]["value"] == pytest.approx(guess["value"], abs=0.01)

    assert set(model.points(as_of=part["computed_at"])) == {"estimated", "partial"}
    assert set(model.points(as_of=guess["computed_at"])) == {"estimated"}
    assert model.points(as_of=part["computed_at"])["partial"]["value"] == part["value"]
    for basis in ("estimated", "final"):
        assert set(model.points(basis=basis)) == {basis}
    assert model.points(basis="partial") == {}
    refused = model.http.get(f"{model.path}/metrics", params={"basis": "guessed"})
    assert refused.status_code == 422
