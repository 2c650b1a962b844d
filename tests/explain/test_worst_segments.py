"""The search for the worst segments: what it finds and leaves, and its answers to bad input."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import tidegauge as tg
from tidegauge.cli import app
from tidegauge.errors import BadInput
from tidegauge.explain.segment_cells import Axes, Range, count_pairs, holds, in_ranges, running
from tidegauge.explain.segment_rows import RowReader, question_of, searched_columns
from tidegauge.explain.segment_statistics import Mean, Ranking
from tidegauge.explain.segment_values import value_of
from tidegauge.explain.worst_segments import worst_segments
from tidegauge.profile import Survey

N = 8_000


def records(seed: int, *, bad: bool = True, n: int = N, harder: bool = False) -> pa.Table:
    """Scores that rank well, but for carrier B above an age of 50."""
    rng = np.random.default_rng(seed)
    carrier = np.array(list("ABCD"))[rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])]
    age = rng.uniform(20, 80, n)
    label = rng.random(n) < 0.4
    planted = (carrier == "B") & (age > 50) & bad
    pull = np.where(planted, 0.3, 1.8)
    if harder:
        pull = np.where(carrier == "C", 0.6, pull)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + pull * label - 0.9)))
    columns = {"carrier": carrier, "age": age, "score": score, "label": label}
    return pa.table(columns | {f"x{k}": rng.normal(size=n) for k in range(4)})


def test_a_planted_segment_of_two_columns_is_the_only_finding() -> None:
    found = worst_segments(records(0))
    (only,) = found.findings
    assert {one.column for one in only.conditions} == {"carrier", "age"}
    assert only.p_value < 1e-6
    assert only.inside.upper < only.outside.lower
    carrier = next(one for one in only.conditions if one.column == "carrier")
    age = next(one for one in only.conditions if one.column == "age")
    assert carrier.value == "B" and age.up_to is None and abs(age.above - 50) < 3
    # What its scores promise is near what others have: it is not harder by design.
    assert only.expected > only.inside.upper


def test_a_whole_carrier_is_told_by_one_condition() -> None:
    frame = records(1, bad=False, harder=True)
    found = worst_segments(frame)
    assert [one.name for one in found.findings] == ["carrier = C"]


def test_with_a_reference_what_was_always_harder_is_not_found() -> None:
    then = records(2, bad=False, harder=True, n=4 * N)
    now = records(3, bad=True, harder=True)
    (only,) = worst_segments(now, then).findings
    assert {one.column for one in only.conditions} == {"carrier", "age"}
    assert only.reference_inside.lower > only.inside.upper
    assert {"carrier = C"} < {one.name for one in worst_segments(now).findings}


def test_a_neighbour_of_a_finding_is_none_of_its_own() -> None:
    rng = np.random.default_rng(8)
    n = 4 * N
    age, x = rng.uniform(20, 80, n), rng.normal(size=n)
    label = rng.random(n) < 0.4
    # Worse and worse with age: its ranges are one finding, not one beside the other.
    pull = np.interp(age, [20, 80], [3.0, 0.2])
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + pull * label - 0.9)))
    frame = pa.table({"age": age, "x": x, "score": score, "label": label})
    alone = [f.conditions[0] for f in worst_segments(frame).findings if len(f.conditions) == 1]
    ends = sorted(
        (-np.inf if c.above is None else c.above, np.inf if c.up_to is None else c.up_to)
        for c in alone
        if c.column == "age"
    )
    assert ends
    assert all(high < low for (_, high), (low, _) in pairwise(ends))


def test_a_segment_that_only_rose_less_than_the_rest_did_not_get_worse() -> None:
    def rows(seed: int, pull_b: float, pull: float) -> pa.Table:
        rng = np.random.default_rng(seed)
        carrier = np.array(list("ABCD"))[rng.integers(0, 4, N)]
        label = rng.random(N) < 0.4
        strength = np.where(carrier == "B", pull_b, pull)
        score = 1 / (1 + np.exp(-(rng.normal(size=N) + strength * label - 0.9)))
        return pa.table({"carrier": carrier, "score": score, "label": label})

    then = rows(5, 1.0, 1.0)
    risen = worst_segments(rows(6, 1.1, 2.5), then)
    assert risen.findings == ()
    assert "got worse by more than the rest" in risen.sentence
    assert risen.sentence.endswith(f"where the reference had {risen.reference.value:.3g}.")
    (fallen,) = worst_segments(rows(7, 0.3, 2.5), then).findings
    assert fallen.name == "carrier = B" and fallen.inside.upper < fallen.reference_inside.lower


def test_nothing_is_found_where_nothing_is() -> None:
    found = worst_segments(records(4, bad=False))
    assert found.findings == () and found.why_not is None and found.looked > 100
    assert "No segment" in found.sentence


@pytest.mark.parametrize("metric", ["log_loss", "brier", "accuracy"])
def test_other_metrics_of_a_binary_model_find_it_too(metric: str) -> None:
    found = worst_segments(records(0), metric=metric)
    assert {one.column for one in found.findings[0].conditions} == {"carrier", "age"}


def test_a_regression_is_searched_by_its_errors() -> None:
    rng = np.random.default_rng(0)
    carrier, hour = rng.integers(0, 4, N), rng.integers(0, 24, N)
    wide = (carrier == 1) & (hour >= 18)
    error = rng.normal(size=N) * np.where(wide, 6.0, 2.0)
    frame = pa.table(
        {
            "carrier": [f"c{k}" for k in carrier],
            "hour": hour.astype(float),
            "prediction": 100 + error,
            "label": np.full(N, 100.0) + rng.normal(size=N) * 0.01,
        }
    )
    (only,) = worst_segments(frame).findings
    assert only.name in ("carrier = c1 and hour > 17", "hour > 17 and carrier = c1")
    assert only.inside.value == pytest.approx(float(np.abs(error[wide]).mean()), rel=0.01)
    assert only.expected is None


def test_a_multiclass_model_is_searched_by_its_hits() -> None:
    rng = np.random.default_rng(0)
    place, truth = rng.integers(0, 5, N), rng.integers(0, 3, N)
    wrong = rng.random(N) < np.where(place == 2, 0.5, 0.2)
    said = np.where(wrong, (truth + 1) % 3, truth)
    frame = pa.table(
        {
            "place": [f"p{k}" for k in place],
            "noise": rng.normal(size=N),
            "prediction": [f"k{k}" for k in said],
            "label": [f"k{k}" for k in truth],
        }
    )
    found = worst_segments(frame)
    assert found.metric == "accuracy" and found.findings[0].name == "place = p2"


def test_missing_values_are_a_segment_and_infinities_no_traceback() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    x[:2000] = np.nan
    x[2000:2010] = np.inf
    frame = pa.table(
        {
            "x": x,
            "constant": np.zeros(N),
            "prediction": rng.normal(size=N) * np.where(np.isnan(x), 3.0, 1.0),
            "label": np.zeros(N) + rng.normal(size=N) * 0.01,
        }
    )
    assert worst_segments(frame).findings[0].name == "x = (missing)"


def test_only_labelled_records_count_and_without_any_it_says_so() -> None:
    frame = records(0)
    none = frame.set_column(
        frame.schema.get_field_index("label"), "label", pa.nulls(len(frame), pa.bool_())
    )
    schema = tg.infer_schema(frame)
    found = worst_segments(none, schema=schema)
    assert found.findings == () and "none of the 8,000 records has a label" in found.why_not
    few = pa.concat_tables([frame.slice(0, 150), none.slice(150)])
    assert "only 150 records have a label" in worst_segments(few, schema=schema).why_not
    half = pa.concat_tables([frame.slice(0, 6000), none.slice(6000)])
    found = worst_segments(half, schema=schema)
    assert (found.records, found.labelled) == (8000, 6000)
    assert found.findings and "2,000 of 8,000 records have no label" in found.notes[0]


def test_what_cannot_be_searched_is_said() -> None:
    frame = records(0)
    one_class = frame.set_column(
        frame.schema.get_field_index("label"), "label", pa.array([True] * len(frame))
    )
    schema = tg.infer_schema(frame)
    assert "8,000 positive and 0 negative" in worst_segments(one_class, schema=schema).why_not
    assert "no label" in worst_segments(frame.drop_columns(["label"])).why_not
    alone = frame.select(["score", "label"])
    assert "no feature or segment column" in worst_segments(alone).why_not
    with pytest.raises(BadInput, match="did you mean 'log_loss'"):
        worst_segments(frame, metric="logloss")
    with pytest.raises(BadInput, match="1 or 2 columns"):
        worst_segments(frame, depth=3)
    with pytest.raises(BadInput, match="no rows"):
        worst_segments(frame.slice(0, 0).to_pandas())


def test_results_are_a_frame_json_and_a_notebook_table() -> None:
    then = records(2, bad=False)
    for found in (worst_segments(records(0)), worst_segments(records(0), then)):
        told = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert told["findings"][0]["conditions"] and told["basis"] == "labels"
        assert len(found.to_frame()) == len(found.findings)
        assert "&lt; age" in found._repr_html_() or "age &gt;" in found._repr_html_()
    assert next(iter(worst_segments(records(5, bad=False)).to_frame().columns)) == "segment"


def test_of_too_many_records_a_fair_sample_by_their_id_is_held() -> None:
    frame = records(0).append_column("prediction_id", pa.array([f"r{k}" for k in range(N)]))
    schema = tg.infer_schema(frame)
    survey = Survey(schema)
    survey.update(frame.to_batches()[0])
    layout = survey.layout("x")
    question = question_of(schema)
    whole = RowReader(layout, searched_columns(layout), question, most=1000)
    parts = RowReader(layout, searched_columns(layout), question, most=1000)
    for batch in frame.combine_chunks().to_batches():
        whole.update(batch)
    for batch in frame.to_batches(max_chunksize=700):
        parts.update(batch)
    one, other = whole.finish(), parts.finish()
    assert len(one) == len(other) == 1000 and one.labelled == other.labelled == N
    assert sorted(one.score) == sorted(other.score)


def test_counts_of_every_pair_of_ranges_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    axes = Axes(((0, 2, 4, 5), (0, 1, 2, 3)), (2, 0))
    codes = np.column_stack([rng.integers(0, 5, 500), rng.integers(0, 3, 500)]).astype(np.uint16)
    outcome = rng.integers(0, 4, 500).astype(np.uint16)
    sums = running(count_pairs(axes.coarse_codes(codes), outcome, 4, axes))
    every = np.arange(len(axes.ranges))
    counts = in_ranges(sums, axes, every, every)
    for i, one in enumerate(axes.ranges):
        for j, other in enumerate(axes.ranges):
            held = holds(codes, (one, other))
            expected = np.bincount(outcome[held], minlength=4)
            assert counts[:, i, j].tolist() == expected.tolist()
    assert holds(codes, (Range(0, 1, 3),)).sum() == ((codes[:, 0] >= 1) & (codes[:, 0] < 3)).sum()


def test_the_area_from_counts_is_that_of_scikit_learn_within_its_bins() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.random(3000) < 0.3
    s = np.round(1 / (1 + np.exp(-(rng.normal(size=3000) + 1.2 * y))), 1)
    levels, code = np.unique(s, return_inverse=True)
    counts = np.bincount(y * len(levels) + code, minlength=2 * len(levels)).astype(float)
    area = Ranking(len(levels)).areas(counts[:, None])[0][0]
    assert area == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-12)


def test_the_tails_of_small_groups_are_not_too_heavy() -> None:
    """A chance of 1e-3 comes at most 1.5 times too often, for ranks and for a skewed loss."""
    from scipy.special import stdtr

    rng = np.random.default_rng(0)
    bins, draws = 24, 40_000
    edges = np.linspace(-2, 4, bins - 1)
    ones = np.bincount(np.searchsorted(edges, rng.normal(size=200_000) + 1.4), minlength=bins)
    zeros = np.bincount(np.searchsorted(edges, rng.normal(size=200_000)), minlength=bins)
    ranking = Ranking(bins)
    truth = ranking(np.concatenate((zeros, ones)).astype(float)[:, None])[0]
    drawn = [rng.multinomial(n, c / c.sum(), draws).T for n, c in ((60, zeros), (35, ones))]
    value, variance, df = ranking(np.concatenate(drawn).astype(float))
    assert (stdtr(df, (value - truth) / np.sqrt(variance)) < 1e-3).mean() < 1.5e-3

    levels = np.sort(rng.exponential(size=48) ** 2)
    loss = Mean(levels)
    truth = loss(np.full((48, 1), 1e6))[0]
    value, variance, df = loss(rng.multinomial(100, np.full(48, 1 / 48), draws).T.astype(float))
    assert (stdtr(df, (value - truth) / np.sqrt(variance)) < 1e-3).mean() < 1.5e-3


def test_intervals_hold_what_they_should() -> None:
    rng = np.random.default_rng(0)
    frame = records(0, bad=False)
    schema = tg.infer_schema(frame)
    survey = Survey(schema)
    survey.update(frame.combine_chunks().to_batches()[0])
    layout = survey.layout("x")
    for metric in ("roc_auc", "accuracy", "log_loss"):
        question = question_of(schema, metric)
        reader = RowReader(layout, searched_columns(layout), question)
        reader.update(frame.combine_chunks().to_batches()[0])
        rows = reader.finish()
        whole = value_of(question, rows).value
        held = 0
        for _ in range(200):
            mask = rng.random(len(rows)) < 0.05
            one = value_of(question, rows, mask)
            held += one.lower <= whole <= one.upper
        assert held >= 180


def test_a_small_rest_without_any_error_makes_no_finding_of_all_others() -> None:
    """Where errors are rare, a hundred records without one are nothing to hold others against."""
    rng = np.random.default_rng(1)
    n = 4000
    rare = rng.random(n) < 0.035
    wrong = (rng.random(n) < 0.03) & ~rare
    said = rng.random(n) < 0.5
    frame = pa.table(
        {
            "kind": np.where(rare, "rare", "usual"),
            "noise": rng.normal(size=n),
            "prediction": said,
            "label": said ^ wrong,
        }
    )
    assert worst_segments(frame).findings == ()


def test_the_command_prints_what_it_found_and_ends_as_it_should(tmp_path: Path) -> None:
    for name, frame in (("bad", records(0)), ("well", records(4, bad=False))):
        pq.write_table(frame, tmp_path / f"{name}.parquet")
    run = CliRunner().invoke
    bad, well = (str(tmp_path / f"{name}.parquet") for name in ("bad", "well"))
    found = run(app, ["segments", bad])
    assert found.exit_code == 1 and "1  " in found.stdout and "carrier = B" in found.stdout
    told = run(app, ["segments", bad, "--reference", well, "--json", "-"])
    assert told.exit_code == 1 and json.loads(told.stdout)["against_reference"]
    file = tmp_path / "found.json"
    nothing = run(app, ["segments", well, "--depth", "1", "--json", str(file)])
    assert nothing.exit_code == 0 and json.loads(file.read_text())["findings"] == []
    wrong = run(app, ["segments", bad, "--metric", "f1"])
    assert isinstance(wrong.exception, BadInput)
