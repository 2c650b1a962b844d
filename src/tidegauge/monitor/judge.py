"""The verdict: whether a window lies outside what the baseline leads one to expect.

Every judged statistic becomes a p-value under "nothing changed"; those of one column are combined
into one; the budget's share of the window is spent over the columns and the model's own metrics.
Parts of it go to the mean of the last two windows, and of the last seven, for drift too slow to
show in one. A change smaller than the metric's minimum effect is never an alarm, however
significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Direction, Values
from tidegauge.metrics.result import State
from tidegauge.monitor.budget import combine
from tidegauge.monitor.expectation import Expectation
from tidegauge.monitor.policy import Policies
from tidegauge.monitor.scales import back
from tidegauge.monitor.shares import Entry, Share, Strength, at, share_out
from tidegauge.monitor.spans import Deviations, SpanTest, Track, span, span_test
from tidegauge.monitor.statistics import Expectations, Statistic, certain, is_judged, key, statistic
from tidegauge.monitor.words import few, moved, moved_slowly, short, together

#: Shares of a window's level: for the window by itself, the last two, and a week (or a day).
ALONE, PAIR, SLOW = 0.45, 0.45, 0.1
#: A slow change counts from this share of the minimum effect on, since it stays.
SLOW_EFFECT = 0.5
#: So many times may a short baseline widen what an alarm needs; beyond, it is too short.
WIDEST = 2.0

_STATES = np.array([s.value for s in State], dtype=object)
_OK, _ALARM, _TOO_FEW, _NOT = range(4)
_Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """A series with its expectation, its band and its verdict; all (window, segment).

    ``lower`` and ``upper`` are NaN where that side, or the whole metric, is not judged.
    ``spread`` is the standard deviation of the value about what is expected, in the metric's
    unit; ``level`` the share of the budget that its p-value must not pass; ``reason`` says in
    words what the numbers cannot, or is None.
    """

    series: Series
    expected: Values
    lower: Values
    upper: Values
    p_value: Values
    effect: Values
    state: NDArray[np.object_]
    spread: Values
    level: Values
    reason: NDArray[np.object_]

    @property
    def alarms(self) -> int:
        """Number of alarms."""
        return int((self.state == State.ALARM.value).sum())


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What judging some windows came to.

    Parameters
    ----------
    judged : list of Judged
        In the order of the series.
    deviations : Deviations
        How far these windows and those before lay from what was expected, for later ones.
    """

    judged: list[Judged]
    deviations: Deviations


@dataclass(frozen=True, eq=False)
class _Test:
    """One judged series on its way to a verdict; (window, segment, part) unless said otherwise."""

    series: Series
    expectation: Expectation
    y: Statistic
    expected: Values  # by level and seasons
    certain: _Flags  # (window, segment)
    short: NDArray[np.int64]  # (segment, part): baseline windows that are wanting
    minimum: Values  # (window, segment)
    weight: float

    @property
    def n(self) -> Values:
        """Records that the value rests on: (window, segment, 1)."""
        return self.series.n_current[..., None].astype(np.float64)

    @property
    def parts(self) -> int:
        """Number of parts."""
        return int(self.expected.shape[-1])

    @property
    def side(self) -> int:
        """Which deviations count: 1 greater ones, -1 smaller ones, 0 both."""
        metric = self.series.metric
        if metric.linear is not None or metric.direction is Direction.NEITHER:
            return 0
        return 1 if metric.direction is Direction.LOWER_IS_BETTER else -1

    @property
    def now(self) -> Values:
        """The parts in the metric's unit."""
        if self.series.linear is None:
            return self.series.value[..., None]
        return self.back(self.y.value)

    def back(self, y: Values) -> Values:
        """Carry parts from the scale of judging to the metric's unit."""
        return back(self.series.metric.scale, y, self.n)


class _Span(NamedTuple):
    """A test over several windows: its level, and the share of the minimum effect it needs."""

    windows: int
    level: float
    effect: float


