"""Figure 1: performance estimated under covariate shift, beside NannyML's CBPE and DLE.

For every watched window of every stream the estimate is held against what the labels, which no
estimator was given, then say. Streams are in `estimation_streams.py`, the peer in
`peers_estimation.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

import numpy as np
import pyarrow as pa
from rich.console import Console

from benchmarks import peers_estimation
from benchmarks.estimation_figures import Figure
from benchmarks.estimation_streams import WIDTH, Shift, Stream
from benchmarks.intervals import of_mean
from benchmarks.peers_estimation import KeptStreams
from tidegauge.estimation import Estimator, summarised
from tidegauge.metrics import find_metric
from tidegauge.metrics.registry import View
from tidegauge.profile import Baseline, Layout, Profile, Profiler, Survey
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Task

METRICS = {Task.BINARY: ("roc_auc", "f1", "accuracy"), Task.REGRESSION: ("mae", "rmse")}
LEAST, MOST, QUICKER = 0.92, 0.98, 10


@dataclass(frozen=True)
class Outcome:
    """One metric of one stream: mean absolute error, and share of windows covered."""

    stream: Stream
    metric: str
    error: float
    covered: float
    peer: float | None


def profiled(layout: Layout, rows: pa.Table) -> Profile:
    """Profile records by day, as ``tg.estimate_performance`` does: inputs in the sample only."""
    profiler = Profiler(layout, WIDTH, summarised=summarised(layout.schema))
    for batch in rows.to_batches(max_chunksize=131_072):
        profiler.update(batch)
    return profiler.finish()


def without_labels(rows: pa.Table) -> pa.Table:
    """Return records as they come in: nobody knows yet what happened."""
    at = rows.schema.get_field_index("label")
    return rows.set_column(at, "label", pa.nulls(len(rows), rows.schema.field(at).type))


def learnt(stream: Stream, rows: pa.Table) -> tuple[Estimator, Layout]:
    """Learn from a stream's baseline, the way records go."""
    survey = Survey(stream.schema)
    for batch in rows.to_batches(max_chunksize=131_072):
        survey.update(batch)
    layout = survey.layout("baseline")
    baseline = Baseline(profiled(layout, rows), datetime.now(UTC))
    return Estimator.learn(baseline), layout


def outcomes(stream: Stream, kept: KeptStreams | None) -> Iterator[Outcome]:
    """Estimate a stream's watched windows and hold them against their labels."""
    estimator, layout = learnt(stream, stream.baseline())
    watched = stream.watched()
    found = estimator.estimate(profiled(layout, without_labels(watched))).metrics
    view = View(profiled(layout, watched), PERFORMANCE)
    name = peers_estimation.name_of(stream)
    theirs = {one.stream: one.estimates for one in kept.streams} if kept is not None else {}
    for metric in METRICS[stream.task]:
        true = find_metric(metric).compute(view, view)[:, 0]
        one = found[metric]
        inside = (one.lower[:, 0] <= true) & (true <= one.upper[:, 0])
        peer = None
        if name in theirs:
            peer = float(np.nanmean(np.abs(np.array(theirs[name][metric], dtype=float) - true)))
        error = float(np.abs(one.value[:, 0] - true).mean())
        yield Outcome(stream, metric, error, float(inside.mean()), peer)


def _errors(held: list[Outcome], unit: float) -> Iterator[Figure]:
    for shift in Shift:
        for metric in dict.fromkeys(one.metric for one in held):
            mine = [one for one in held if one.metric == metric and one.stream.shift is shift]
            value = fmean(one.error for one in mine)
            low, high = of_mean([one.error for one in mine])
            pairs = [one.error - one.peer for one in mine if one.peer is not None]
            shown = f"{unit * value:.2f} ({unit * max(low, 0):.2f}–{unit * high:.2f})"
            name = f"{metric}, {shift}: mean absolute error × 100"
            if not pairs:
                yield Figure(name, shown)
                continue
            peer = fmean(one.peer for one in mine if one.peer is not None)
            least, most = of_mean(pairs)
            yield Figure(
                name,
                shown,
                f"≤ {unit * peer:.2f}",
                fmean(pairs) <= 0,
                f"less by {unit * -most:.2f} to {unit * -least:.2f}, {len(pairs)} streams",
            )


