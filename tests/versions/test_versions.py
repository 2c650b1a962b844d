"""tg.compare_versions: what it compares, what it decides, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rivals import made

import tidegauge as tg
from tidegauge.errors import BadInput
from tidegauge.schema import Column, ColumnType, Role, Schema, Task


def test_a_challenger_that_is_as_good_ships(champion: pa.Table) -> None:
    report = tg.compare_versions(champion, champion)
    assert report.decision == "ship"
    assert report.needed == 0
    assert [one.metric for one in report.gates] == ["roc_auc", "latency_p95", "error_share"]
    assert report["roc_auc"].difference == 0


def test_one_that_is_worse_does_not_ship_and_says_by_how_much(
    champion: pa.Table, worse: pa.Table
) -> None:
    report = tg.compare_versions(champion, worse)
    assert report.decision == "do_not_ship"
    auc = report["roc_auc"]
    assert auc.standing == "beyond"
    assert auc.upper is not None and auc.upper < -0.01
    assert "roc_auc −0." in report.sentence


def test_too_few_records_ask_for_more_and_more_are_enough() -> None:
    few = tg.compare_versions(made(400, noise=0.8), made(400, seed=2, noise=0.8))
    assert few.decision == "not_enough_data"
    assert few.needed is not None and few.verdict.total == few.needed + 400
    n = few.verdict.total
    again = tg.compare_versions(made(2 * n, noise=0.8), made(2 * n, seed=2, noise=0.8))
    assert again.decision == "ship"


def test_a_latency_beyond_its_margin_holds_the_ship(champion: pa.Table) -> None:
    place = champion.column_names.index("latency_ms")
    slow = champion.set_column(
        place, "latency_ms", pa.array(champion["latency_ms"].to_numpy() * 1.5)
    )
    report = tg.compare_versions(champion, slow)
    assert report.decision == "do_not_ship"
    assert report["latency_p95"].difference == pytest.approx(0.5)
    assert tg.compare_versions(champion, slow, margin={"latency_p95": "off"}).decision == "ship"
    assert tg.compare_versions(champion, slow, margin={"latency_p95": "60%"}).decision == "ship"


def test_fairness_is_a_gate_for_the_columns_that_were_asked_for(champion: pa.Table) -> None:
    label, group = (champion[name].to_numpy(zero_copy_only=False) for name in ("label", "group"))
    score = champion["score"].to_numpy()
    unfair = np.where((group == "c") & label, score * 0.4, score)
    place = champion.column_names.index("score")
    changed = champion.set_column(place, "score", pa.array(unfair))
    plain = tg.compare_versions(champion, changed, margin={"roc_auc": 0.2})
    assert plain.decision == "ship"
    report = tg.compare_versions(champion, changed, margin={"roc_auc": 0.2}, segments=["group"])
    assert report.decision == "do_not_ship"
    assert report["equal_opportunity_difference"].standing == "beyond"


def test_fairness_values_are_those_of_fairlearn(champion: pa.Table) -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics")
    report = tg.compare_versions(champion, champion, segments=["group"])
    said = champion["score"].to_numpy() >= 0.5
    label, group = (champion[name].to_numpy(zero_copy_only=False) for name in ("label", "group"))
    for name in (
        "demographic_parity_difference",
        "equal_opportunity_difference",
        "equalized_odds_difference",
    ):
        wanted = getattr(fairlearn, name)(label, said, sensitive_features=group)
        assert report[name].champion == pytest.approx(wanted, abs=1e-9)


def test_a_gap_that_chance_alone_makes_is_no_excuse_for_the_challenger() -> None:
    """The champion is fair, so its gap is chance; the challenger's is 5 points, at the margin."""
    from tidegauge.versions.contrast import Standing, contrast
    from tidegauge.versions.decision import judged
    from tidegauge.versions.design import Paired
    from tidegauge.versions.margins import Margin
    from tidegauge.versions.measures import measures_of
    from tidegauge.versions.rows import Side
    from tidegauge.versions.rule import Rule

    group = Column("g", ColumnType.CATEGORICAL, Role.SEGMENT)
    schema = Schema((*_schema().columns, group), Task.BINARY)
    measure = next(
        one
        for one in measures_of(schema, [], segments=["g"])
        if one.name == "equal_opportunity_difference"
    )
    rng, ships, runs = np.random.default_rng(4), 0, 300

    def side(said: Any, y: Any, g: Any) -> Side:
        names = {"g": ("0", "1", "2", "3")}
        return Side("", len(y), None, y, said, None, {}, None, {"g": g}, names, pa.table({"y": y}))

    for _ in range(runs):
        g, y = rng.integers(0, 4, 4_000), (rng.random(4_000) < 0.4).astype(float)
        first = rng.random(4_000)
        second = np.where(rng.random(4_000) < 0.6, first, rng.random(4_000))
        chance = np.where(y > 0, 0.7, 0.3)
        champion = side((first < chance).astype(float), y, g)
        challenger = side((second < chance - 0.05 * (g == 0)).astype(float), y, g)
        design = Paired(champion, challenger)
        found = contrast(measure, design, Margin(0.05), Rule(), gate=True, adjusted=False)
        ships += judged([found], Rule())[0].standing is Standing.WITHIN
    # 2.5 % of 300 are 7.5; 15 or more have a chance of 1 %.
    assert ships < 15
    same = contrast(
        measure, Paired(champion, champion), Margin(0.05), Rule(), gate=True, adjusted=False
    )
    assert same[0].difference == 0