def judge(
    series: Sequence[Series],
    known: Expectations,
    starts: NDArray[np.int64],
    width: timedelta | None,
    policies: Policies | None = None,
    earlier: Deviations | None = None,
) -> Verdicts:
    """Judge every series of a profile.

    Parameters
    ----------
    series : sequence of Series
        All of one profile, since the budget is that of all tests together.
    known : Expectations
        From the baseline.
    starts : (window,) int64, increasing
    width : timedelta or None
        Of a window; None where one window holds everything.
    policies : Policies, optional
    earlier : Deviations, optional
        Of the windows before these, for what is carried over and for means of several windows.
    """
    policies = policies or Policies()
    whole = policies.false_alarms.level(width)
    alone = whole if width is None else ALONE * whole
    with np.errstate(all="ignore"):
        wanted = _df_wanted(alone / max(len({_unit(s) for s in series}), 1))
        tests = {
            index: _test(one, known[key(one)], starts, policies, wanted)
            for index, one in enumerate(series)
            if key(one) in known and known[key(one)].judged and is_judged(one, policies)
        }
        history = _history(tests, starts, earlier)
        step = 1 if width is None else width // timedelta(microseconds=1)
        single = _Span(1, alone, 1.0)
        moves = _moves(tests, history, starts, step, single)
        strengths = {i: _strength(test, moves[i], single) for i, test in tests.items()}
        shares = _share_out(tests, strengths, alone)
        verdicts = {i: _verdict(t, moves[i], strengths[i], shares[i]) for i, t in tests.items()}
        alarms = {key(t.series): shares[i].alarm for i, t in tests.items()}
        history = history.marked(starts, alarms)
        if width is not None:
            pair = _Span(2, PAIR * whole, 1.0)
            slow = _Span(span(width), SLOW * whole, SLOW_EFFECT)
            for several in (pair, slow):
                verdicts |= _slowly(tests, verdicts, history, starts, step, several)
        judged = [
            verdicts[i] if i in verdicts else _shown(one, known.get(key(one)))
            for i, one in enumerate(series)
        ]
    return Verdicts(judged, history)


def _unit(series: Series) -> str:
    """Name what is tested as one: a column, or one of the model's own metrics."""
    return f"column {series.column.name}" if series.column else series.metric.name


def _test(
    series: Series,
    expectation: Expectation,
    starts: NDArray[np.int64],
    policies: Policies,
    wanted: float,
) -> _Test:
    metric, monitor = series.metric, policies.of(series.metric, series.column)
    y = statistic(series)
    expected = expectation.at(starts)
    df = expectation.df
    short = np.zeros(df.shape, dtype=np.int64)
    if not expectation.sampled:
        lacking = np.where(np.isfinite(df), np.maximum(wanted - df, 0.0), wanted)
        # Each further window is taken to tell as much as those there are do.
        told = np.clip(np.nan_to_num(df / np.maximum(expectation.windows - 1, 1)), 0.5, 1.0)
        short = np.ceil(lacking / told).astype(np.int64)
    least, relative = metric.minimum_effect, metric.relative
    if monitor is not None and monitor.minimum_effect is not None:
        least, relative = monitor.minimum_effect, False
    usual = np.abs(back(metric.scale, expected[..., 0])) if relative else 1.0
    return _Test(
        series,
        expectation,
        y,
        expected,
        certain(series, expectation),
        short,
        np.broadcast_to(least * usual, series.value.shape),
        1.0 if monitor is None else monitor.weight,
    )


def _df_wanted(level: float) -> float:
    """Return the degrees of freedom from which t asks for at most ``WIDEST`` the normal quantile.

    Examples
    --------
    >>> round(_df_wanted(0.001), 1), round(_df_wanted(0.00005), 1)
    (5.3, 7.7)
    """
    grid = np.geomspace(1.0, 1000.0, 1000)
    asked = -special.stdtrit(grid, level / 2)
    return float(grid[int(np.argmax(asked <= -WIDEST * special.ndtri(level / 2)))])


