"""Estimates of performance as results: beside what was measured, and in place of a part of it.

Estimates are shown and not judged. A window with a part of its labels is judged by the records
that have one, and its value becomes what all records are reckoned to come to; where that is no
alarm, since those who were labelled first are no fair sample, the alarm is withheld until more
labels come. So estimates can take an alarm away, and never make one: the budget of false alarms
stands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.estimation.estimates import Estimate, Estimates
from tidegauge.estimation.estimator import Estimator
from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import Family, Scale, Values
from tidegauge.metrics.result import State
from tidegauge.monitor.judge import Judged
from tidegauge.monitor.tables import interval_of
from tidegauge.monitor.words import mean_windows
from tidegauge.profile import Profile
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.schema import Role

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What was measured, corrected where labels are wanting, and what is estimated beside it.

    Parameters
    ----------
    judged : list of Judged
    guesses : list of Judged
        Of all records, whatever is known of their labels.
    why_not : str or None
        Why nothing could be estimated.
    """

    judged: list[Judged]
    guesses: list[Judged]
    why_not: str | None = None


def outlook(
    judged: Sequence[Judged],
    profile: Profile,
    estimator: Estimator,
    partial: NDArray[np.bool_],
    *,
    guess: bool = True,
) -> Outlook:
    """Estimate the performance of windows, and correct what a part of the labels says of it.

    Nothing of this is judged, so a window never waits for it: where estimating fails, that is
    logged, and the results are returned as they are.

    Parameters
    ----------
    judged : sequence of Judged
    profile : Profile
    estimator : Estimator
        Of the baseline that the profile was made with.
    partial : (window, segment) bool
        Where a part of the labels is there.
    guess : bool
        Whether to estimate without the windows' labels too.
    """
    held = list(judged)
    if estimator.why_not is not None:
        return Outlook(held, [], estimator.why_not)
    try:
        guesses, why_not = [], None
        if guess:
            found = estimator.estimate(without_labels(profile))
            guesses, why_not = estimated(held, found, profile), found.why_not
        windows = np.flatnonzero(partial.any(axis=1))
        if len(windows):
            known = estimator.estimate(profile.select(windows))
            held = corrected(held, _spread_out(known, windows, profile), partial)
    except Exception as error:
        _log.exception("performance could not be estimated; the windows are judged without")
        return Outlook(list(judged), [], f"estimating failed: {error!r}")
    return Outlook(held, guesses, why_not)


def without_labels(profile: Profile) -> Profile:
    """Return a profile as it was before any label of its records was known."""
    arrays = dict(profile.arrays)
    if PERFORMANCE in arrays:
        arrays[PERFORMANCE] = {
            name: np.zeros_like(array) for name, array in arrays[PERFORMANCE].items()
        }
    sample, label = profile.sample, profile.layout.schema.role(Role.LABEL)
    if sample is not None and label is not None and label.name in sample.column_names:
        at = sample.column_names.index(label.name)
        kind = sample.schema.field(at).type
        sample = sample.set_column(at, label.name, pa.nulls(len(sample), kind))
    return replace(profile, arrays=arrays, sample=sample)


def _spread_out(found: Estimates, windows: NDArray[np.int64], profile: Profile) -> Estimates:
    """Return the estimates of some windows over all windows of a profile."""

    def over(values: Values) -> Values:
        out = np.full(profile.rows.shape, np.nan)
        out[windows] = values
        return out

    metrics = {
        name: Estimate(over(one.value), over(one.lower), over(one.upper))
        for name, one in found.metrics.items()
    }
    return replace(found, metrics=metrics, coverage=over(found.coverage))


def estimated(judged: Iterable[Judged], estimates: Estimates, profile: Profile) -> list[Judged]:
    """Return the estimates of performance as results that nothing bounds.

    Parameters
    ----------
    judged : iterable of Judged
        What was measured of the same windows; metrics without an estimate are left out.
    estimates : Estimates
        Made without the windows' own labels.
    profile : Profile
    """
    rows = profile.rows.astype(np.int64)
    out = []
    for one in judged:
        estimate = _of(estimates.metrics, one.series)
        if estimate is not None:
            out.append(_shown(one, estimate, rows))
    return out