def _coverage(held: list[Outcome]) -> Iterator[Figure]:
    for metric in dict.fromkeys(one.metric for one in held):
        shares = [one.covered for one in held if one.metric == metric]
        low, high = of_mean(shares)
        value = fmean(shares)
        mine = [one for one in held if one.metric == metric]
        each = [[one.covered for one in mine if one.stream.shift is shift] for shift in Shift]
        by_shift = ", ".join(f"{100 * fmean(covered):.0f}" for covered in each)
        yield Figure(
            f"{metric}: windows inside the 95 % interval",
            f"{100 * value:.1f} % ({100 * low:.1f}–{min(100 * high, 100):.1f})",
            f"{100 * LEAST:.0f}–{100 * MOST:.0f} %",
            LEAST <= value <= MOST,
            f"by kind of shift {by_shift} %; {20 * len(shares)} windows",
        )


def _seconds(task: Task) -> tuple[float, float, float]:
    """Processor time for 1M records of either side: to learn, to profile, and to estimate."""
    stream = peers_estimation.large(task)
    baseline, watched = stream.baseline(), without_labels(stream.watched())
    started = time.process_time()
    estimator, layout = learnt(stream, baseline)
    learning = time.process_time()
    profile = profiled(layout, watched)
    profiling = time.process_time()
    found = estimator.estimate(profile)
    assert found.why_not is None
    ended = time.process_time()
    return learning - started, profiling - learning, ended - profiling


def _times(kept: KeptStreams | None, console: Console) -> Iterator[Figure]:
    """Times beside the peer's: from records to estimates, and once a window is profiled anyway."""
    theirs = {one.stream: one for one in kept.streams} if kept is not None else {}
    for task, what in ((Task.BINARY, "CBPE"), (Task.REGRESSION, "DLE")):
        with console.status(f"1M records a side, {task}"):
            learning, profiling, estimating = _seconds(task)
        peer = theirs.get(peers_estimation.name_of(peers_estimation.large(task)))
        if peer is None or peer.fitting is None or peer.estimating is None:
            yield Figure(f"{task}, 1M records: time", f"{profiling + estimating:.1f} s")
            continue
        for name, mine, other, note in (
            (
                "learn from 1M, estimate 1M",
                learning + profiling + estimating,
                peer.fitting + peer.estimating,
                f"{learning:.1f} s to profile and learn, {profiling:.1f} s to profile, "
                f"{estimating:.1f} s to estimate",
            ),
            (
                "estimate 1M that are profiled anyway",
                estimating,
                peer.estimating,
                "as in the server; all metrics with intervals, in 20 windows",
            ),
        ):
            yield Figure(
                f"{task}: {name}",
                f"{mine:.2f} s",
                f"≤ {other / QUICKER:.2f} s",
                other / mine >= QUICKER,
                f"{other / mine:.0f} × quicker than {what}'s {other:.1f} s (processor); {note}",
            )


def run(console: Console) -> list[Figure]:
    """Measure figure 1: errors beside the peer's, coverage, time."""
    kept = peers_estimation.kept()
    held: list[Outcome] = []
    for stream in peers_estimation.streams():
        with console.status(f"{stream.task}, {stream.shift}, stream {stream.seed}"):
            held += outcomes(stream, kept)
    figures: list[Figure] = []
    for task in METRICS:
        mine = [one for one in held if one.stream.task is task]
        figures += _errors(mine, 100.0)
    figures += _coverage(held)
    figures += _times(kept, console)
    return figures
