"""Performance without labels, from files and frames; what cannot be told says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import tidegauge as tg
from tidegauge.cli import app

ROWS = 2400
START = datetime(2026, 3, 2, tzinfo=UTC)


def records(seed: int, n: int = ROWS, *, sure: float = 1.5, days: int = 4) -> dict[str, Any]:
    """Records whose scores are calibrated; ``sure`` tells how far they spread."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, sure, n)
    score = 1 / (1 + np.exp(-x))
    day = np.arange(n) * days // max(n, 1)
    return {
        "prediction_id": [f"{seed}-{i}" for i in range(n)],
        "timestamp": pa.array(
            [START + timedelta(days=int(d)) for d in day], pa.timestamp("us", "UTC")
        ),
        "x": x,
        "place": rng.choice(["north", "south"], n),
        "score": score,
        "label": rng.random(n) < score,
    }


def table(seed: int, *left_out: str, **changed: Any) -> pa.Table:
    held = {**records(seed), **changed}
    return pa.table({name: values for name, values in held.items() if name not in left_out})


def test_what_is_estimated_without_labels_is_what_they_say_later() -> None:
    current = pa.table(records(2, sure=0.7))
    found = tg.estimate_performance(pa.table(records(1)), current.drop_columns(["label"]))
    measured = tg.estimate_performance(pa.table(records(1)), current)
    others = found.to_frame().query("basis != 'estimated'")
    assert not set(others.metric) & set(found.metrics), "without labels nothing is measured"
    rows = measured.to_frame().query("basis == 'final'").set_index("metric")
    for name in ("roc_auc", "accuracy", "f1", "log_loss", "brier"):
        guess = found[name]
        assert guess.ci_lower is not None and guess.ci_upper is not None
        assert guess.ci_lower <= rows.loc[name, "value"] <= guess.ci_upper, name
    reference = found["roc_auc"].expected
    assert reference is not None and found["roc_auc"].ci_upper < reference
    assert "no labels yet" in found.verdict and "measured it is" in measured.verdict
    assert "roc_auc" in found._repr_html_()
    with pytest.raises(tg.TidegaugeError, match="was not estimated"):
        found["rocauc"]


def test_windows_and_segments_hold_estimated_partial_and_final_apart() -> None:
    held = records(3)
    day = np.arange(ROWS) * 4 // ROWS
    known = (day < 2) | ((day == 2) & (np.arange(ROWS) % 2 == 0))
    held["label"] = pa.array(held["label"], mask=~known)
    found = tg.estimate_performance(
        pa.table(records(1)), pa.table(held), window="1d", segments=("place",)
    )
    frame = found.to_frame().query("metric == 'roc_auc'")
    whole = frame[frame.segment.isna()].sort_values("window_start")
    assert (whole.query("basis == 'estimated'").n_current == ROWS / 4).all()
    assert list(whole.query("basis != 'estimated'").basis) == ["final", "final", "partial"]
    part = whole.query("basis == 'partial'").iloc[0]
    assert part.ci_lower < part.value < part.ci_upper
    assert part.reason.startswith("labels of 50% of the records, by themselves 0.")
    north = frame[frame.segment == '{"place": "north"}']
    assert sorted(set(north.basis)) == ["estimated", "final", "partial"]
    told = found.to_json()["results"]
    assert json.loads(json.dumps(told, allow_nan=False))[0]["segment"] is None


TOO_FEW = {name: values[:20] for name, values in records(1, 20).items()}
NONE_OF_IT = {
    "no labels": (table(1, "label"), "no label column"),
    "one class": (table(1, label=np.ones(ROWS, bool)), "of one class"),
    "twenty rows": (pa.table(TOO_FEW), "20 labelled rows; 200 are needed"),
    "no scores": (table(1, "score"), "no score column"),
    "scores that are none": (table(1, score=records(1)["score"] * 50), "score"),
}


@pytest.mark.parametrize("name", NONE_OF_IT)
def test_a_reference_that_teaches_nothing_is_refused_with_the_reason(name: str) -> None:
    reference, reason = NONE_OF_IT[name]
    with pytest.raises(tg.BadInput, match=reason):
        tg.estimate_performance(reference, table(2, "label"))


def _outside(held: dict[str, Any]) -> Any:
    return np.where(np.arange(ROWS) % 10 == 0, 1.7, held["score"])


#: Current sides that are odd, and what the verdict says of them.
ODD: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "one in ten scores outside 0–1": (lambda h: {"score": _outside(h)}, "measured it is"),
    "no score at all": (lambda h: {"score": np.full(ROWS, np.nan)}, "Nothing could be estimated"),
    "labels of one class": (lambda h: {"label": np.ones(ROWS, bool)}, "of one class"),
    "labels that are all unknown": (lambda h: {"label": pa.nulls(ROWS, pa.bool_())}, "no labels"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_current_side_has_an_answer(name: str) -> None:
    change, said = ODD[name]
    held = records(2)
    found = tg.estimate_performance(pa.table(records(1)), pa.table({**held, **change(held)}))
    assert said in found.verdict
    json.dumps(found.to_json(), allow_nan=False)


def test_records_that_take_no_part_and_labels_of_an_unknown_class_are_counted() -> None:
    held = records(2)
    odd = np.where(np.arange(ROWS) % 100 == 0, "maybe", np.where(held["label"], "yes", "no"))
    current = pa.table({**held, "score": _outside(held), "label": odd})
    words = np.where(records(1)["label"], "yes", "no")
    found = tg.estimate_performance(table(1, label=words), current)
    notes = " ".join(found.notes).replace("\u202f", " ")
    assert "240 records of 2 400 without a score within 0–1" in notes
    assert "24 labels of a class that the reference has not, read as not 'yes'" in notes


def test_predictions_in_other_words_than_the_labels_are_told() -> None:
    sides = [
        pa.table({**records(seed), "prediction": np.where(records(seed)["label"], "yes", "no")})
        for seed in (1, 2)
    ]
    notes = " ".join(tg.estimate_performance(*sides).notes)
    assert "'prediction' says 'no', 'yes' and never the positive class 'true'" in notes
    assert not tg.estimate_performance(table(1), table(2)).notes


def test_one_record_is_estimated_with_an_interval_as_wide_as_can_be() -> None:
    found = tg.estimate_performance(pa.table(records(1)), pa.table(records(2, 1)))
    assert (found["accuracy"].ci_lower, found["accuracy"].ci_upper) == (0.0, 1.0)


def test_the_command_prints_writes_and_refuses(tmp_path: Path) -> None:
    then, now, out = (tmp_path / name for name in ("then.parquet", "now.parquet", "out.json"))
    pq.write_table(pa.table(records(1)), then)
    pq.write_table(table(2, "label"), now)
    run = CliRunner().invoke(app, ["estimate", str(then), str(now), "--json", str(out)])
    assert run.exit_code == 0 and "is estimated at" in run.output
    assert "95 % interval" in run.output.replace("\u202f", " ")
    held = json.loads(out.read_text())
    guesses = [row for row in held["results"] if row["basis"] == "estimated"]
    assert {"roc_auc", "accuracy", "f1"} <= {row["metric"] for row in guesses}
    assert all(row["ci_lower"] <= row["value"] <= row["ci_upper"] for row in guesses)
    refused = CliRunner().invoke(app, ["estimate", str(now), str(then)])
    assert isinstance(refused.exception, tg.BadInput)
    assert "nothing to estimate performance from" in refused.exception.message
