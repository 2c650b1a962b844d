"""``tg.compare``: what a user hands in, what comes out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tidegauge as tg
from tidegauge.metrics.result import RESULT_SCHEMA


def frame(seed: int, n: int = 3000, *, shift: float = 0.0, lost: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 5, n)
    age = rng.normal(40 + 20 * score, 10, n) + shift
    return pd.DataFrame(
        {
            "prediction_id": [f"p{seed}-{i}" for i in range(n)],
            "timestamp": pd.date_range("2026-01-05", periods=n, freq="10min", tz="UTC"),
            "age": np.where(rng.random(n) < lost, np.nan, age),
            "colour": rng.choice(["red", "green", "blue"], n),
            "score": score,
            "label": rng.random(n) < score,
        }
    )


def test_nothing_changed_is_said_in_one_sentence() -> None:
    report = tg.compare(frame(1), frame(2))
    assert report.alarms == 0
    assert report.verdict.startswith("No alarm")


def test_what_changed_is_named_and_ranked_first() -> None:
    report = tg.compare(frame(1), frame(2, shift=15, lost=0.2))
    assert "'age'" in report.verdict
    assert report.data.columns[0].name == "age"
    assert report.alarms >= 2


def test_a_column_that_moved_and_spread_counts_once_in_words() -> None:
    rng = np.random.default_rng(5)
    then = pd.DataFrame({"age": rng.normal(40, 10, 3000)})
    now = pd.DataFrame({"age": rng.normal(45, 20, 3000)})
    report = tg.compare(then, now)
    assert report.verdict == "1 alarm: 'age' has drifted."
    (head,) = (one.headline for one in report.data.columns)
    assert head is not None and head.state == "alarm"
    assert head.spread is not None and head.level is not None
    assert head.p_value is not None and head.p_value < head.level


def test_drift_of_predictions_and_of_labels_is_named_so() -> None:
    now = frame(2)
    now["score"] = now["score"] ** 0.5
    now["label"] = np.random.default_rng(3).random(len(now)) < now["score"]
    verdict = tg.compare(frame(1), now).verdict
    assert "label drift: 'label'" in verdict
    assert "prediction drift: 'score'" in verdict


def test_columns_are_ranked_alike_whether_they_hold_numbers_or_words() -> None:
    rng = np.random.default_rng(4)

    def sides(mean: float, red: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "age": rng.normal(mean, 1, 4000),
                "colour": np.where(rng.random(4000) < red, "red", "blue"),
            }
        )

    far_words = tg.compare(sides(0, 0.5), sides(0.3, 0.95)).data.columns
    far_numbers = tg.compare(sides(0, 0.5), sides(2, 0.55)).data.columns
    assert [one.name for one in far_words] == ["colour", "age"]
    assert [one.name for one in far_numbers] == ["age", "colour"]


def test_without_windows_the_report_says_what_they_would_tell() -> None:
    told = [note for note in tg.compare(frame(1), frame(2)).data.notes if "--window 1d" in note]
    assert len(told) == 1 and "day to day is unknown" in told[0]
    assert not [
        n for n in tg.compare(frame(1), frame(2), window="1d").data.notes if "--window" in n
    ]
    timeless = frame(1).drop(columns="timestamp")
    assert not [n for n in tg.compare(timeless, timeless).data.notes if "--window" in n]


def test_pandas_polars_arrow_and_files_give_the_same_results(tmp_path: Path) -> None:
    a, b = frame(1), frame(2, shift=5)
    pq.write_table(pa.table(a), tmp_path / "a.parquet")
    pq.write_table(pa.table(b), tmp_path / "b.parquet")
    expected = tg.compare(a, b).results["value"].to_pylist()
    for one, two in (
        (pl.from_pandas(a), pl.from_pandas(b)),
        (pa.table(a), pa.table(b)),
        (tmp_path / "a.parquet", str(tmp_path / "b.parquet")),
    ):
        found = tg.compare(one, two).results["value"].to_pylist()
        assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_the_frame_has_one_row_a_result_and_the_fields_of_the_contract() -> None:
    table = tg.compare(frame(1), frame(2)).to_frame()
    assert list(table.columns) == RESULT_SCHEMA.names
    assert not table.duplicated(["metric", "column", "segment", "window_start"]).any()


def test_windows_and_segments_have_results_of_their_own() -> None:
    report = tg.compare(frame(1), frame(2), segments=["colour"], window="1d")
    table = report.to_frame()
    segments = {json.loads(s)["colour"] for s in table["segment"].dropna()}
    assert segments >= {"red", "green", "blue"}
    # The last of 21 days is covered in part, and left out.
    assert table["window_start"].nunique() == 20
    rows = table[table["metric"] == "row_count"]
    whole = rows[rows["segment"].isna()]["value"].sum()
    assert whole == rows[rows["segment"].notna()]["value"].sum() == 2880


def test_json_has_the_contracts_form_and_no_nan(tmp_path: Path) -> None:
    report = tg.compare(frame(1), frame(2, shift=15))
    saved = json.loads(
        report.save(tmp_path / "r.json").read_text(), parse_constant=lambda c: pytest.fail(c)
    )
    assert saved["tidegauge"] == tg.__version__
    assert saved["alarms"] == report.alarms == sum(r["state"] == "alarm" for r in saved["results"])
    assert list(saved["results"][0]) == RESULT_SCHEMA.names


def test_html_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    text = tg.compare(frame(1), frame(2)).save(tmp_path / "r.html").read_text()
    assert "age" in text
    assert 'src="http' not in text
    assert 'href="http' not in text
    assert len(text) < 1_500_000


def test_a_notebook_shows_the_report_itself() -> None:
    assert "iframe" in tg.compare(frame(1), frame(2))._repr_html_()


def test_performance_is_measured_where_labels_are() -> None:
    current = frame(2)
    current["label"] = np.random.default_rng(0).random(len(current)) < 0.9
    table = tg.compare(frame(1), current).to_frame().set_index("metric")
    assert table.loc["bias", "state"] == "alarm"
    assert table.loc["bias", "basis"] == "final"


def test_labels_may_be_missing_from_the_current_side() -> None:
    report = tg.compare(frame(1), frame(2).drop(columns="label"))
    assert any("'label'" in note for note in report.data.notes)
    frame_of = report.to_frame()
    assert "bias" not in set(frame_of.query("state == 'ok' and basis != 'estimated'")["metric"])
    guess = frame_of.query("metric == 'roc_auc' and basis == 'estimated'").iloc[0]
    assert guess.ci_lower < guess.value < guess.ci_upper and guess.lower != guess.lower
    assert "By estimate roc_auc is" in report.verdict


def test_naive_times_are_read_as_utc_and_the_report_says_so() -> None:
    current = frame(2)
    current["timestamp"] = current["timestamp"].dt.tz_localize(None)
    report = tg.compare(frame(1), current, window="1d")
    assert any("no zone" in note for note in report.data.notes)


def test_a_schema_can_be_given_as_file_or_object(tmp_path: Path) -> None:
    from tidegauge.schema import dump_schema

    schema = tg.infer_schema(pa.table(frame(1)))
    (tmp_path / "s.yaml").write_text(dump_schema(schema))
    one = tg.compare(frame(1), frame(2), schema=schema).results
    two = tg.compare(frame(1), frame(2), schema=tmp_path / "s.yaml").results
    assert one.drop_columns(["computed_at"]).equals(two.drop_columns(["computed_at"]))


@pytest.mark.parametrize("window", ["1", "d", "0d", "1.5h", "1y", ""])
def test_a_window_that_is_no_width_is_refused(window: str) -> None:
    with pytest.raises(tg.BadInput, match="is no width"):
        tg.compare(frame(1), frame(2), window=window)


def test_a_window_without_a_timestamp_is_refused() -> None:
    a = frame(1).drop(columns="timestamp")
    with pytest.raises(tg.BadInput, match="role timestamp; name it in the schema"):
        tg.compare(a, a, window="1d")
    b = frame(1).rename(columns={"timestamp": "seen"})
    with pytest.raises(tg.BadInput, match="role timestamp; give it to 'seen' in the schema"):
        tg.compare(b, b, window="1d")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_far_beyond_the_baseline_are_compared_without_a_warning() -> None:
    far = frame(2)
    far["age"] *= 1e300
    assert "'age' has drifted" in tg.compare(frame(1), far).verdict


def test_monitors_that_are_neither_policies_nor_a_file_are_refused() -> None:
    with pytest.raises(tg.BadInput, match=r"monitors: a list holds none; give tg\.Policies"):
        tg.compare(frame(1), frame(2), monitors=[tg.Monitor("psi")])  # type: ignore[arg-type]


def test_a_report_is_saved_where_a_text_says(tmp_path: Path) -> None:
    report = tg.compare(frame(1), frame(2))
    assert report.save_html(f"{tmp_path}/a.html") == tmp_path / "a.html"
    assert report.save_json(f"{tmp_path}/a.json") == tmp_path / "a.json"
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "a.json"}


def test_a_window_that_is_no_text_is_refused() -> None:
    with pytest.raises(tg.BadInput, match="window 5 is no width"):
        tg.compare(frame(1), frame(2), window=5)  # type: ignore[arg-type]


def test_a_missing_column_is_named_with_the_nearest_there_is() -> None:
    with pytest.raises(tg.BadInput, match=r"no column 'colour' \(did you mean 'color'\?\)"):
        tg.compare(frame(1), frame(2).rename(columns={"colour": "color"}))


def test_frames_without_a_common_column_are_refused() -> None:
    with pytest.raises(tg.BadInput, match="no column in common"):
        tg.compare(pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]}))


@pytest.mark.parametrize("side", [0, 1])
def test_an_empty_side_is_refused(side: int) -> None:
    sides = [frame(1), frame(2)]
    sides[side] = sides[side].iloc[:0]
    with pytest.raises(tg.BadInput, match="no rows"):
        tg.compare(*sides)


def test_text_where_numbers_were_is_refused_with_an_example() -> None:
    current = frame(2)
    current["age"] = "unknown"
    with pytest.raises(tg.BadInput, match=r"'age' should be numeric but holds 'unknown' \(row 1\)"):
        tg.compare(frame(1), current)


def test_a_few_texts_among_numbers_are_counted_and_judged() -> None:
    current = frame(2)
    current["age"] = ["unknown" if i % 20 == 0 else str(v) for i, v in enumerate(current["age"])]
    table = tg.compare(frame(1), current).to_frame()
    row = table[(table["metric"] == "type_error_share") & (table["column"] == "age")].iloc[0]
    assert row["value"] == pytest.approx(0.05)
    assert row["state"] == "alarm"


def test_an_unknown_segment_column_is_refused_with_a_hint() -> None:
    with pytest.raises(tg.BadInput, match="did you mean 'colour'"):
        tg.compare(frame(1), frame(2), segments=["color"])


def test_a_segment_column_of_numbers_without_end_is_refused() -> None:
    with pytest.raises(tg.BadInput, match="'age' is numeric, and segments"):
        tg.compare(frame(1), frame(2), segments=["age"])


def test_a_segment_column_of_few_whole_numbers_is_taken_as_categories() -> None:
    sides = [frame(seed).assign(floor=lambda f: f.index % 3) for seed in (1, 2)]
    table = tg.compare(*sides, segments=["floor"]).to_frame()
    assert {json.loads(s)["floor"] for s in table["segment"].dropna()} >= {"0", "1", "2"}


def test_infinite_values_are_an_alarm() -> None:
    current = pd.DataFrame({"x": [float("inf")] * 500})
    report = tg.compare(pd.DataFrame({"x": [1.0, 2.0] * 250}), current)
    table = report.to_frame().set_index("metric")
    assert table.loc["infinite_share", "state"] == "alarm"


def test_too_few_records_are_not_called_well() -> None:
    verdict = tg.compare(frame(1), frame(2).iloc[:5]).verdict
    assert verdict == "Too few records to tell: 25 more records needed."


def test_a_baseline_of_too_few_windows_says_how_many_more() -> None:
    verdict = tg.compare(frame(1, 600), frame(2, 600), window="1d").verdict
    assert "the baseline needs about " in verdict
    assert "more windows for this budget" in verdict


def test_labels_where_the_reference_had_none_are_no_damage() -> None:
    reference = frame(1).assign(label=None)
    table = tg.compare(reference, frame(2)).to_frame()
    assert "alarm" not in set(table[table["column"] == "label"]["state"])


def test_nothing_is_left_behind_when_a_report_cannot_be_written(tmp_path: Path) -> None:
    report = tg.compare(frame(1), frame(2))
    for name in ("r.pdf", "nowhere/r.html"):
        with pytest.raises(tg.BadInput):
            report.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_one_row_constants_and_infinities_have_a_defined_result() -> None:
    odd = pd.DataFrame({"x": [np.inf, -np.inf, np.nan, 1.0], "k": [5.0] * 4, "w": [None] * 4})
    assert json.dumps(tg.compare(odd, odd).to_json(), allow_nan=False)
    assert json.dumps(tg.compare(odd, odd.iloc[3:]).to_json(), allow_nan=False)


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_end_of_the_range_raise_no_warning() -> None:
    table = pa.table({"x": [1e308, -1e308, 1.7e308] * 100, "n": [2**63 - 1, -(2**63), 0] * 100})
    assert tg.compare(table, table).alarms == 0


def test_a_tag_that_one_side_lacks_is_noted_and_raises_no_alarm() -> None:
    more = frame(1).assign(sample_weight=1.0, trace_id="t", __index_level_0__=range(3000))
    for sides in ((more, frame(2)), (frame(2), more)):
        report = tg.compare(*sides)
        assert report.alarms == 0
        names = set(report.results["column"].to_pylist())
        assert not names & {"sample_weight", "trace_id", "__index_level_0__"}


@pytest.mark.parametrize("side", [0, 1])
def test_numbers_where_times_should_be_are_refused(side: int) -> None:
    schema = tg.infer_schema(pa.Table.from_pandas(frame(1)))
    sides = [frame(1), frame(2)]
    sides[side]["timestamp"] = sides[side]["timestamp"].astype("int64")
    with pytest.raises(tg.BadInput, match="'timestamp' should be datetime but holds numbers"):
        tg.compare(sides[0], sides[1], schema=schema)