def unjudged(series: Series, usual: Values) -> Judged:
    """Return a series as a result that nothing bounds.

    Parameters
    ----------
    series : Series
    usual : (window, segment) float64
        What it is in the reference; of one window, or as many as the series has.
    """
    none = np.full(series.value.shape, np.nan)
    few = ~np.isfinite(series.value)
    expected = np.broadcast_to(usual, none.shape)
    state = np.where(few, State.TOO_FEW.value, State.OK.value).astype(object)
    reason = np.full(none.shape, None, dtype=object)
    effect = series.value - expected
    return Judged(series, expected, none, none, none, effect, state, none, none, reason)


def corrected(
    judged: Sequence[Judged], estimates: Estimates, partial: NDArray[np.bool_]
) -> list[Judged]:
    """Return the results with the values of windows that have a part of their labels corrected.

    Parameters
    ----------
    judged : sequence of Judged
    estimates : Estimates
        Made with the windows' own labels.
    partial : (window, segment) bool
    """
    return [_mended(one, estimates, partial) for one in judged]


def _of(metrics: Mapping[str, Estimate], series: Series) -> Estimate | None:
    if series.column is not None or series.metric.family is not Family.PERFORMANCE:
        return None
    return metrics.get(series.metric.name)


def _shown(one: Judged, estimate: Estimate, rows: NDArray[np.int64]) -> Judged:
    """Return an estimate with what was expected of the measured value, and no verdict."""
    none = np.full(estimate.value.shape, np.nan)
    series = replace(
        one.series,
        value=np.where(rows > 0, estimate.value, np.nan),
        p_value=None,
        noise=None,
        n_current=rows,
        linear=None,
        interval=(estimate.lower, estimate.upper),
    )
    return replace(
        one,
        series=series,
        expected=np.broadcast_to(one.expected, none.shape),
        lower=none,
        upper=none,
        p_value=none,
        effect=estimate.value - one.expected,
        state=np.full(none.shape, State.OK.value, dtype=object),
        spread=none,
        level=none,
        reason=np.full(none.shape, None, dtype=object),
    )


def _mended(one: Judged, estimates: Estimates, partial: NDArray[np.bool_]) -> Judged:
    estimate = _of(estimates.metrics, one.series)
    if estimate is None:
        return one
    where = partial & np.isfinite(estimate.value) & (one.series.n_current > 0)
    if not where.any():
        return one
    lower, upper = interval_of(one.series)
    measured = one.series.value
    value = np.where(where, estimate.value, measured)
    series = replace(
        one.series,
        value=value,
        interval=(
            np.where(where, estimate.lower, lower),
            np.where(where, estimate.upper, upper),
        ),
    )
    reason = _told(one, estimates.coverage, measured, where)
    withheld = where & (one.state == State.ALARM.value) & _explained(one, value)
    for place in zip(*np.nonzero(withheld), strict=True):
        reason[place] = f"no alarm, as those labelled so far are no fair sample: {reason[place]}"
    return replace(
        one,
        series=series,
        effect=np.where(where & ~np.isnan(one.effect), value - one.expected, one.effect),
        state=np.where(withheld, State.OK.value, one.state),
        reason=reason,
    )


def _explained(one: Judged, value: Values) -> NDArray[np.bool_]:
    """Return where a corrected value is no alarm: (window, segment).

    Within the band, where the window was judged by itself; and wherever less than half is left of
    the distance from what was expected.
    """
    far = np.abs(one.series.value - one.expected)
    halved = np.abs(value - one.expected) < 0.5 * far
    inside = ~(value < one.lower) & ~(value > one.upper)
    alone = np.vectorize(lambda text: mean_windows(text) == 0, otypes=[bool])(one.reason)
    explained: NDArray[np.bool_] = halved | (inside & alone)
    return explained


def _told(
    one: Judged, coverage: Values, measured: Values, where: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Say which part of the labels is there, and what the records with one come to alone."""
    reason = one.reason.copy()
    shares = one.series.metric.scale is Scale.ARCSINE or one.series.metric.unit == "share"
    for place in zip(*np.nonzero(where), strict=True):
        if one.state[place] == State.TOO_FEW.value:
            continue
        alone = f"{measured[place]:.1%}" if shares else f"{measured[place]:.3g}"
        told = f"labels of {coverage[place]:.0%} of the records, by themselves {alone}"
        reason[place] = told if reason[place] is None else f"{reason[place]}; {told}"
    return reason
