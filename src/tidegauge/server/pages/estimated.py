"""What a model's page says of performance before its labels have come."""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.registry import Direction, Metric
from tidegauge.metrics.result import Basis, Result
from tidegauge.report.estimated import certain, with_interval
from tidegauge.report.format import day, interval, quantity
from tidegauge.server.pages.history import History
from tidegauge.server.pages.lines import Line


def unlabelled(history: History) -> bool:
    """Whether performance was measured in no window of the range."""
    lines = [history.line(one.name) for one in history.judged]
    return not any(np.isfinite(line.value).any() for line in lines)


def guessed(history: History) -> tuple[Metric, Line] | None:
    """Return the metric whose estimates lead, with them; None without estimates in the range.

    How often the outcome comes true beside what was predicted says least before the labels, since
    that is what the estimate itself goes by.
    """
    ordered = sorted(history.judged, key=lambda one: one.name == "bias")
    for metric in ordered:
        line = history.estimate(metric.name)
        if np.isfinite(line.value).any():
            return metric, line
    return None


def newest_guess(history: History) -> tuple[Metric, Result] | None:
    """Return the leading estimate of the newest window, unless that was measured in whole."""
    found = guessed(history)
    if found is None or not len(history.windows):
        return None
    metric, line = found
    last = line.last()
    if last is None or last.value is None or int(line.starts[-1]) != int(history.windows[-1]):
        return None
    measured = history.line(metric.name).at_start(int(line.starts[-1]))
    if measured is not None and measured.value is not None and measured.basis is Basis.FINAL:
        return None
    return metric, last


def guesses_of(history: History) -> tuple[Result, ...]:
    """Return every estimate of the newest window, unless that was measured in whole.

    What no label can change, as the mean score, is none.
    """
    leading = newest_guess(history)
    if leading is None:
        return ()
    start = int(history.windows[-1])
    judged = [one.name for one in history.judged]
    segment = history.asked.segment_json
    names = [metric for metric, _, held in history.chapter.estimated if held == segment]
    ordered = dict.fromkeys([leading[0].name, *judged, *sorted(names)])
    found = [history.estimate(name).at_start(start) for name in ordered]
    held = [one for one in found if one is not None and one.value is not None]
    return tuple(one for one in held if not certain(one))


def probably_worse(metric: Metric, guess: Result) -> bool:
    """Whether all of an estimate's interval is worse than expected, by more than counts."""
    if guess.expected is None or guess.ci_lower is None or guess.ci_upper is None:
        return False
    least = metric.minimum_effect * (abs(guess.expected) if metric.relative else 1.0)
    low, high = guess.expected - least, guess.expected + least
    worse_below = guess.ci_upper < low and metric.direction is not Direction.LOWER_IS_BETTER
    worse_above = guess.ci_lower > high and metric.direction is not Direction.HIGHER_IS_BETTER
    return worse_below or worse_above


def said(history: History) -> tuple[str, bool]:
    """Say how performance is estimated to be in the newest window, and whether that is worse.

    Returns
    -------
    sentence : str
        The second half of one; nothing where there is no estimate.
    worse : bool
    """
    found = newest_guess(history)
    if found is None:
        return "", False
    metric, guess = found
    usual = quantity(guess.expected, guess.unit) if guess.expected is not None else ""
    told = f"{metric.name} is estimated at {with_interval(guess)}"
    told += f", where {usual} was expected" if usual else ""
    return told, probably_worse(metric, guess)


def label_words(history: History, metric: str) -> str:
    """Say, beside a chart, of which windows labels are there; nothing where all have them."""
    guess, line = history.estimate(metric), history.line(metric)
    if not np.isfinite(guess.value).any():
        return ""
    held = np.flatnonzero(np.isfinite(line.value))
    if not len(held):
        return "estimated, no labels yet"
    last = line.result(int(held[-1]))
    words = []
    if last.basis is Basis.PARTIAL:
        words.append(f"a part of the labels on {interval(last.window_start, last.window_end)}")
    if int(guess.starts[-1]) > int(line.starts[held[-1]]) and last.window_end is not None:
        words.append(f"estimated since {day(last.window_end)}")
    return ", ".join(words)
