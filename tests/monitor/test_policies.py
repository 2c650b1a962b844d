"""Budgets and monitors as people write them: what they mean, and what is said where they err."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import MonitorError, SchemaError
from tidegauge.metrics import all_metrics, find_metric
from tidegauge.monitor.document import (
    KEYS,
    THRESHOLD_KEYS,
    ModelDocument,
    Severity,
    dump_policies,
    load_policies,
    loads_policies,
    policies_from_json,
    policies_to_json,
)
from tidegauge.monitor.policy import Against, FalseAlarms, Monitor, Policies, Threshold
from tidegauge.schema import load_schema, loads_schema
from tidegauge.schema.document import SCHEMA_KEYS

COLUMNS = """\
model: taxi
task: binary
columns:
  prediction_id: text
  timestamp: datetime
  age: numeric
  fare_usd: numeric
  zip: categorical
  note: text
  latency_ms: numeric
  score: numeric
  label: boolean
"""
MONITORS = """\
false_alarms: {count: 2, per: 14d}
monitors:
  - {metric: missing_share, columns: [age, "fare_*"], weight: 2}
  - {metric: row_count, threshold: {change: 0.3, against: same_weekday}, severity: critical}
  - {metric: psi, columns: age, threshold: {above: 0.2}}
  - {columns: "*", threshold: evidently}
  - {metric: total_variation, columns: zip, weight: 0}
  - {metric: roc_auc, minimum_effect: 0.03}
  - {metric: "latency_*", threshold: {above: 500, segments: true}}