def test_other_traffic_is_weighted_to_the_common_mix() -> None:
    old, new = made(4_000), made(4_000, seed=2, world=3, shift=0.8, ids="q")
    report = tg.compare_versions(old, new)
    assert report.traffic.kind == "unpaired" and report.traffic.adjusted
    assert report.traffic.apart == "x"
    assert report.traffic.after is not None and report.traffic.after < 0.01
    share = report["mean_score"]
    # The scores are higher because the inputs are, and for no other reason.
    assert share.unadjusted is not None and share.unadjusted > 0.1
    assert share.difference is not None and abs(share.difference) < 0.02


def test_traffic_without_overlap_is_refused_with_the_column() -> None:
    report = tg.compare_versions(made(), made(seed=2, world=3, shift=12.0, ids="q"))
    assert report.decision == "not_enough_data"
    assert "next to nothing in common" in report.sentence
    assert "'x'" in report.sentence
    assert report.needed is None
    assert report["accuracy"].champion is not None and report["accuracy"].difference is None


def test_a_handful_of_records_is_too_few_and_no_other_traffic() -> None:
    report = tg.compare_versions(made(5), made(5, seed=2, world=3, ids="q"))
    assert report.decision == "not_enough_data"
    assert "5 of the 100 records" in report.sentence


def test_pairs_that_were_asked_for_and_are_not_there(champion: pa.Table) -> None:
    report = tg.compare_versions(champion, made(seed=2, ids="q"), pairing="paired")
    assert report.decision == "not_enough_data"
    assert "no record in common" in report.sentence
    with pytest.raises(BadInput, match="pairing"):
        tg.compare_versions(champion, champion, pairing="both")


def test_without_ids_equal_inputs_make_pairs(champion: pa.Table) -> None:
    plain = champion.drop_columns(["prediction_id"])
    report = tg.compare_versions(plain, plain.take(pa.array(np.arange(2_000)[::-1])))
    assert report.traffic.kind == "paired"
    assert report["roc_auc"].difference == 0


def test_a_label_that_one_side_knows_is_told_to_both(champion: pa.Table) -> None:
    place = champion.column_names.index("label")
    unlabelled = champion.set_column(place, "label", pa.nulls(2_000, pa.bool_()))
    report = tg.compare_versions(champion, unlabelled)
    assert report["roc_auc"].n_challenger == 2_000
    assert report.decision == "ship"


def test_labels_that_contradict_one_another_are_left_out(champion: pa.Table) -> None:
    label = champion["label"].to_numpy(zero_copy_only=False).copy()
    label[:50] = ~label[:50]
    place = champion.column_names.index("label")
    other = champion.set_column(place, "label", pa.array(label))
    report = tg.compare_versions(champion, other)
    assert report["roc_auc"].n_champion == 1_950
    assert any("50 pairs with two different labels" in note for note in report.notes)