def _history(
    tests: Mapping[int, _Test], starts: NDArray[np.int64], earlier: Deviations | None
) -> Deviations:
    """Put the deviations of these windows behind those of the baseline and of earlier ones."""
    now = {key(t.series): Track.of(t.y.value - t.expected, t.y.variance) for t in tests.values()}
    held = Deviations(starts, now)
    if earlier is not None:
        held = earlier.then(held)
    last = {key(t.series): t.expectation.last for t in tests.values()}
    before = next((one[0] for one in last.values() if len(one[0])), None)
    if before is None:
        return held
    base = {name: Track.of(*one[1:]) for name, one in last.items() if len(one[0])}
    return Deviations(before, base).then(held)


def _moves(
    tests: Mapping[int, _Test],
    history: Deviations,
    starts: NDArray[np.int64],
    step: int,
    several: _Span,
) -> dict[int, SpanTest]:
    """Test the last windows of every series."""
    out = {}
    for i, test in tests.items():
        metric = test.series.metric
        if several.windows > 1 and (not metric.slow or test.expectation.sampled):
            continue
        name, known = key(test.series), test.expectation
        found = span_test(history, name, starts, known, step, test.side, several.windows)
        out[i] = replace(found, p=np.where(test.short > 0, np.nan, found.p))
    return out


def _strength(test: _Test, move: SpanTest, several: _Span) -> Strength:
    """Weigh one series by its parts' p-values and by how large their changes are."""
    if several.windows == 1:
        change = test.now - test.back(test.expected + move.carried)
    else:
        change = test.back(move.expected + move.mean) - test.back(move.expected + move.carried)
    large = np.abs(change) >= several.effect * test.minimum[..., None]
    p_large = np.where(large & _worse(test.side, change), move.p, np.inf)
    p_large = np.where(np.isnan(p_large) | test.certain[..., None], np.inf, p_large)
    lead = np.argmin(p_large, axis=-1)[..., None]
    p = np.where(test.certain, np.nan, combine(move.p))
    return Strength(p, np.fmin.reduce(move.p, axis=-1), at(p_large, lead), lead)


def _share_out(
    tests: Mapping[int, _Test], strengths: Mapping[int, Strength], level: float
) -> dict[int, Share]:
    """Share a level out over the series that were tested."""
    entries = {
        i: Entry(
            _unit(tests[i].series),
            tests[i].series.metric.family,
            tests[i].weight,
            tests[i].series.metric.weight,
            tests[i].parts,
            strength,
        )
        for i, strength in strengths.items()
    }
    return share_out(entries, level)


def _verdict(test: _Test, move: SpanTest, strength: Strength, share: Share) -> Judged:
    series, lead = test.series, strength.lead
    state = np.where(np.isfinite(series.value), _OK, _NOT)
    state = np.where((series.n_current == 0) & (state == _NOT), _TOO_FEW, state)
    untold = np.isnan(strength.p) & ~test.certain
    state = np.where(untold & (state == _OK), _TOO_FEW, state)
    state = np.where(share.alarm, _ALARM, state)
    expected = test.expected + move.carried
    usual = at(test.back(expected), lead)
    high, low = (at(test.back(expected + side * move.sd), lead) for side in (1, -1))
    spread = (high - low) / 2
    lower, upper = _band(test, move, share)
    reason = np.full(state.shape, None, dtype=object)
    if series.reason is not None:
        reason[:] = series.reason
    few(reason, state == _TOO_FEW, series)
    enough = series.n_current >= series.metric.fewest
    short(reason, (state == _TOO_FEW) & enough & (test.short > 0).all(axis=-1), test.short)
    if test.parts > 1:
        moved(reason, share.alarm, series, lead[..., 0], at(test.now, lead), usual, spread)
        usual = np.broadcast_to(test.expectation.usual, series.value.shape)
    together(reason, share.alarm & (strength.p > share.level))
    return Judged(
        series,
        usual,
        lower,
        upper,
        strength.p,
        series.value - usual,
        _STATES[state],
        np.where(np.isnan(strength.p), np.nan, spread),
        share.level,
        reason,
    )


def _worse(side: int, change: Values) -> _Flags:
    return np.ones(change.shape, dtype=np.bool_) if side == 0 else change * side > 0