"""
MEANING = Policies(
    FalseAlarms(2, timedelta(days=14)),
    (
        Monitor("missing_share", ("age", "fare_*"), weight=2),
        Monitor("row_count", threshold=Threshold(change=0.3, against=Against.SAME_WEEKDAY),
                severity="critical"),
        Monitor("psi", ("age",), threshold=Threshold(above=0.2)),
        Monitor("*", ("*",), threshold=Threshold(evidently=True)),
        Monitor("total_variation", ("zip",), weight=0),
        Monitor("roc_auc", minimum_effect=0.03),
        Monitor("latency_*", threshold=Threshold(above=500, segments=True)),
    ),
)  # fmt: skip
SCHEMA = loads_schema(COLUMNS)


def test_yaml_means_what_it_says_and_comes_back() -> None:
    assert loads_policies(MONITORS, schema=SCHEMA) == MEANING
    assert dump_policies(MEANING) == MONITORS
    assert loads_policies("") == loads_policies("monitors:") == Policies()


def test_one_file_holds_schema_and_monitors(tmp_path: Path) -> None:
    path = tmp_path / "taxi.yaml"
    path.write_text(COLUMNS + MONITORS)
    document = ModelDocument.load(path)
    assert (document.model, document.schema) == ("taxi", SCHEMA)
    assert document.policies(document.schema) == load_policies(path, SCHEMA) == MEANING
    assert load_schema(path) == SCHEMA
    path.write_text(COLUMNS)
    assert ModelDocument.load(path).policies(SCHEMA) is None
    with pytest.raises(SchemaError, match="unknown key 'false_alarms'"):
        loads_schema(COLUMNS + MONITORS)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
positive = st.floats(1e-6, 1e6)
thresholds = st.one_of(
    st.builds(Threshold, above=st.floats(0, 1e6), segments=st.booleans()),
    st.builds(Threshold, below=st.floats(-1e6, 0), above=positive),
    st.builds(Threshold, change=positive, against=st.sampled_from(Against)),
)
severities = st.sampled_from([None, "critical", "warning", "info"])
monitors = st.one_of(
    st.builds(
        Monitor,
        metric=st.sampled_from(sorted(all_metrics())),
        columns=st.lists(names, max_size=3).map(tuple),
        weight=st.floats(0, 1e6),
        minimum_effect=st.none() | st.floats(0, 1e6),
        severity=severities,
    ),
    st.builds(Monitor, metric=st.just("psi"), threshold=thresholds, severity=severities),
    st.builds(
        Monitor,
        metric=st.just("*"),
        columns=st.lists(names, max_size=3).map(tuple),
        threshold=st.just(Threshold(evidently=True)),
    ),
)
budgets = st.builds(
    FalseAlarms, positive, st.integers(1, 10**6).map(lambda n: timedelta(minutes=n))
)


@given(st.builds(Policies, budgets, st.lists(monitors, max_size=4).map(tuple)))
def test_any_policies_come_back_from_json_and_from_yaml(policies: Policies) -> None:
    assert policies_from_json(policies_to_json(policies), trusted=True) == policies
    if not any(one.columns and find(one) for one in policies.monitors):
        assert loads_policies(dump_policies(policies)) == policies


def find(monitor: Monitor) -> bool:
    """Whether the monitor names columns for a metric that is not of columns."""
    return monitor.metric != "*" and bool(find_metric(monitor.metric).group)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "1:1: a document of monitors must be a mapping, not a list"),
        ("monitor: []", "1:1: unknown key 'monitor' in a document of monitors (did you mean "
         "'monitors'?)"),
        ("monitors: {metric: psi}", "1:11: 'monitors' must be a list, not a mapping"),
        ("monitors: [psi]", "1:12: a monitor must be a mapping, not text; write {metric:"),
        ("monitors: [{columns: age}]", "1:12: this monitor names no metric"),
        ("monitors: [{metric: missing_shar}]", "1:21: no metric 'missing_shar' (did you mean "
         "'missing_share'?)"),
        ("monitors: [{metrik: psi}]", "1:13: unknown key 'metrik' in a monitor (did you mean"),
        ("monitors: [{metric: psi, weight: -1}]", "1:34: 'weight' must be 0 or more, not -1"),
        ("monitors: [{metric: psi, weight: x}]", "1:34: 'weight' must be a number, not 'x'"),
        ("monitors: [{metric: psi, minimum_effect: -0.1}]", "1:42: 'minimum_effect' must be 0"),
        ("monitors: [{metric: psi, severity: high}]", "1:36: unknown severity 'high'; one of "
         "critical, warning, info"),
        ("monitors: [{metric: psi, columns: []}]", "1:35: 'columns' names none"),
        ("monitors: [{metric: psi, columns: agee}]", "1:35: the schema has no column 'agee' (did "
         "you mean 'age'?)"),
        ("monitors: [{metric: psi, columns: [age, 'x_*']}]", "1:41: no column fits 'x_*'"),
        ("monitors: [{metric: ks, columns: zip}]", "1:34: ks is for datetime or numeric columns, "
         "and 'zip' is categorical"),
        ("monitors: [{metric: latency_p95, columns: age}]", "1:43: latency_p95 is for columns "
         "with the role latency, and 'age' has the role feature"),
        ("monitors: [{metric: roc_auc, columns: age}]", "1:39: roc_auc is of the model as a whole"),
        ("monitors: [{metric: rmse}]", "1:21: rmse is for regression models, and this one is "
         "binary"),
        ("monitors: [{columns: 'n*', threshold: evidently}]", "1:22: Evidently's threshold is for "
         "boolean, categorical or numeric columns, and 'note', which 'n*' names, is text"),
        ("monitors: [{metric: psi, threshold: evidently}]", "1:21: 'threshold: evidently' has "
         "metrics of its own"),
        ("monitors: [{metric: psi, threshold: evidentl}]", "1:37: unknown threshold 'evidentl' "
         "(did you mean 'evidently'?)"),
        ("monitors: [{metric: psi, threshold: {}}]", "1:37: a threshold with nothing to hold to"),
        ("monitors: [{metric: psi, threshold: {change: 30%}}]", "1:46: 'change' must be a share "
         "such as 0.3, not '30%'"),
        ("monitors: [{metric: psi, threshold: {change: 0}}]", "1:46: 'change' must be a share "
         "above 0"),
        ("monitors: [{metric: psi, threshold: {above: 1, change: 1}}]", "1:56: give either"),
        ("monitors: [{metric: psi, threshold: {above: 1, against: previous}}]", "1:57: 'against'"),
        ("monitors: [{metric: psi, threshold: {change: 1, against: monday}}]", "1:58: unknown "
         "against 'monday'; one of previous, same_weekday"),
        ("monitors: [{metric: psi, threshold: {above: 1, below: 2}}]", "1:55: below 2 and above 1"),
        ("monitors: [{metric: psi, threshold: {above: .nan}}]", "1:45: 'above' must be a number"),
        ("monitors: [{metric: psi, threshold: {above: 1}, weight: 2}]", "1:57: 'weight' is about "
         "the budget, and a threshold takes its place"),
        ("monitors: [{metric: '*', threshold: {above: 1}}]", "1:21: one bound cannot be for all"),
        ("false_alarms: 3", "1:15: 'false_alarms' must be a mapping, not a number; write {count:"),
        ("false_alarms: {count: 0}", "1:23: 'count' must be greater than 0, not 0"),
        ("false_alarms: {count: -2}", "1:23: 'count' must be greater than 0, not -2"),
        ("false_alarms: {per: month}", "1:21: 'per' must be a span of time such as 30d, 2w or "
         "12h, not 'month'"),
        ("false_alarms: {per: 0d}", "1:21: 'per' must be a span of time"),
        ("false_alarms: {per: 30}", "1:21: 'per' must be a span of time"),
        ("monitors: [", "1:12: not valid YAML"),
    ],
)  # fmt: skip
def test_an_error_says_where_it_is_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(MonitorError) as caught:
        loads_policies(text, "m.yaml", SCHEMA)
    assert f"m.yaml:{said}" in caught.value.message
    assert "\n" not in caught.value.message


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["monitors", "false_alarms", "metric", "count", "per",
        "columns", "threshold", "above", "change", "weight", "severity"]), inner, max_size=3),
    max_leaves=12,
))  # fmt: skip
def test_whatever_is_sent_is_read_or_refused(data: object) -> None:
    try:
        policies = policies_from_json(data, SCHEMA)
    except MonitorError:
        return
    assert policies_from_json(policies_to_json(policies), SCHEMA) == policies


def test_of_several_monitors_the_last_counts() -> None:
    policies = loads_policies(
        "monitors: [{metric: missing_share, weight: 2}, {metric: '*', columns: note, weight: 0}]"
    )
    missing = find_metric("missing_share")
    of_note, of_age = (policies.of(missing, SCHEMA[name]) for name in ("note", "age"))
    assert of_note is not None and of_age is not None
    assert (of_note.weight, of_age.weight) == (0, 2)


def test_evidentlys_threshold_takes_drift_of_numbers_and_words_from_the_budget_alone() -> None:
    policies = loads_policies("monitors: [{columns: '*', threshold: evidently}]", schema=SCHEMA)

    def held(metric: str, column: str | None) -> bool:
        return (
            policies.of(find_metric(metric), None if column is None else SCHEMA[column])
            is (policies.monitors[0])
        )

    assert held("ks", "age") and held("total_variation", "zip") and held("wasserstein", "age")
    assert not held("missing_share", "age") and not held("ks", "timestamp")
    assert not held("row_count", None)


def test_a_metric_that_is_named_is_asked_for() -> None:
    assert MEANING.asked() >= {"psi", "roc_auc", "latency_p50", "latency_p99"}
    assert "ks" not in MEANING.asked()


def test_what_is_stored_is_read_though_metrics_and_columns_have_gone() -> None:
    stored = {"monitors": [{"metric": "of_another_package", "columns": ["gone"]}]}
    with pytest.raises(MonitorError, match="no metric 'of_another_package'"):
        policies_from_json(stored, SCHEMA)
    policies = policies_from_json(stored, trusted=True)
    assert policies.monitors[0].metric == "of_another_package"
    assert policies.of(find_metric("psi"), SCHEMA["age"]) is None


def test_the_budget_is_shared_out_over_the_windows() -> None:
    budget = FalseAlarms(1, timedelta(days=30))
    assert budget.level(timedelta(days=1)) == pytest.approx(1 / 30)
    assert budget.level(timedelta(hours=1)) == pytest.approx(1 / 720)
    assert FalseAlarms(100, timedelta(days=1)).level(timedelta(days=1)) == 0.5


def test_the_page_about_monitors_names_every_key_and_its_example_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitors.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`|\b([a-z_]+):", page))
    words = {word for pair in told for word in pair if word}
    assert {*KEYS, *THRESHOLD_KEYS, *Severity, *Against, "count", "per", "evidently"} <= words
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert len(loads_policies(example, also=SCHEMA_KEYS).monitors) == 5
