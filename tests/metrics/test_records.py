"""Which records count for a metric, and which do not.

That metrics agree with SciPy and scikit-learn is in ``test_agreement.py``.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from tidegauge.metrics import evaluate, find_metric
from tidegauge.profile import Profiler, Survey
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NUMBER = Schema((Column("x", ColumnType.NUMERIC),))
WORD = Schema((Column("x", ColumnType.CATEGORICAL),))
BINARY = Schema(
    (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    Task.BINARY,
    positive="true",
)
REGRESSION = Schema(
    (
        Column("prediction", ColumnType.NUMERIC, Role.PREDICTION),
        Column("label", ColumnType.NUMERIC, Role.LABEL),
    ),
    Task.REGRESSION,
)
CLASSES = ("a", "b", "c")
MULTICLASS = Schema(
    (
        *(Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in CLASSES),
        Column("label", ColumnType.CATEGORICAL, Role.LABEL),
    ),
    Task.MULTICLASS,
)


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def compared(schema, reference, current):
    """Values and p-values of every metric, by name, of the first column or the model."""
    survey = Survey(schema)
    survey.update(pa.record_batch(reference))
    layout = survey.layout("b")
    profiles = []
    for data in (current, reference):
        profiler = Profiler(layout)
        profiler.update(pa.record_batch(data))
        profiles.append(profiler.finish())
    found = {}
    for series in evaluate(*profiles):
        p = None if series.p_value is None else float(series.p_value[0, 0])
        found.setdefault(series.metric.name, (float(series.value[0, 0]), p))
    return found, layout


def value(found, name):
    return found[0][name][0]


def test_the_range_of_the_schema_counts_before_that_of_the_baseline():
    schema = Schema((Column("x", ColumnType.NUMERIC, minimum=0, maximum=100),))
    found = compared(schema, {"x": [5.0, 50.0]}, {"x": [-1.0, 0.0, 100.0, 100.5, np.inf]})
    assert value(found, "out_of_range_share") == close(3 / 5)


def test_what_is_not_of_the_type_is_neither_missing_nor_a_value():
    found = compared(NUMBER, {"x": [1.0, 2.0]}, {"x": ["1", "one", None, "2"]})
    assert value(found, "type_error_share") == close(1 / 4)
    assert value(found, "missing_share") == close(1 / 4)
    assert value(found, "mean") == close(1.5)


def test_records_without_label_or_score_take_no_part():
    data = {
        "score": pa.array([0.9, None, 0.2, 0.8, 7.0, np.nan, 0.1]),
        "label": pa.array([True, True, None, False, False, True, False]),
    }
    found = compared(BINARY, data, data)
    score, label = np.array([0.9, 0.8, 0.1]), np.array([True, False, False])
    assert value(found, "log_loss") == close(sk.log_loss(label, score))
    assert value(found, "bias") == close(label.mean() - score.mean())
    assert value(found, "label_coverage") == close(6 / 7)
    # A score that is a number, though no probability, still makes a decision.
    assert value(found, "accuracy") == close(2 / 4)
    assert value(found, "mean_confidence") == close(np.mean([0.9, 0.8, 0.8, 0.9]))


def test_a_prediction_column_decides_rather_than_the_score():
    schema = Schema(
        (*BINARY.columns, Column("prediction", ColumnType.BOOLEAN, Role.PREDICTION)),
        Task.BINARY,
        positive="true",
    )
    data = {
        "score": [0.4, 0.4, 0.1],
        "label": [True, False, False],
        "prediction": [True, True, False],
    }
    found = compared(schema, data, data)
    assert value(found, "accuracy") == close(2 / 3)
    assert value(found, "precision") == close(1 / 2)
    only = Schema(schema.columns[1:], Task.BINARY, positive="true")
    found = compared(only, data, data)
    assert value(found, "recall") == 1
    assert "log_loss" not in found[0]


def test_a_class_that_the_baseline_did_not_have_counts_as_one_that_was_missed():
    first = {f"score_{c}": [0.4, 0.3, 0.3] for c in CLASSES} | {"label": list(CLASSES)}
    second = {
        "score_a": [0.9, 0.9],
        "score_b": [0.05, 0.05],
        "score_c": [0.05, 0.05],
        "label": ["a", "new"],
    }
    found = compared(MULTICLASS, first, second)
    assert value(found, "accuracy") == close(1 / 2)
    assert value(found, "log_loss") == close(-np.log(0.9))
    assert value(found, "label_coverage") == 1


def test_a_regression_leaves_out_what_is_not_finite():
    data = {
        "prediction": pa.array([1.0, None, np.inf, 4.0]),
        "label": pa.array([2.0, 2.0, 3.0, np.nan]),
    }
    found = compared(REGRESSION, data, data)
    assert value(found, "mae") == 1
    assert value(found, "label_coverage") == close(3 / 4)
    assert np.isnan(value(found, "r2"))


NAMES = (
    "psi", "kl_divergence", "js_distance", "ks", "chi2", "wasserstein", "hellinger",
    "total_variation", "roc_auc", "f1", "rmse", "missing_share", "unseen_share",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_field_is_the_name_here(name):
    assert find_metric(name).name == name
