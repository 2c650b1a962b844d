"""Fairness: held against fairlearn, its intervals against the truth, and what bad input gets."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.estimation_fairness import (
    BOUND,
    PEERS,
    WORLDS,
    DataSet,
    covered,
    draw,
    gaps,
    peer_value,
)
from rich.console import Console

import tidegauge as tg
from tidegauge.errors import BadInput
from tidegauge.metrics import Family, all_metrics, evaluate, find_metric
from tidegauge.metrics.between import critical, difference, means, ratio, shares
from tidegauge.metrics.fairness import FEWEST
from tidegauge.profile import Profiler, Survey
from tidegauge.report.html import render_report
from tidegauge.report.terminal import print_report
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

BINARY = Schema(
    (
        Column("score", ColumnType.NUMERIC, Role.SCORE),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
        Column("gender", ColumnType.CATEGORICAL, Role.SEGMENT),
    ),
    Task.BINARY,
    positive="true",
)
NAMES = [name for name, one in all_metrics().items() if one.family is Family.FAIRNESS]


def records(n=600, seed=0, shares=(0.5, 0.4), names=("F", "M")):
    """Scores that are lower for the first group, and labels that follow them."""
    rng = np.random.default_rng(seed)
    rest = [*shares, 1 - sum(shares)]
    group = rng.choice([*names, None], n, p=rest)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) - 0.8 * (group == names[0]))))
    return pa.table(
        {
            "score": score,
            "label": rng.random(n) < score,
            "gender": pa.array(group.tolist(), pa.string()),
        }
    )


def laid_out(table, schema):
    survey = Survey(schema)
    for batch in table.to_batches():
        survey.update(batch)
    return survey.layout("baseline")


def profiled(table, schema=BINARY):
    profiler = Profiler(laid_out(table, schema), None)
    for batch in table.to_batches():
        profiler.update(batch)
    return profiler.finish()


def found(table):
    """Every metric of fairness over the records, by name."""
    profile = profiled(table)
    return {one.metric.name: one for one in evaluate(profile, profile, NAMES)}


def value(series):
    return float(series.value[0, 0])


def reason(series):
    return series.reason[0, 0]


def test_every_metric_of_fairness_has_a_peer():
    assert set(PEERS) == set(NAMES)


def test_values_are_those_of_fairlearn():
    worst, pairs = gaps(6, seed=3)
    assert min(pairs.values()) >= 2
    assert max(worst.values()) <= BOUND


def test_a_value_that_is_wrong_in_the_ninth_digit_is_found(monkeypatch):
    wrong = DataSet.values
    monkeypatch.setattr(
        DataSet, "values", lambda self: {k: v + 2e-9 for k, v in wrong(self).items()}
    )
    worst, _ = gaps(3, seed=3)
    assert min(worst.values()) > BOUND


def test_group_sizes_from_one_record_on_agree_with_fairlearn():
    rng = np.random.default_rng(4)
    data = draw(rng, Task.BINARY)
    few = np.array([f"one-{k}" if k < 5 else g for k, g in enumerate(data.group)])
    data = replace(data, group=few)
    values = data.values()
    for name in PEERS:
        exact = peer_value(name, data)
        assert exact is None or abs(values[name] - exact) <= BOUND


@pytest.mark.parametrize("world", WORLDS, ids=lambda one: one.name)
@pytest.mark.parametrize("kind", ["difference", "ratio", "mean"])
def test_intervals_cover_the_truth(world, kind):
    hits = covered(world, 1500, np.random.default_rng(7), kind)
    assert hits / 1500 > 0.93


def test_the_interval_of_two_groups_is_newcombes():
    # Newcombe (1998), table II, method 10: 56/70 − 48/80 and 10/10 − 0/20.
    for hits, records, low, high in (
        ([56.0, 48.0], [70.0, 80.0], 0.0524, 0.3339),
        ([10.0, 0.0], [10.0, 20.0], 0.6791, 1.0),
    ):
        one = difference(shares(np.array(hits)[None, :, None], np.array(records)[None, :, None], 1))
        assert one.lower[0] == pytest.approx(low, abs=5e-5)
        assert one.upper[0] == pytest.approx(high, abs=5e-5)


def test_the_critical_value_of_many_groups_is_tukeys():
    stats = pytest.importorskip("scipy.stats")
    for groups in (3, 10, 40):
        tukey = stats.studentized_range.ppf(0.95, groups, 1e6) / np.sqrt(2)
        assert critical(0, groups) == pytest.approx(tukey, abs=2e-3)


def test_an_interval_holds_its_value_whatever_the_counts():
    rng = np.random.default_rng(6)
    n = rng.integers(0, 60, (500, 7, 2)).astype(float)
    hits = np.floor(n * rng.choice([0.0, 0.3, 1.0], n.shape))
    for measure in (difference, ratio):
        with np.errstate(all="ignore"):
            one = measure(shares(hits, n, 20))
        known = np.isfinite(one.value)
        assert known.any()
        assert np.isfinite(one.lower[known]).all()
        assert np.isfinite(one.upper[known]).all()
        assert (one.lower[known] <= one.value[known]).all()
        assert (one.upper[known] >= one.value[known]).all()
        assert ((one.lower[known] >= 0) & (one.upper[known] <= 1)).all()


def test_equal_means_without_spread_differ_by_nothing():
    zero = np.zeros((1, 3, 1))
    one = difference(means(zero + 4.0, zero, zero + 50.0, 20))
    assert (one.value[0], one.lower[0], one.upper[0]) == (0.0, 0.0, 0.0)


def test_the_pooled_rest_and_groups_that_are_too_small_are_left_out_and_named():
    table = records(600, shares=(0.5, 0.4))
    tiny = pa.table({**{n: table[n] for n in ("score", "label")}, "gender": table["gender"]})
    small = tiny.slice(0, 12).set_column(2, "gender", pa.array(["X"] * 12))
    one = found(pa.concat_tables([table, small]))["demographic_parity_difference"]
    assert "left out: (other), X (12)" in reason(one)
    assert value(one) == value(found(table)["demographic_parity_difference"])


def test_the_reason_names_the_two_groups_that_lie_furthest_apart():
    said = reason(found(records())["equal_opportunity_difference"])
    assert said.startswith("M ")
    assert ", F " in said


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ((0.5, 0.45), "four fifths are kept"),
        ((0.6, 0.2), "below four fifths, and not by chance alone"),
        ((0.5, 0.39), "below four fifths, perhaps by chance"),
    ],
)
def test_disparate_impact_says_whether_four_fifths_are_kept(rates, said):
    n = 300
    score = np.concatenate([np.where(np.arange(n) < n * rate, 0.9, 0.1) for rate in rates])
    group = ["M"] * n + ["F"] * n
    table = pa.table({"score": score, "label": score > 0.5, "gender": group})
    one = found(table)["disparate_impact"]
    assert reason(one).startswith(said)
    assert value(one) == pytest.approx(rates[1] / rates[0])


def test_demographic_parity_needs_no_labels():
    table = records()
    half = pa.array([v if k % 2 else None for k, v in enumerate(table["label"].to_pylist())])
    part = found(table.set_column(1, "label", half))
    whole = found(table)
    for name in ("demographic_parity_difference", "disparate_impact"):
        assert value(part[name]) == value(whole[name])
        assert part[name].n_current[0, 0] == len(table)
    assert part["equal_opportunity_difference"].n_current[0, 0] == len(table) // 2


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.float64()])
def test_decisions_may_be_written_as_0_and_1_or_as_truth_values(kind):
    table = records()
    said = table["score"].to_numpy() > 0.6
    table = table.append_column("prediction", pa.array(said).cast(pa.int64()).cast(kind))
    prediction = Column("prediction", ColumnType.BOOLEAN, Role.PREDICTION)
    one = profiled(table, replace(BINARY, columns=(*BINARY.columns, prediction)))
    held = {s.metric.name: s for s in evaluate(one, one, NAMES)}
    gender = np.array([str(name) for name in table["gender"].to_pylist()])
    rates = [said[gender == name].mean() for name in "FM"]
    assert value(held["demographic_parity_difference"]) == pytest.approx(rates[1] - rates[0])
    assert value(held["disparate_impact"]) == pytest.approx(rates[0] / rates[1])


def told(series):
    assert np.isnan(series.value[0, 0])
    assert all(np.isnan(end[0, 0]) for end in series.interval)
    return reason(series)


def test_without_labels_error_rates_have_no_value_and_say_so():
    table = records()
    none = table.set_column(1, "label", pa.nulls(len(table), pa.bool_()))
    held = found(none)
    assert told(held["equal_opportunity_difference"]) == "no group has labelled positives"
    assert value(held["demographic_parity_difference"]) > 0


def test_one_class_only_leaves_what_needs_the_other_without_a_value():
    table = records()
    held = found(table.set_column(1, "label", pa.array([False] * len(table))))
    assert told(held["equal_opportunity_difference"]).startswith(
        f"fewer than two groups with {FEWEST} labelled positives"
    )
    assert value(held["false_positive_rate_difference"]) > 0
    odds = held["equalized_odds_difference"]
    assert value(odds) == value(held["false_positive_rate_difference"])
    assert "; too few for true positive rate" in reason(odds)


def test_a_column_with_one_value_has_nothing_to_compare():
    table = records()
    held = found(table.set_column(2, "gender", pa.array(["F"] * len(table))))
    for name, one in held.items():
        assert told(one).startswith("F is the only group with "), name
        assert one.enough[0, 0]


def test_groups_of_one_record_are_too_few():
    table = records(40)
    names = [f"g{k}" for k in range(10)] * 4
    for name, one in found(table.set_column(2, "gender", pa.array(names))).items():
        assert told(one).startswith(f"fewer than two groups with {FEWEST}"), name
        assert not one.enough[0, 0]


def test_scores_outside_0_to_1_say_nothing_of_calibration():
    table = records()
    far = pa.array([5.0] * len(table))
    held = found(table.set_column(0, "score", far))
    assert told(held["calibration_difference"]) == (
        "no group has labelled records with a score within 0–1"
    )
    assert told(held["disparate_impact"]) == "no group has predictions with a score within 0–1"


def test_a_rate_that_is_nowhere_above_0_has_a_difference_and_no_ratio():
    table = records()
    held = found(table.set_column(0, "score", pa.array([0.1] * len(table))))
    assert value(held["demographic_parity_difference"]) == 0
    assert told(held["demographic_parity_ratio"]) == (
        "every group's rate is 0, so there is no ratio; left out: (other)"
    )


def test_no_records_have_a_reason_too():
    layout = laid_out(records(), BINARY)
    profile = Profiler(layout, None).finish()
    for one in evaluate(profile, profile, NAMES):
        assert told(one).startswith("no group has ")
        assert one.n_current[0, 0] == 0


def test_of_several_classes_the_one_with_the_largest_gap_counts():
    data = draw(np.random.default_rng(8), Task.MULTICLASS)
    profile = profiled(data.table, data.schema)
    (one,) = evaluate(profile, profile, [find_metric("equalized_odds_difference")])
    assert " rate of " in reason(one)


def test_compare_shows_fairness_with_its_interval_and_judges_none_of_it():
    report = tg.compare(records(seed=1), records(seed=2), schema=BINARY)
    table = report.to_frame()
    held = table[table["metric"].isin(NAMES)]
    assert set(held["metric"]) == {
        name for name in NAMES if find_metric(name).applies_to(BINARY["gender"], Task.BINARY)
    }
    assert set(held["column"]) == {"gender"}
    assert held["segment"].isna().all()
    assert (held["ci_lower"] <= held["value"]).all()
    assert (held["ci_upper"] >= held["value"]).all()
    assert held["lower"].isna().all()
    assert held["upper"].isna().all()


def test_a_threshold_on_disparate_impact_is_an_alarm_that_names_the_groups(tmp_path):
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(
        "monitors:\n  - {metric: disparate_impact, columns: gender, threshold: {below: 0.8}}\n"
    )
    report = tg.compare(records(2000, 1), records(2000, 2), schema=BINARY, monitors=monitors)
    table = report.to_frame()
    (row,) = table[table["metric"] == "disparate_impact"].to_dict("records")
    assert row["state"] == "alarm"
    assert row["reason"].startswith("fixed threshold: below 0.8; below four fifths")


def test_a_monitor_on_what_is_no_segment_column_is_refused(tmp_path):
    monitors = tmp_path / "monitors.yaml"
    monitors.write_text(
        "monitors:\n  - {metric: disparate_impact, columns: score, threshold: {below: 0.8}}\n"
    )
    with pytest.raises(BadInput, match="is for segment columns; list 'score' under 'segments'"):
        tg.compare(records(), records(), schema=BINARY, monitors=monitors)


def printed(report, width):
    stream = StringIO()
    print_report(report.data, Console(file=stream, width=width))
    return stream.getvalue()


def test_the_terminal_and_the_report_show_fairness_of_each_segment_column():
    report = tg.compare(
        records(2000, 1), records(2000, 2), schema=BINARY, metrics="equalized_odds_ratio"
    )
    for width in (80, 140):
        told = printed(report, width)
        assert "fairness by gender" in told
        assert "demographic_parity_difference" in told
        assert "equalized_odds_ratio" in told
        assert "equal_opportunity_ratio" not in told
    html = render_report(report.data)
    assert 'id="fairness"' in html
    assert "equal_opportunity_ratio" in html


def test_fairness_without_a_segment_column_says_what_to_do():
    table = records().drop_columns(["gender"])
    report = tg.compare(table, table, metrics="demographic_parity_difference")
    assert any("name one (--segment, segments=)" in note for note in report.data.notes)