def _band(test: _Test, move: SpanTest, share: Share) -> tuple[Values, Values]:
    """What is no alarm by itself, whatever else happens in the window.

    Where several statistics agree, less may be an alarm: such a value bounds itself.
    """
    metric, side, alarm = test.series.metric, test.side, share.alarm
    share_of_one = share.first / (1 if side else 2)
    reach = -special.stdtrit(test.expectation.df, share_of_one[..., None]) * move.sd
    expected, minimum = test.expected + move.carried, test.minimum[..., None]
    usual = test.back(expected)
    high = np.maximum(test.back(expected + reach), usual + minimum)
    low = np.minimum(test.back(expected - reach), usual - minimum)
    judged = np.isfinite(move.p).any(axis=-1)
    value = test.series.value
    if test.series.linear is not None and metric.direction is not Direction.NEITHER:
        nearest = np.fmin.reduce(np.fmin(high - usual, usual - low), axis=-1)
        upper = test.expectation.usual + nearest
        below = alarm & (value < test.expectation.usual)
        above = np.where(alarm & ~below, np.minimum(upper, value), np.maximum(upper, value))
        return np.where(below, value, np.nan), np.where(judged, above, np.nan)
    lower, upper = low[..., 0], high[..., 0]
    above = alarm & (value > usual[..., 0])
    lower, upper = (
        np.where(alarm & ~above, np.maximum(lower, value), lower),
        np.where(above, np.minimum(upper, value), upper),
    )
    nan = np.nan
    return (
        np.where(judged & (side <= 0), lower, nan),
        np.where(judged & (side >= 0), upper, nan),
    )


def _slowly(
    tests: Mapping[int, _Test],
    verdicts: Mapping[int, Judged],
    history: Deviations,
    starts: NDArray[np.int64],
    step: int,
    several: _Span,
) -> dict[int, Judged]:
    """Judge the mean of the last windows; return the verdicts that this changes."""
    moves = _moves(tests, history, starts, step, several)
    strengths = {i: _strength(tests[i], move, several) for i, move in moves.items()}
    shares = _share_out(tests, strengths, several.level)
    return {
        i: _slow_verdict(tests[i], verdicts[i], move, strengths[i], shares[i])
        for i, move in moves.items()
        if shares[i].alarm.any()
    }


def _slow_verdict(
    test: _Test, verdict: Judged, move: SpanTest, strength: Strength, share: Share
) -> Judged:
    alarm, lead = share.alarm & (verdict.state == State.OK.value), strength.lead
    expected = move.expected + move.carried
    high, low = (at(test.back(expected + side * move.sd), lead) for side in (1, -1))
    spread = (high - low) / 2
    mean = at(test.back(move.expected + move.mean), lead)
    usual, windows = at(test.back(expected), lead), at(move.windows, lead)
    reason = verdict.reason.copy()
    moved_slowly(reason, alarm, test.series, lead[..., 0], windows, mean, usual, spread)
    together(reason, alarm & (strength.p > share.level))
    return replace(
        verdict,
        p_value=np.where(alarm, strength.p, verdict.p_value),
        state=np.where(alarm, State.ALARM.value, verdict.state),
        spread=np.where(alarm, spread, verdict.spread),
        level=np.where(alarm, share.level, verdict.level),
        reason=reason,
    )


def _shown(series: Series, expectation: Expectation | None) -> Judged:
    """Show a series that nobody judges."""
    shape = series.value.shape
    nan = np.full(shape, np.nan)
    usual = nan if expectation is None else np.broadcast_to(expectation.usual, shape)
    state = np.where(np.isfinite(series.value), _OK, _NOT)
    state = np.where((series.n_current == 0) & (state == _NOT), _TOO_FEW, state)
    if series.metric.over_segments:
        state = np.where(~series.enough & (state == _NOT), _TOO_FEW, state)
    return Judged(
        series,
        usual,
        nan,
        nan,
        nan if series.p_value is None else series.p_value,
        series.value - usual,
        _STATES[state],
        nan,
        nan,
        np.full(shape, None, dtype=object) if series.reason is None else series.reason.copy(),
    )
