"""Small requests that are worked on together come to what each would have come to alone."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from at_once import in_a_loop
from harness import records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegauge.errors import BadInput, Overloaded, TidegaugeError
from tidegauge.server.gathering import MOST_BYTES, MOST_POSTS, Gathering
from tidegauge.server.posts import SMALL, Account, Post, Resource
from tidegauge.server.receiving import receive
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

JSON = "application/json"
CLOCK = re.compile(r"clock \([^)]*\)")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """What a server holds, with a journal that nobody flushes."""
    opened = Runtime(Settings(data=tmp_path_factory.mktemp("gathering")))
    yield opened
    opened.stop()


def model_of(runtime: Runtime) -> str:
    name = f"m{next(_numbers)}"
    together(runtime, [post(name, records(3))])
    return name


def post(
    model: str,
    body: Any,
    key: str | None = None,
    resource: Resource = "predictions",
    kind: str = JSON,
) -> Post:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Post("default", model, resource, sent, kind, None, "1", key)


def together(runtime: Runtime, posts: Sequence[Post]) -> list[Account | BaseException]:
    async def send() -> list[Account | BaseException]:
        gathering = Gathering(runtime)
        return await asyncio.gather(*map(gathering.take, posts), return_exceptions=True)

    return in_a_loop(send())


def one_by_one(runtime: Runtime, posts: Sequence[Post]) -> list[Account | BaseException]:
    return [together(runtime, [one])[0] for one in posts]


def told(results: Sequence[Account | BaseException]) -> list[Any]:
    """Return what the senders are told, but for the clock in it."""
    answers = []
    for result in results:
        if isinstance(result, Account):
            answers.append(json.loads(CLOCK.sub("", result.answer.decode())))
        else:
            assert isinstance(result, TidegaugeError), repr(result)
            answers.append((result.status, result.code, result.message))
    return answers


def stored(runtime: Runtime, model: str) -> list[tuple[str, str]]:
    """Return the rows of a model in the journal, whatever requests they came with."""
    rows = []
    for entry in runtime.journal.pending(1 << 30):
        if entry.model == model:
            listed = entry.batch.to_pylist()
            for row in listed:
                row.pop("index", None)
                row.pop("observed_at", None)
                rows.append((entry.kind, json.dumps(row, default=str, sort_keys=True)))
    return sorted(rows)


GOOD = records(1)[0]
ids = st.sampled_from(["a", "b", "c", "", None, 7])
a_record = st.builds(
    lambda **changed: {**GOOD, **changed},
    prediction_id=ids,
    age=st.sampled_from([1, 2.5, None, "old", "NaN", True, 10**400]),
    carrier=st.sampled_from(["UA", None, 3, ["UA"]]),
    timestamp=st.sampled_from(
        ["2026-01-05T00:00:00Z", "2026-01-05T00:00:00.25+01:00", "2026-01-05", "9999-01-01", None]
    ),
)
strange = st.sampled_from(
    [b"", b"[", b"[]", b"{}", b"7", b"[7]", b'[{"prediction_id": "z"}]', b'{"a": 1}', b"\xff"]
)
bodies = (
    a_record
    | st.builds(lambda row: {**row, "colour": "red"}, a_record)
    | st.lists(a_record | st.just(7), min_size=1, max_size=4)
    | strange
)
keys = st.none() | st.sampled_from(["k1", "k2"])


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=st.lists(st.tuples(bodies, keys), min_size=2, max_size=8))
def test_requests_together_are_told_and_store_what_they_would_alone(
    runtime: Runtime, sent: list[tuple[Any, str | None]]
) -> None:
    ones, others = model_of(runtime), model_of(runtime)
    first = post(ones, [GOOD]), post(others, [GOOD])  # It keeps the lane busy.
    at_once = together(runtime, [first[0], *(post(ones, body, key) for body, key in sent)])
    in_turn = one_by_one(runtime, [first[1], *(post(others, body, key) for body, key in sent)])
    assert told(at_once) == told(in_turn)
    assert stored(runtime, ones) == stored(runtime, others)


labels = st.fixed_dictionaries(
    {"prediction_id": ids, "label": st.sampled_from([True, 0, None, "yes"])},
    optional={"timestamp": st.sampled_from(["2026-01-05T00:00:00Z", "2026-01-05"])},
)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=st.lists(labels | st.lists(labels, max_size=3) | strange, min_size=2, max_size=8))
def test_labels_together_are_told_and_store_what_they_would_alone(
    runtime: Runtime, sent: list[Any]
) -> None:
    ones, others = model_of(runtime), model_of(runtime)
    known = {"prediction_id": "x", "label": True}
    both = [
        [post(model, body, resource="labels") for body in [known, *sent]]
        for model in (ones, others)
    ]
    assert told(together(runtime, both[0])) == told(one_by_one(runtime, both[1]))
    assert stored(runtime, ones) == stored(runtime, others)


def test_what_gathers_is_journalled_as_one(runtime: Runtime) -> None:
    model = model_of(runtime)
    before = runtime.journal.last_offset
    rows = [{**GOOD, "prediction_id": f"r{i}"} for i in range(50)]
    results = together(runtime, [post(model, row, f"key-{i}") for i, row in enumerate(rows)])
    assert {json.loads(result.answer)["accepted"] for result in results} == {1}
    assert runtime.journal.last_offset - before == 2
    again = together(runtime, [post(model, GOOD, f"key-{i}") for i in range(50)])
    assert [result.answer for result in again] == [result.answer for result in results]
    assert runtime.journal.last_offset - before == 2


def test_one_bad_sender_spoils_no_other(runtime: Runtime) -> None:
    model = model_of(runtime)
    before = runtime.journal.last_offset
    posts = [post(model, {**GOOD, "prediction_id": f"r{i}"}) for i in range(40)]
    posts[20] = post(model, {**GOOD, "age": "old"})
    posts[30] = post(model, b"[")
    results = told(together(runtime, posts))
    assert results[20]["quarantined"] == 1
    assert results[30][1] == "bad_json"
    others = [result for i, result in enumerate(results) if i not in (20, 30)]
    assert [result["accepted"] for result in others] == [1] * 38
    # The first alone, the others but two as one, the bad one by itself.
    assert runtime.journal.last_offset - before == 3


def test_an_id_in_two_requests_is_no_repeat(runtime: Runtime) -> None:
    model = model_of(runtime)
    results = told(together(runtime, [post(model, [GOOD, GOOD]) for _ in range(3)]))
    assert [(one["accepted"], one["repeated"]) for one in results] == [(1, 1)] * 3
    results = told(together(runtime, [post(model, GOOD) for _ in range(3)]))
    assert [(one["accepted"], one["repeated"]) for one in results] == [(1, 0)] * 3


def test_a_key_on_its_way_gets_the_first_answer_and_a_failed_one_is_free(
    runtime: Runtime,
) -> None:
    model = model_of(runtime)
    before = len(stored(runtime, model))
    bad, good = post(model, b"[", "k"), post(model, [GOOD, {**GOOD, "prediction_id": "q"}], "k")
    results = together(runtime, [bad, good, post(model, GOOD, "k"), good])
    assert isinstance(results[0], BadInput)
    assert [json.loads(result.answer)["accepted"] for result in results[1:]] == [2, 2, 2]
    assert len(stored(runtime, model)) - before == 2


def test_a_group_is_bounded(runtime: Runtime) -> None:
    model = model_of(runtime)
    before = runtime.journal.last_offset
    wide = {**GOOD, "carrier": "x" * (SMALL - 300)}
    assert post(model, wide).is_small
    most = MOST_BYTES // len(post(model, wide).body)
    together(runtime, [post(model, wide) for _ in range(1 + 2 * most)])
    assert runtime.journal.last_offset - before == 3
    together(runtime, [post(model, GOOD) for _ in range(1 + 2 * MOST_POSTS)])
    assert runtime.journal.last_offset - before == 6


def test_a_large_request_goes_alone(runtime: Runtime) -> None:
    assert not post("m", [GOOD] * 500).is_small
    assert not post("m", b"PAR1", kind="application/vnd.apache.parquet").is_small


def test_requests_of_several_models_do_not_wait_for_one_another(runtime: Runtime) -> None:
    models = [model_of(runtime) for _ in range(5)]
    results = together(runtime, [post(models[i % 5], GOOD) for i in range(50)])
    assert [one["accepted"] for one in told(results)] == [1] * 50


def test_a_full_journal_refuses_all_of_a_group(tmp_path: Any) -> None:
    full = Runtime(Settings(data=tmp_path, max_backlog=1))
    try:
        assert json.loads(together(full, [post("m", records(3))])[0].answer)["accepted"] == 3
        results = together(full, [post("m", GOOD, f"k{i}") for i in range(5)])
        assert all(isinstance(result, Overloaded) for result in results)
        outcomes = receive(full, [post("m", GOOD, f"k{i}") for i in range(5)])
        assert all(isinstance(one.future.exception(), Overloaded) for one in outcomes)
    finally:
        full.stop()
    with pytest.raises(Overloaded, match="stopping"):
        in_a_loop(Gathering(full).take(post("m", GOOD)))
