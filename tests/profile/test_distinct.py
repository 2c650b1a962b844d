"""Distinct counts merge, and stay near the truth whatever the values are like."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tidegauge.profile import Profiler, Survey
from tidegauge.profile.distinct import REGISTERS, estimate, registers
from tidegauge.profile.hashing import hash_strings
from tidegauge.schema import Column, ColumnType, Schema

SHAPES = {
    "whole": lambda k: k.astype(np.float64),
    "thousands": lambda k: k * 1000.0,
    "powers": lambda k: k * 2.0**20,
    "cents": lambda k: k / 100,
    "seconds": lambda k: 1.7e9 + k,
    "days": lambda k: k * 86400.0,
    "negative": lambda k: -1.0 - k,
    "thirds": lambda k: k / 3,
    "tiny": lambda k: k * 5e-324,
    "normal": lambda k: np.random.default_rng(0).normal(size=len(k)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 30, 1_000, 5_000, 60_000, 400_000])
def test_the_estimate_is_within_twelve_percent_for_any_pattern_of_numbers(shape, n):
    values = SHAPES[shape](np.arange(n))
    found = float(estimate(registers((values + 0.0).view(np.uint64))))
    assert found == pytest.approx(n, rel=0.12, abs=1)


@pytest.mark.parametrize("n", [0, 1, 500, 20_000, 300_000])
def test_the_estimate_is_within_twelve_percent_for_texts(n):
    hashes = hash_strings(pa.array([f"user-{k}" for k in range(n)], pa.string()))
    assert float(estimate(registers(hashes))) == pytest.approx(n, rel=0.12, abs=1)


def test_registers_of_parts_merge_into_those_of_the_whole():
    bits = np.random.default_rng(3).normal(size=50_000).view(np.uint64)
    whole = registers(bits)
    for size in (100, 7_000, 20_000):
        parts = [registers(bits[at : at + size]) for at in range(0, len(bits), size)]
        np.testing.assert_array_equal(np.max(parts, axis=0), whole)
    assert whole.shape == (REGISTERS,)


def test_repeats_and_order_do_not_matter():
    values = np.repeat(np.arange(2_000.0), 20)
    np.random.default_rng(0).shuffle(values)
    once = registers(np.arange(2_000.0).view(np.uint64))
    np.testing.assert_array_equal(registers(values.view(np.uint64)), once)


def test_few_known_values_are_counted_alike_with_and_without_windows():
    schema = Schema((Column("x", ColumnType.NUMERIC),))
    survey = Survey(schema)
    survey.update(pa.record_batch({"x": [0.0, 1.0, 2.0, -0.0]}))
    layout = survey.layout("b")
    counts = []
    for values in ([0.0, -0.0, 1.0], [0.0, 1.0, 7.5]):
        made = Profiler(layout)
        made.update(pa.record_batch({"x": values}))
        counts.append(int(np.round(estimate(made.finish()["x"]["registers"][0]))))
    assert counts == [2, 3]
