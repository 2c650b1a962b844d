"""What labelled rows teach: right where there is something to learn, and plain where not."""

from __future__ import annotations

import importlib.util

import numpy as np
import pyarrow as pa
import pytest
from tests.estimation.streams import CLASSES, baseline_of, records, schema, without_labels

from tidegauge.estimation import Relation
from tidegauge.estimation import relation as module
from tidegauge.schema import Task

pytestmark = pytest.mark.filterwarnings("error")


def learnt(task: Task, rows: pa.Table) -> Relation:
    return Relation.learn(rows, baseline_of(rows, schema(task)).layout)


def true_chance(rows: pa.Table) -> np.ndarray:
    x = np.stack([rows[f"x{i}"].to_numpy() for i in range(2)], axis=1)
    south = rows["region"].to_numpy() == "south"
    chance: np.ndarray = 1 / (1 + np.exp(-(x[:, 0] + x[:, 1] + 0.8 * south - 0.4)))
    return chance


def test_rows_of_shifted_inputs_get_the_chance_that_their_inputs_give() -> None:
    relation = learnt(Task.BINARY, records(Task.BINARY, 10))
    shifted = records(Task.BINARY, 4, first=10, shift=1.0)
    expected = relation.expected(without_labels(shifted))
    assert abs(expected.mean() - true_chance(shifted).mean()) < 0.02
    assert np.sqrt(np.mean((expected - true_chance(shifted)) ** 2)) < 0.06


def test_without_anything_to_learn_the_calibration_curve_is_left_alone() -> None:
    rows = records(Task.BINARY, 8)
    rng = np.random.default_rng(1)
    score = rows["score"].to_numpy()
    label = pa.array((rng.random(len(rows)) < score).astype(np.int64))
    rows = rows.set_column(rows.schema.get_field_index("label"), "label", label)
    relation = learnt(Task.BINARY, rows)
    assert np.abs(relation.expected(rows) - score).max() < 0.12
    assert np.sqrt(np.mean((relation.expected(rows) - score) ** 2)) < 0.03


def test_held_out_expectations_are_of_labelled_rows_and_right_on_average() -> None:
    rows = records(Task.BINARY, 6)
    some = np.arange(len(rows)) % 3 > 0
    labels = np.where(some, rows["label"].to_numpy(), -1)
    at = rows.schema.get_field_index("label")
    partly = rows.set_column(at, "label", pa.array(labels, mask=~some))
    relation = learnt(Task.BINARY, partly)
    assert np.array_equal(np.isfinite(relation.held_out), some)
    assert abs(relation.held_out[some].mean() - labels[some].mean()) < 0.01


def test_chances_of_several_classes_add_up_to_one() -> None:
    rows = records(Task.MULTICLASS, 8)
    expected = learnt(Task.MULTICLASS, rows).expected(rows)
    assert expected.shape == (len(rows), 3)
    assert np.allclose(expected.sum(axis=1), 1.0)
    seen = [(rows["label"].to_numpy() == c).mean() for c in CLASSES]
    assert np.allclose(expected.mean(axis=0), seen, atol=0.02)


def test_errors_of_numbers_grow_where_inputs_say_so() -> None:
    rows = records(Task.REGRESSION, 10)
    relation = learnt(Task.REGRESSION, rows)
    shifted = records(Task.REGRESSION, 4, first=10, shift=1.0)
    error, size, square = relation.expected(shifted).mean(axis=0)
    spread = np.exp(0.4 * shifted["x1"].to_numpy())
    assert abs(error) < 0.06
    assert size == pytest.approx((spread * np.sqrt(2 / np.pi)).mean(), rel=0.08)
    assert square == pytest.approx((spread**2).mean(), rel=0.15)


def test_rows_without_a_usable_score_are_expected_nothing_of() -> None:
    rows = records(Task.BINARY, 6)
    relation = learnt(Task.BINARY, rows)
    odd = pa.table({"x0": [0.0] * 4, "score": [0.5, 1.5, float("nan"), None]})
    assert np.isfinite(relation.expected(odd)).tolist() == [True, False, False, False]
    assert np.isnan(relation.expected(pa.table({"x0": [0.0]}))).all()
    assert relation.expected(rows.slice(0, 0)).shape == (0,)


def test_categories_never_seen_and_columns_that_are_gone_still_get_an_answer() -> None:
    rows = records(Task.BINARY, 6)
    relation = learnt(Task.BINARY, rows)
    odd = pa.table({"region": ["abroad", None], "score": [0.3, 0.7], "x1": [None, 1e300]})
    assert np.isfinite(relation.expected(odd)).all()


def test_without_scikit_learn_a_linear_model_stands_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "sklearn" else real(name))
    relation = learnt(Task.BINARY, records(Task.BINARY, 8))
    assert relation.note is not None
    assert "scikit-learn" in relation.note
    shifted = records(Task.BINARY, 4, first=10, shift=1.0)
    assert abs(relation.expected(shifted).mean() - true_chance(shifted).mean()) < 0.03


def _binary(**columns: list[object]) -> pa.Table:
    n = 400
    held: dict[str, object] = {
        "score": list(np.linspace(0.01, 0.99, n)),
        "label": [i % 2 for i in range(n)],
        "timestamp": pa.array([0] * n, pa.timestamp("us", "UTC")),
    }
    return pa.table({**held, **columns})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (_binary(label=[1] * 400), "all labelled rows of the baseline are of one class"),
        (_binary(label=[1] * 3 + [0] * 397), "3 labelled rows of its rarer class"),
        (_binary(label=[None] * 400), "has a label that is known"),
        (_binary(label=[1, 0] * 50 + [None] * 300), "100 labelled rows; 200 are needed"),
        (_binary(score=[1.5] * 400), "has a score within 0–1"),
        (_binary(score=[None] * 400), "has a score within 0–1"),
        (pa.table({"label": pa.array([], pa.int64())}), "kept no sample"),
    ],
)
def test_a_baseline_that_teaches_nothing_says_why(rows: pa.Table, words: str) -> None:
    layout = baseline_of(records(Task.BINARY, 1), schema(Task.BINARY)).layout
    relation = Relation.learn(rows, layout)
    assert relation.why_not is not None
    assert words in relation.why_not
    assert np.isnan(relation.expected(records(Task.BINARY, 1))).all()


def test_a_schema_without_label_or_score_says_so() -> None:
    from tidegauge.schema import Schema

    rows = records(Task.BINARY, 1)
    for role, words in (("label", "no label column"), ("score", "no score column")):
        known = Schema(tuple(c for c in schema(Task.BINARY) if c.name != role), Task.BINARY)
        why_not = Relation.learn(rows, baseline_of(rows, known).layout).why_not
        assert why_not is not None
        assert words in why_not
