"""Segments by combinations of columns and by numbers in bins: exact counts, bounds, odd input."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import tidegauge as tg
from tidegauge.errors import BadInput, SchemaError
from tidegauge.profile import Layout, Profiler, Segment, Survey
from tidegauge.profile.divided import segment_codes
from tidegauge.profile.layout import OTHER
from tidegauge.profile.profile import merge_profiles
from tidegauge.schema import Schema, loads_schema, schema_from_json, schema_to_json
from tidegauge.schema.divisions import division_of

SCHEMA = loads_schema(
    """
task: binary
segments:
  - carrier
  - [carrier, origin]
  - {column: age, bins: [18, 30.5]}
  - [{column: age, bins: [18]}, vip]
columns:
  carrier: categorical
  origin: categorical
  age: numeric
  vip: boolean
  score: numeric
  label: boolean
"""
)


def rows(n: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    age = rng.integers(10, 50, n).astype(float)
    age[::17] = np.nan
    if n > 40:
        age[3], age[5] = np.inf, -np.inf
    carrier = rng.choice(["A", "B", None], n)
    return pa.record_batch(
        {
            "carrier": pa.array(carrier.tolist(), pa.string()),
            "origin": rng.choice(["X", "Y"], n),
            "age": age,
            "vip": rng.random(n) < 0.3,
            "score": rng.random(n),
            "label": rng.random(n) < 0.5,
        }
    )


def layout_of(*batches: pa.RecordBatch, schema: Schema = SCHEMA, segments: int = 20) -> Layout:
    survey = Survey(schema, segments)
    for batch in batches:
        survey.update(batch)
    return survey.layout("b1")


def counted(batch: pa.RecordBatch, layout: Layout) -> dict[str, int]:
    profiler = Profiler(layout)
    profiler.update(batch)
    n = profiler.finish().rows[0]
    return {
        json.dumps(None if s is None else s.to_json()): int(n[i])
        for i, s in enumerate(layout.segments)
    }


def test_every_record_is_counted_once_in_each_division() -> None:
    batch = rows(3000)
    layout = layout_of(batch)
    found = counted(batch, layout)
    frame = batch.to_pandas()
    age = frame.age
    both = frame[(frame.carrier == "B") & (frame.origin == "X")]
    assert found['{"carrier": "B", "origin": "X"}'] == len(both)
    assert found['{"carrier": "(other)", "origin": "(other)"}'] == int(frame.carrier.isna().sum())
    assert found['{"age": "<18"}'] == int((age < 18).sum())
    assert found['{"age": "18..30.5"}'] == int(((age >= 18) & (age < 30.5)).sum())
    assert found['{"age": ">=30.5"}'] == int((age >= 30.5).sum())
    assert found['{"age": "(other)"}'] == int(age.isna().sum())
    assert found['{"age": ">=18", "vip": "true"}'] == int(((age >= 18) & frame.vip).sum())
    assert {name for name, _, _ in layout.segment_groups} == set(SCHEMA.segments)
    for name, first, values in layout.segment_groups:
        part = [found[json.dumps(s.to_json())] for s in layout.segments[first:][: len(values)]]
        assert sum(part) == 3000, name


def test_the_rest_beyond_the_bound_is_pooled() -> None:
    batch = rows(3000)
    layout = layout_of(batch, segments=2)
    group = {name: values for name, _, values in layout.segment_groups}
    assert len(group["carrier × origin"]) == 3 and group["carrier × origin"][-1] == OTHER
    assert len(group["age"]) == 4
    assert sum(v for k, v in counted(batch, layout).items() if '"origin"' in k) == 3000


def test_parts_merge_to_the_whole_and_batches_do_not_matter() -> None:
    whole = rows(2000)
    parts = [whole.slice(at, 700) for at in (0, 700, 1400)]
    layout = layout_of(*parts)
    assert layout.segments == layout_of(whole).segments
    profiles = []
    for part in parts:
        profiler = Profiler(layout)
        profiler.update(part)
        profiles.append(profiler.finish())
    profiler = Profiler(layout)
    profiler.update(whole)
    assert (merge_profiles(profiles).rows == profiler.finish().rows).all()


def test_unseen_values_of_later_records_belong_to_the_rest() -> None:
    layout = layout_of(rows(500))
    odd = pa.record_batch(
        {"carrier": ["ZZ", "A", None], "origin": ["X", "new", "X"], "age": ["40", "x", None]}
    )
    group = {name: values for name, _, values in layout.segment_groups}
    for name in ("carrier × origin",):
        codes = segment_codes(odd, layout, name)
        assert codes.tolist() == [len(group[name]) - 1] * 3
    assert segment_codes(odd, layout, "age").tolist() == [2, 3, 3]
    empty = odd.slice(0, 0)
    assert len(segment_codes(empty, layout, "carrier × origin")) == 0


def test_a_baseline_without_records_or_values_still_divides() -> None:
    none = rows(0)
    layout = layout_of(none)
    assert counted(none, layout)["null"] == 0
    assert [s.value for s in layout.segments if s and s.column == "carrier × origin"] == [OTHER]


def test_layouts_come_back_and_those_of_earlier_releases_load() -> None:
    layout = layout_of(rows(300))
    again = Layout.loads(layout.dumps())
    assert again.segments == layout.segments and again.compatible(layout)
    assert again.schema.divisions == SCHEMA.divisions
    old = json.loads(layout.dumps())
    old["schema"]["segments"] = ["carrier"]
    old["segments"] = [None, ["carrier", "A"], ["carrier", "(other)"]]
    loaded = Layout.loads(json.dumps(old))
    assert loaded.segments == (None, Segment("carrier", "A"), Segment("carrier", "(other)"))


def test_segments_are_told_and_read_as_results_have_them() -> None:
    both = Segment.of(("carrier", "origin"), ("UA", "EWR"))
    assert Segment.from_json(both.to_json()) == both
    rest = Segment.of(("carrier", "origin"), (OTHER, OTHER))
    assert rest.value == OTHER and rest.to_json() == {"carrier": OTHER, "origin": OTHER}
    assert SCHEMA.segment_in("carrier:A,origin:X") == {"carrier": "A", "origin": "X"}
    assert SCHEMA.segment_in("carrier:A") == {"carrier": "A"}
    assert SCHEMA.segment_in("age:18..30.5") == {"age": "18..30.5"}
    assert SCHEMA.segment_in("origin:X") is None


def test_schemas_with_divisions_come_back_from_every_form() -> None:
    assert schema_from_json(schema_to_json(SCHEMA)) == SCHEMA
    assert loads_schema(tg.schema.dump_schema(SCHEMA)) == SCHEMA
    narrow = SCHEMA.select(["carrier", "age", "score", "label"])
    assert narrow.segments == ("carrier", "age")
    assert SCHEMA.segment_columns == ("carrier", "origin", "age", "vip")
    assert SCHEMA.plain_segments == ("carrier",)


@pytest.mark.parametrize(
    ("segments", "place", "words"),
    [
        ("[[carrier, orgin]]", ":2:22:", "did you mean 'origin'"),
        ("[{column: age, bins: [30, 18]}]", ":2:32:", "must increase"),
        ("[{column: age, bins: [18, 18]}]", ":2:32:", "must increase"),
        ("[{column: age, bins: [x]}]", ":2:33:", "must be numbers"),
        ("[{column: age, bins: []}]", ":2:32:", "a list of numbers"),
        ("[{column: age}]", ":2:12:", "{column: age, bins: [18, 30, 50]}"),
        ("[{column: carrier, bins: [1]}]", ":2:36:", "only numeric ones have bins"),
        ("[[carrier, age]]", ":2:22:", "give it bins"),
        ("[[carrier, carrier]]", ":2:12:", "twice"),
        ("[[]]", ":2:12:", "1 to 3 columns"),
        ("[[carrier, origin], [origin, carrier]]", ":2:31:", "stand twice"),
        (f"[{{column: age, bins: {list(range(30))}}}]", ":2:32:", "20 is the most"),
    ],
)
def test_wrong_divisions_are_refused_with_their_place(
    segments: str, place: str, words: str
) -> None:
    columns = "columns: {carrier: categorical, origin: categorical, age: numeric}"
    with pytest.raises(SchemaError) as refused:
        loads_schema(f"{columns}\nsegments: {segments}")
    assert place in refused.value.message and words in refused.value.message


def test_too_many_divisions_are_refused() -> None:
    names = [f"c{k}" for k in range(22)]
    columns = ", ".join(f"{name}: categorical" for name in names)
    with pytest.raises(SchemaError, match="20 divisions into segments is the most"):
        loads_schema(f"columns: {{{columns}}}\nsegments: [{', '.join(names)}]")


def test_compare_takes_them_in_every_form_and_says_what_is_wrong() -> None:
    frame = pa.Table.from_batches([rows(1500)])
    asked = ["carrier", ("carrier", "origin"), {"column": "age", "bins": [18]}, "age:30+vip"]
    table = tg.compare(frame, frame, segments=asked).results
    found = {text for text in table["segment"].to_pylist() if text}
    assert '{"carrier": "A", "origin": "X"}' in found and '{"age": ">=18"}' in found
    assert '{"age": ">=30", "vip": "true"}' in found
    for wrong, words in (
        ("carier+origin", "did you mean 'carrier'"),
        ("age:30,18", "must increase"),
        ("age:x", "must be numbers"),
        ("score", "give a numeric one bins"),
        ("score+carrier", "give a numeric one bins"),
        ("carrier:1", "only numeric ones have bins"),
        (7, "nothing to divide by"),
        ({"column": "age", "edges": [1]}, "{'column': name, 'bins'"),
        ([f"c{k}" for k in range(4)], "1 to 3 columns"),
    ):
        with pytest.raises(BadInput) as refused:
            tg.compare(frame, frame, segments=[wrong])
        assert words in refused.value.message, refused.value.message


def test_a_name_that_looks_like_a_combination_is_a_column_if_there_is_one() -> None:
    assert division_of("a+b", ["a+b", "a", "b"]).columns == ("a+b",)
    assert division_of("x:1", ["x:1"]).columns == ("x:1",)


def test_a_segment_of_one_record_has_a_defined_answer() -> None:
    batch = rows(1500)
    alone = pa.record_batch(
        {
            **{name: batch[name].slice(0, 1) for name in batch.schema.names},
            "carrier": pa.array(["only"]),
        }
    )
    frame = pa.Table.from_batches([batch, alone.select(batch.schema.names)])
    table = tg.compare(frame, frame, segments=[["carrier", "origin"]]).results
    one = [r for r in table.to_pylist() if r["segment"] and "only" in r["segment"]]
    assert one and {r["state"] for r in one} <= {"ok", "too_few", "not_applicable"}
    assert next(r for r in one if r["metric"] == "roc_auc")["state"] in (
        "too_few",
        "not_applicable",
    )
