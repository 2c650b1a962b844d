"""Hashes depend on the value alone, and never change."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegauge.profile.hashing import hash_array, hash_floats, hash_strings, mix64


def test_hashes_are_those_of_the_first_release():
    # Samples and vocabularies that are stored somewhere rest on these.
    assert mix64(np.array([0, 1, 2**64 - 1], dtype=np.uint64)).tolist() == GOLDEN["mix64"]
    texts = pa.array(["", "a", "prediction-1", "ü", "0123456789abcdef!", None])
    assert hash_strings(texts).tolist() == GOLDEN["texts"]
    assert hash_floats(np.array([0.0, 1.5, -2.0])).tolist() == GOLDEN["floats"]
    assert hash_array(pa.array([0, 1, -7])).tolist() == GOLDEN["integers"]


TEXTS = st.lists(st.none() | st.text(max_size=40), max_size=20)


@settings(max_examples=80)
@given(values=TEXTS, before=st.integers(0, 5), after=st.integers(0, 5))
def test_every_layout_of_the_same_texts_has_the_same_hashes(values, before, after):
    plain = pa.array(values, pa.string())
    expected = hash_array(plain).tolist()
    padded = pa.array(["pad"] * before + values + [None] * after, pa.string())
    encoded = plain.dictionary_encode()
    unused = pa.DictionaryArray.from_arrays(
        pa.array([None if v is None else values.index(v) + 1 for v in values], pa.int32()),
        pa.array(["unused", *values], pa.string()),
    )
    for other in (
        plain.cast(pa.large_string()),
        plain.cast(pa.string_view()),
        plain.cast(pa.binary()),
        padded.slice(before, len(values)),
        encoded,
        unused,
        padded.dictionary_encode().slice(before, len(values)),
        pa.array(values, pa.dictionary(pa.int8(), pa.large_string())),
    ):
        assert hash_array(other).tolist() == expected, other.type
    one_by_one = [hash_array(pa.array([v], pa.string()))[0] for v in values]
    assert one_by_one == expected


@settings(max_examples=40)
@given(st.lists(st.text(max_size=30), unique=True, max_size=50))
def test_different_texts_have_different_hashes(values):
    assert len(set(hash_strings(pa.array(values, pa.string())).tolist())) == len(values)


def test_numbers_hash_alike_whatever_their_width():
    values = [1, 2, 250]
    wide = hash_array(pa.array(values, pa.int64())).tolist()
    for kind in (pa.uint8(), pa.int16(), pa.uint64()):
        assert hash_array(pa.array(values, kind)).tolist() == wide
    assert hash_array(pa.array(values).dictionary_encode()).tolist() == wide
    single = hash_array(pa.array([1.5, -0.0], pa.float32())).tolist()
    assert hash_array(pa.array([1.5, 0.0], pa.float64())).tolist() == single


def test_any_type_of_id_has_a_hash():
    one = uuid.UUID(int=2**127 + 12345)
    columns = [
        pa.array([one.bytes], pa.uuid()),
        pa.array([b"\xff\xfe"], pa.binary()),
        pa.array([b"\xff\xfe"], pa.large_binary()),
        pa.array([[1, 2]]),
        pa.array([{"a": 1}]),
        pa.array([True]),
        pa.array([1], pa.timestamp("us", "UTC")),
        pa.array([None]),
        pa.RunEndEncodedArray.from_arrays([2], ["a"]),
    ]
    for column in columns:
        assert hash_array(column).dtype == np.uint64
        assert len(hash_array(column)) == len(column)
        assert len(hash_array(column.slice(0, 0))) == 0


def test_hashes_are_spread_evenly():
    hashes = hash_strings(pa.array([f"id-{k}" for k in range(50_000)]))
    for shift in (0, 20, 40, 58):
        counts = np.bincount((hashes >> np.uint64(shift)).astype(np.int64) & 63, minlength=64)
        chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert 30 < chi2 < 110


GOLDEN: dict[str, list[int]] = {
    "mix64": [0, 6238072747940578789, 13029008266876403067],
    "texts": [
        16294208416658607535,
        5857910630591677859,
        4745835571749233713,
        14217075767318085729,
        2914112149208342905,
        16294208416658607535,
    ],
    "floats": [0, 16657480027015623784, 10526856802312814555],
    "integers": [0, 6238072747940578789, 15824578273388328691],
}
