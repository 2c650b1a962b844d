"""Every metric agrees with its exact counterpart, to nine digits or within its stated bound.

What each is held against stands in ``benchmarks/counterparts.py``, one line a metric.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks import counterparts
from benchmarks.agreement import PAIRS, compare, unnamed
from benchmarks.counterparts import COUNTERPARTS, EXACT, WITHOUT, Gap
from benchmarks.samples import KINDS, Words

from tidegauge.metrics import find_metric


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.lower())
def test_metrics_agree_with_their_counterparts(kind):
    tallies = compare(kind, strict=True)
    assert {name: t.pairs for name, t in tallies.items() if t.pairs < PAIRS} == {}


def test_a_metric_has_a_counterpart_or_a_reason_why_not():
    missing, gone = unnamed()
    assert not missing, "add a row to COUNTERPARTS in benchmarks/counterparts.py, or why to WITHOUT"
    assert not gone, "these are no metrics any more"
    assert all(WITHOUT.values())


def test_a_metric_that_is_wrong_in_the_ninth_digit_is_found(monkeypatch):
    def wrong(name):
        metric = find_metric(name)
        if name != "hellinger":
            return metric
        return replace(metric, compute=lambda now, then: metric.compute(now, then) + 2e-9)

    monkeypatch.setattr(counterparts, "find_metric", wrong)
    with pytest.raises(AssertionError, match="hellinger"):
        compare(Words, strict=True)


def test_a_difference_is_held_against_the_side_it_lies_on():
    row = next(row for row in COUNTERPARTS if row.bound is EXACT)
    assert Gap(row, found=1.5, exact=1.0, below=0.1, above=0.5).part == 1.0
    assert Gap(row, found=0.5, exact=1.0, below=0.1, above=0.5).part == 5.0
    assert Gap(row, found=0.5, exact=1.0, below=0.0, above=0.5).part == float("inf")
    assert Gap(row, found=1.0, exact=1.0, below=0.0, above=0.0).part == 0.0