def test_equal_ids_of_different_records_make_no_pairs(champion: pa.Table) -> None:
    report = tg.compare_versions(champion, made(seed=2, world=9))
    assert report.traffic.kind == "unpaired"
    assert any("taken for different records" in note for note in report.notes)


@pytest.mark.parametrize(
    "margin, code",
    [
        ({"roc_auc": -0.01}, "bad_margin"),
        ({"roc_auc": 0}, "bad_margin"),
        ({"roc_auc": float("nan")}, "bad_margin"),
        ({"roc_auc": "a bit"}, "bad_margin"),
        ({"accuracy": "1%"}, "bad_margin"),
        ({"bias": 0.01}, "bad_margin"),
        ({"rocauc": 0.01}, "unknown_metric"),
    ],
)
def test_a_margin_that_is_none_says_why(champion: pa.Table, margin: Any, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        tg.compare_versions(champion, champion, margin=margin)
    assert caught.value.code == code


def test_a_metric_without_better_and_worse_cannot_decide(champion: pa.Table) -> None:
    with pytest.raises(BadInput, match="no better and worse"):
        tg.compare_versions(champion, champion, metric="bias")
    with pytest.raises(BadInput, match="did you mean 'f1'"):
        tg.compare_versions(champion, champion, metric="f11")
    with pytest.raises(BadInput, match="level"):
        tg.compare_versions(champion, champion, level=95)


def test_one_class_no_labels_and_scores_outside_each_say_so(champion: pa.Table) -> None:
    n = len(champion)
    place = champion.column_names.index("label")

    def with_label(values: Any) -> pa.Table:
        return champion.set_column(place, "label", values)

    one = with_label(pa.array(np.ones(n, dtype=bool)))
    report = tg.compare_versions(one, one)
    assert report.decision == "not_enough_data" and "one class only" in report.sentence
    none = with_label(pa.nulls(n, pa.bool_()))
    report = tg.compare_versions(none, none, schema=_schema())
    assert report.decision == "not_enough_data" and "no label of" in report.sentence
    score = champion.column_names.index("score")
    out = champion.set_column(score, "score", pa.array(champion["score"].to_numpy() * 30 + 2))
    report = tg.compare_versions(champion, out, schema=_schema())
    assert report.decision == "not_enough_data" and "lies within 0–1" in report.sentence
    assert any("scores outside 0–1" in note for note in report.notes)


def _schema() -> Schema:
    return Schema(
        (
            Column("prediction_id", ColumnType.TEXT, Role.PREDICTION_ID),
            Column("x", ColumnType.NUMERIC),
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        ),
        Task.BINARY,
    )


def test_the_side_that_wants_something_is_named(champion: pa.Table) -> None:
    report = tg.compare_versions(champion, champion.drop_columns(["score"]))
    assert "no score of challenger" in report.sentence


def test_values_too_large_for_numbers_are_not_defined() -> None:
    ids, y = [str(i) for i in range(300)], np.arange(300.0)
    tables = [
        pa.table({"prediction_id": ids, "prediction": said, "label": y})
        for said in (np.full(300, 1e300), y)
    ]
    report = tg.compare_versions(*tables)
    assert report["rmse"].champion is None and "not defined" in report["rmse"].reason


def test_a_handful_of_records_is_a_defined_answer() -> None:
    report = tg.compare_versions(made(7), made(7, seed=2), schema=_schema())
    assert report.decision == "not_enough_data"
    assert report.needed == 93
    report = tg.compare_versions(made(1), made(1, seed=2, ids="q"), schema=_schema())
    assert report.decision == "not_enough_data"
    with pytest.raises(BadInput):
        tg.compare_versions(made(0), made(5), schema=_schema())


def test_regressions_and_many_classes_are_compared_too() -> None:
    rng = np.random.default_rng(2)
    ids = [str(i) for i in range(1_500)]
    y = rng.gamma(2, 10, 1_500)
    tables = [
        pa.table({"prediction_id": ids, "prediction": y + s * rng.normal(size=1_500), "label": y})
        for s in (1.0, 1.3)
    ]
    report = tg.compare_versions(*tables)
    assert report.gates[0].metric == "mae" and report.decision == "do_not_ship"
    assert report["mae"].difference == pytest.approx(0.3, abs=0.08)
    label = rng.choice(["x", "y", "z"], 1_500)
    sides = []
    for right in (0.8, 0.8):
        p = rng.dirichlet([1, 1, 1], 1_500) * (1 - right)
        p[np.arange(1_500), np.searchsorted(["x", "y", "z"], label)] += right * rng.random(1_500)
        p /= p.sum(axis=1, keepdims=True)
        held = {f"score_{k}": p[:, at] for at, k in enumerate("xyz")}
        sides.append(pa.table({"prediction_id": ids, **held, "label": label}))
    report = tg.compare_versions(*sides)
    assert report.gates[0].metric == "accuracy"
    assert report["roc_auc"].champion is not None and report["log_loss"].champion is not None


def test_resources_and_outcomes_are_compared_in_their_units() -> None:
    schema = Schema(
        (
            *_schema().columns,
            Column("gpu_ms", ColumnType.NUMERIC, Role.TAG),
            Column("joules", ColumnType.NUMERIC, Role.TAG, unit="J"),
            Column("revenue", ColumnType.NUMERIC, Role.OUTCOME, unit="EUR"),
        ),
        Task.BINARY,
    )
    rng = np.random.default_rng(3)

    def side(seed: int, ids: str, more: float) -> pa.Table:
        n = 2_000
        used = {"gpu_ms": rng.gamma(9, 1, n) * more, "joules": rng.gamma(9, 1, n) * more}
        return made(n, seed=seed, world=seed, ids=ids, revenue=rng.gamma(4, 5, n), **used)

    report = tg.compare_versions(
        side(1, "p", 1.0),
        side(2, "q", 1.5),
        schema,
        margin={"roc_auc": 0.1, "gpu_ms": "30%", "revenue": 4},
        resources=["joules"],
    )
    assert report.decision == "do_not_ship" and "gpu_ms" in report.sentence
    assert report["gpu_ms"].unit == "ms" and report["joules"].unit == "J"
    assert report["revenue"].unit == "EUR" and report["revenue"].standing == "within"
    assert report["joules"].difference == pytest.approx(0.5, abs=0.05)


def test_one_outcome_for_both_of_a_pair_tells_nothing(champion: pa.Table) -> None:
    schema = Schema(
        (*_schema().columns, Column("revenue", ColumnType.NUMERIC, Role.OUTCOME)), Task.BINARY
    )
    table = champion.append_column("revenue", pa.array(np.arange(2_000.0)))
    report = tg.compare_versions(table, table, schema)
    assert "same outcome" in report["revenue"].reason


def test_intervals_for_any_time_are_wider(champion: pa.Table) -> None:
    other = made(seed=2)
    once, ever = (tg.compare_versions(champion, other, anytime=at) for at in (None, 2_000))
    widths = [one["roc_auc"].upper - one["roc_auc"].lower for one in (once, ever)]  # type: ignore[operator]
    assert widths[1] > 1.3 * widths[0]
    assert any("however often one looks" in one for one in ever.method)


def test_it_saves_and_shows_itself(champion: pa.Table, worse: pa.Table, tmp_path: Path) -> None:
    report = tg.compare_versions(champion, worse, segments=["group"])
    told = json.loads(report.save(tmp_path / "v.json").read_text())
    assert told["decision"] == "do_not_ship" and told["comparisons"][0]["metric"] == "roc_auc"
    page = report.save(tmp_path / "v.html").read_text()
    assert "Do not ship" in page and "http-equiv" in page
    assert "iframe" in report._repr_html_()
    frame = report.to_frame()
    assert set(frame["family"]) == {"performance", "fairness", "latency"}
    with pytest.raises(BadInput, match=r"html or \.json"):
        report.save(tmp_path / "v.pdf")
