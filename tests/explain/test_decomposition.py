"""A change in performance splits into parts that add up, and says so where it cannot be split."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import tidegauge as tg
from tidegauge.cli import app
from tidegauge.errors import BadInput, NotFound
from tidegauge.explain.sums import Sums
from tidegauge.metrics import evaluate
from tidegauge.metrics.registry import Family, all_metrics
from tidegauge.profile import Profiler, Survey
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

ROWS = 4000
FEATURES = (
    Column("near", ColumnType.NUMERIC),
    Column("far", ColumnType.NUMERIC),
    Column("place", ColumnType.CATEGORICAL, Role.SEGMENT),
)
BINARY = Schema(
    (
        *FEATURES,
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
        Column("gain", ColumnType.NUMERIC, Role.OUTCOME, unit="EUR"),
    ),
    Task.BINARY,
)
NUMBERS = Schema(
    (
        *FEATURES,
        Column("said", ColumnType.NUMERIC, Role.PREDICTION),
        Column("label", ColumnType.NUMERIC, Role.LABEL, unit="min"),
    ),
    Task.REGRESSION,
)
CLASSES = Schema(
    (
        *FEATURES,
        *(Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in "abc"),
        Column("label", ColumnType.CATEGORICAL, Role.LABEL),
    ),
    Task.MULTICLASS,
)


def inputs(rng: np.random.Generator, moved: float, n: int = ROWS) -> dict[str, Any]:
    return {
        "near": rng.normal(moved, 1.0, n),
        "far": rng.normal(size=n),
        "place": np.where(rng.random(n) < 0.5 + 0.2 * moved, "north", "south"),
    }


def binary(seed: int, moved: float = 0.0, changed: float = 0.0, n: int = ROWS) -> pa.Table:
    """Scores are right where ``near`` is small and tell nothing beyond; ``changed`` blunts them."""
    rng = np.random.default_rng(seed)
    x = inputs(rng, moved, n)
    sharp = 1.0 / (1.0 + np.exp(2 * (x["near"] - 1.0)))
    chance = 1 / (1 + np.exp(-3 * x["far"] * sharp * (1 - changed)))
    label = (rng.random(n) < chance).astype(float)
    score = 1 / (1 + np.exp(-2.5 * x["far"]))
    return pa.table({**x, "score": score, "label": label, "gain": 10 * label - 3 + x["near"]})


def numbers(seed: int, moved: float = 0.0, changed: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = inputs(rng, moved)
    noise = rng.normal(size=ROWS) * (1 + np.maximum(x["near"], 0)) * (1 + changed)
    return pa.table({**x, "said": 3 * x["far"], "label": 3 * x["far"] + noise})


def classes(seed: int, moved: float = 0.0, changed: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = inputs(rng, moved)
    sharp = (1 - changed) / (1.0 + np.exp(2 * (x["near"] - 1.0)))
    logits = np.stack([x["far"], -x["far"], 0 * x["far"]], axis=1) * 2
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    real = np.exp(logits * sharp[:, None])
    drawn = (np.cumsum(real / real.sum(axis=1, keepdims=True), axis=1) < rng.random((ROWS, 1))).sum(
        axis=1
    )
    named = {f"score_{c}": scores[:, k] for k, c in enumerate("abc")}
    return pa.table({**x, **named, "label": np.array(list("abc"))[np.minimum(drawn, 2)]})


WORLDS = {
    Task.BINARY: (BINARY, binary),
    Task.REGRESSION: (NUMBERS, numbers),
    Task.MULTICLASS: (CLASSES, classes),
}
METRICS = [
    (task, one.name)
    for task in WORLDS
    for one in all_metrics().values()
    if one.family is Family.PERFORMANCE
    and one.group == PERFORMANCE
    and task in one.tasks
    and one.name not in ("label_coverage", "concept_drift")
]


def layout_of(schema: Schema, table: pa.Table) -> Any:
    survey = Survey(schema)
    for batch in table.to_batches():
        survey.update(batch)
    return survey.layout("reference")


@pytest.mark.parametrize(("task", "metric"), METRICS)
def test_sums_of_rows_give_every_metric_as_the_profile_does(task: Task, metric: str) -> None:
    schema, make = WORLDS[task]
    table = make(1)
    layout = layout_of(schema, table)
    profiler = Profiler(layout, sample=0)
    for batch in table.to_batches():
        profiler.update(batch)
    profile = profiler.finish()
    (series,) = evaluate(profile, profile, [metric])
    sums = Sums.of(layout, [table])
    rows = sums.rows(table)
    mine = sums.values(series.metric, rows.sums(rows.outcomes)[None])[0]
    assert mine == pytest.approx(series.value[0, 0], rel=1e-9)


@pytest.mark.parametrize("task", WORLDS)
@pytest.mark.parametrize(("moved", "changed"), [(1.0, 0.0), (0.0, 0.4), (0.7, 0.3), (0.0, 0.0)])
def test_parts_add_up_and_tell_inputs_from_the_relation(
    task: Task, moved: float, changed: float
) -> None:
    schema, make = WORLDS[task]
    found = tg.explain_change(make(1), make(2, moved, changed), schema=schema)
    assert found.total is not None
    assert found.inputs is not None
    assert found.relation is not None
    assert found.inputs.value + found.relation.value == pytest.approx(found.total.value, abs=1e-12)
    columns = sum(part.value for part in found.columns)
    assert columns == pytest.approx(found.inputs.value, abs=1e-12)
    assert found.inputs.clear is (moved > 0)
    assert found.relation.clear is (changed > 0)
    if moved:
        assert found.columns[0].name == "near"
        whole = sum(one.mix.value + one.within.value for one in found.segments)
        assert whole == pytest.approx(found.inputs.value, abs=0.25 * abs(found.inputs.value))


def test_a_wrong_total_is_never_shown() -> None:
    now, then = binary(2, 0.5, 0.2), binary(1)
    for metric in ("roc_auc", "f1", "accuracy", "log_loss"):
        found = tg.explain_change(then, now, metric, BINARY)
        assert found.total is not None
        assert found.reference is not None
        assert found.current == pytest.approx(found.reference + found.total.value)


def test_money_is_split_too_in_its_unit() -> None:
    found = tg.explain_change(binary(1), binary(2, moved=1.0), schema=BINARY).outcome
    assert found is not None
    assert found.unit == "EUR"
    assert found.inputs is not None
    assert found.relation is not None
    assert found.inputs.value == pytest.approx(1.0, abs=0.2)
    assert not found.relation.clear
    assert "EUR" in found.sentence


def test_without_labels_now_only_the_inputs_part_is_told() -> None:
    now = binary(2, moved=1.0).drop_columns(["label", "gain"])
    found = tg.explain_change(binary(1), now, schema=BINARY)
    assert found.total is None
    assert found.relation is None
    assert found.inputs is not None
    assert found.inputs.clear
    assert "without labels" in found.sentence


def test_labels_of_one_part_of_the_scores_are_compared_like_with_like() -> None:
    now = binary(2, n=3 * ROWS)
    hidden = np.random.default_rng(0).random(3 * ROWS) < np.asarray(now["score"])
    now = now.set_column(4, "label", pa.array(np.asarray(now["label"]), mask=hidden))
    found = tg.explain_change(binary(1), now, "log_loss", BINARY)
    assert 0.4 < found.labelled < 0.6
    assert found.relation is not None
    assert not found.relation.clear


def test_it_shows_itself_as_words_frame_json_and_html() -> None:
    found = tg.explain_change(binary(1), binary(2, 0.7, 0.3), schema=BINARY, segments=["place"])
    assert str(found).startswith("ROC AUC fell by ")
    assert "most by 'near'" in str(found)
    assert str(found) in repr(found)
    frame = found.to_frame()
    assert set(frame["part"]) >= {"total", "inputs", "relation", "column", "mix", "within"}
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["metric"] == "roc_auc"
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (binary(1), binary(2, n=50), "50 labelled current records are too few"),
        (binary(1, n=150), binary(2), "150 labelled reference records are too few"),
        (binary(1, n=150), binary(2, n=5), "5 labelled current records are too few to tell"),
        (
            binary(1),
            binary(2).set_column(4, "label", pa.array(np.ones(ROWS))),
            "not defined for the current records: one class only",
        ),
        (
            binary(1).set_column(4, "label", pa.array(np.zeros(ROWS))),
            binary(2),
            "not defined for the reference records: one class only",
        ),
        (
            binary(1),
            binary(2).set_column(3, "score", pa.array(np.full(ROWS, 7.0))),
            "no current record has an answer",
        ),
        (
            binary(1).set_column(4, "label", pa.nulls(ROWS, pa.float64())),
            binary(2),
            "no reference record has a label",
        ),
    ],
    ids=[
        "few now",
        "few then",
        "a handful",
        "one class",
        "one class then",
        "scores of 7",
        "no labels",
    ],
)
def test_what_cannot_be_split_says_why(then: pa.Table, now: pa.Table, words: str) -> None:
    found = tg.explain_change(then, now, schema=BINARY)
    assert found.why_not is not None
    assert words in found.why_not
    assert found.relation is None
    json.dumps(found.to_json(), allow_nan=False)


def test_what_is_no_performance_or_has_no_common_columns_is_refused() -> None:
    with pytest.raises(NotFound, match="did you mean 'roc_auc'"):
        tg.explain_change(binary(1), binary(2), "roc_au", BINARY)
    with pytest.raises(BadInput, match="does not tell performance"):
        tg.explain_change(binary(1), binary(2), "psi", BINARY)
    with pytest.raises(BadInput, match="no column in common"):
        tg.explain_change(binary(1), pa.table({"other": [1]}), schema=BINARY)
    with pytest.raises(BadInput, match="no rows"):
        tg.explain_change(binary(1), binary(2).slice(0, 0), schema=BINARY)


def test_segments_may_be_combinations_and_numbers_in_bins() -> None:
    found = tg.explain_change(
        binary(1), binary(2, 0.7, 0.3), schema=BINARY, segments=["place+near:0,1"]
    )
    combined = [one for one in found.segments if "near" in one.segment.to_json()]
    assert len({one.segment.to_json()["place"] for one in combined}) >= 2
    assert len(combined) >= 6
    assert sum(one.current_share for one in combined) == pytest.approx(1.0)


def test_the_command_prints_the_parts(tmp_path: Any) -> None:
    import pyarrow.parquet as pq

    paths = [str(tmp_path / name) for name in ("then.parquet", "now.parquet")]
    for path, table in zip(paths, (binary(1), binary(2, 0.7, 0.3)), strict=True):
        pq.write_table(table.drop_columns(["gain"]), path)
    ran = CliRunner().invoke(app, ["explain", *paths, "--segment", "place"])
    assert ran.exit_code == 0, ran.output
    assert "changed relation" in ran.output
    assert "place: north" in ran.output
    told = CliRunner().invoke(app, ["explain", *paths, "--metric", "f1", "--json", "-"])
    assert json.loads(told.stdout)["metric"] == "f1"
