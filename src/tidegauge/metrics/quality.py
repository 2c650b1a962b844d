"""Data quality: what is missing, new, out of range or unreadable, and a column's plain figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.significance import share_rise_p, share_variance
from tidegauge.profile import CategoryBins, NumericBins
from tidegauge.profile.columns import centre
from tidegauge.profile.distinct import estimate
from tidegauge.profile.profile import ROWS
from tidegauge.schema import ColumnType, Role

_ALL = frozenset(ColumnType)
#: Of labels and outcomes that are not there yet tells ``label_coverage``.
_PROMPT = frozenset(Role) - {Role.LABEL, Role.OUTCOME}
_NUMBERS = frozenset({ColumnType.NUMERIC, ColumnType.DATETIME})
_PLAIN = frozenset({ColumnType.NUMERIC})
_WORDS = frozenset({ColumnType.CATEGORICAL, ColumnType.BOOLEAN})


def share_noise(view: View) -> Values:
    """Sampling variance of a share of all records, after the arcsine transform."""
    return share_variance(view.rows)


def _share(part: Values, whole: Values) -> Values:
    out: Values = np.where(whole > 0, part / whole, np.nan)
    return out


def _rise_p(name: str) -> Callable[[View, View], Values]:
    def p_value(current: View, reference: View) -> Values:
        return share_rise_p(current[name], current.rows, reference[name], reference.rows)

    return p_value


@metric(
    "missing_share",
    Family.QUALITY,
    types=_ALL,
    roles=_PROMPT,
    needs=("missing",),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.01,
    noise=share_noise,
    p_value=_rise_p("missing"),
    uses_reference=False,
)
def missing_share(current: View, reference: View) -> Values:
    """Share of records in which the value is missing (null or NaN)."""
    return _share(current["missing"], current.rows)


def _unseen_p(current: View, reference: View) -> Values:
    """Undefined where the baseline had no value at all: then every value is new."""
    known = reference.present[0, 0] > 0
    p = share_rise_p(current["unseen"], current.rows, reference["unseen"], reference.rows)
    return p if known else np.full(current.rows.shape, np.nan)


@metric(
    "unseen_share",
    Family.QUALITY,
    types=_WORDS,
    needs=("unseen",),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.01,
    noise=share_noise,
    p_value=_unseen_p,
    uses_reference=False,
)
def unseen_share(current: View, reference: View) -> Values:
    """Share of records whose value never occurred in the baseline.

    Not defined where the baseline had more than 262,144 different values.
    """
    bins = reference.bins
    if isinstance(bins, CategoryBins) and bins.vocabulary is None:
        return np.full(current.rows.shape, np.nan)
    return _share(current["unseen"], current.rows)


def _outside(view: View) -> Values:
    bins = view.bins
    assert isinstance(bins, NumericBins)
    inside = view["counts"][..., bins.inside].sum(axis=-1)
    out: Values = view.present - inside + view["infinite"]
    return out


@metric(
    "out_of_range_share",
    Family.QUALITY,
    types=_NUMBERS,
    needs=("counts", "infinite"),
    unit="share",
    scale=Scale.ARCSINE,
    noise=share_noise,
    uses_reference=False,
)
def out_of_range_share(current: View, reference: View) -> Values:
    """Share of records whose value lies outside the schema's range, or the baseline's own."""
    return _share(_outside(current), current.rows)


@metric(
    "infinite_share",
    Family.QUALITY,
    types=_PLAIN,
    needs=("infinite",),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.01,
    noise=share_noise,
    p_value=_rise_p("infinite"),
    uses_reference=False,
)
def infinite_share(current: View, reference: View) -> Values:
    """Share of records whose value is plus or minus infinity; these are in no bin and no mean."""
    return _share(current["infinite"], current.rows)


@metric(
    "type_error_share",
    Family.QUALITY,
    types=_NUMBERS,
    needs=("type_errors",),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.001,
    noise=share_noise,
    p_value=_rise_p("type_errors"),
    uses_reference=False,
)
def type_error_share(current: View, reference: View) -> Values:
    """Share of records whose value is not of the column's type."""
    return _share(current["type_errors"], current.rows)


@metric(
    "row_count",
    Family.QUALITY,
    group=ROWS,
    needs=("n",),
    unit="rows",
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    judged=True,
    minimum_effect=0.2,
    relative=True,
    fewest=0,
    noise=lambda view: 1.0 / np.maximum(view.rows, 1),
    uses_reference=False,
)
def row_count(current: View, reference: View) -> Values:
    """Number of records."""
    return current.rows.astype(np.float64)


@metric(
    "distinct_count",
    Family.QUALITY,
    types=_PLAIN | _WORDS,
    needs=("registers",),
    unit="values",
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    uses_reference=False,
)
def distinct_count(current: View, reference: View) -> Values:
    """Number of distinct values, by HyperLogLog (standard error 3.3 %); of the whole only.

    Around 2,300 values, where it passes from linear counting to the harmonic mean, the standard
    error is 3.7 %. Nearly always it is within four of them, or one value off.
    """
    out = np.full(current.rows.shape, np.nan)
    out[:, 0] = np.round(estimate(current["registers"]))
    return out


@metric(
    "mean",
    Family.QUALITY,
    types=_PLAIN,
    needs=("sums",),
    unit="column",
    direction=Direction.NEITHER,
    uses_reference=False,
)
def mean(current: View, reference: View) -> Values:
    """Mean of the finite values, from exact sums.

    To nine digits of the largest absolute value.
    """
    total = current["sums"].sum(axis=-1)
    out: Values = np.where(current.present > 0, total / current.present, np.nan)
    return out


@metric(
    "std",
    Family.QUALITY,
    types=_PLAIN,
    needs=("squares",),
    unit="column",
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    uses_reference=False,
)
def std(current: View, reference: View) -> Values:
    """Standard deviation of the finite values (n − 1), from exact sums of squares.

    The squares are summed about the middle of the baseline, so that they cancel only where the
    values have left it. With the mean d deviations from there and D from zero, the relative error
    of the variance is some 1e-16 (1 + d² + d D) (n times that at worst): nine digits up to about
    d = 1,000. Where sums cancel altogether, the value is held to what minimum, maximum and mean
    allow. Of values beyond 1e-150 and 1e150 no double holds the squares. Source: Bhatia and Davis
    (2000).
    """
    bins = current.bins
    assert isinstance(bins, NumericBins)
    n = current.present
    mean = current["sums"].sum(axis=-1) / n
    squares = current["squares"] - n * (mean - centre(bins)) ** 2
    low, high = current["minimum"], current["maximum"]
    least, most = (high - low) ** 2 / 2, n * np.maximum((high - mean) * (mean - low), 0.0)
    spread = np.sqrt(np.clip(squares, least, np.maximum(least, most)) / (n - 1))
    out: Values = np.where(n > 1, spread, np.nan)
    return out


def _extreme(name: str, what: str) -> None:
    def compute(current: View, reference: View) -> Values:
        out: Values = np.where(np.isfinite(current[what]), current[what], np.nan)
        return out

    compute.__doc__ = f"{what.capitalize()} of the finite values.\n\nIt is exact."
    metric(
        name,
        Family.QUALITY,
        types=_PLAIN,
        needs=(what,),
        unit="column",
        direction=Direction.NEITHER,
        uses_reference=False,
    )(compute)


_extreme("min", "minimum")
_extreme("max", "maximum")


def quantile(view: View, level: float | Values) -> Values:
    """Return a quantile of a numeric column, by straight interpolation as ``numpy.quantile``.

    The two records beside the rank ``level · (n − 1)`` are each taken within their bin, the
    records of a bin spread evenly between its edges, minimum and maximum. So the error is at most
    the width of these bins, weighted as the records are; where they hold a single value each,
    there is none. Outside the baseline's range one bin reaches to the minimum or maximum.

    Parameters
    ----------
    view : View
        Of a column with numeric bins.
    level : float or (window, segment) float64
        In 0–1.

    Returns
    -------
    (window, segment) float64
    """
    counts = view["counts"].astype(np.float64)
    through = np.cumsum(counts, axis=-1)
    rank = level * (view.present - 1)
    lower, upper = (_record(view, counts, through, k) for k in (np.floor(rank), np.ceil(rank)))
    out: Values = np.where(
        view.present > 0, lower + (upper - lower) * (rank - np.floor(rank)), np.nan
    )
    return out


def _record(view: View, counts: Values, through: Values, rank: Values) -> Values:
    """Value of the record of a rank, the smallest being 0: (window, segment)."""
    bins = view.bins
    assert isinstance(bins, NumericBins)
    at = np.minimum((through <= rank[..., None]).sum(axis=-1), bins.size - 1)
    held = np.take_along_axis(counts, at[..., None], axis=-1)[..., 0]
    past = np.take_along_axis(through, at[..., None], axis=-1)[..., 0] - held
    low = np.maximum(np.append(-np.inf, bins.edges)[at], view["minimum"])
    high = np.minimum(np.append(bins.edges, np.inf)[at], view["maximum"])
    if bins.exact:
        inner = (at > 0) & (at < bins.size - 1)
        low = np.where(inner, high, low)
    inside = (rank + 0.5 - past) / np.maximum(held, 1)
    value: Values = np.clip(low * (1.0 - inside) + high * inside, low, high)
    return value


def _quantile_metric(name: str, level: float) -> None:
    def compute(current: View, reference: View) -> Values:
        return quantile(current, level)

    compute.__doc__ = (
        f"{level:.0%} quantile of the finite values, exact to within its bin.\n\n"
        "As ``numpy.quantile``; the two records beside the rank are each within their bin."
    )
    metric(
        name,
        Family.QUALITY,
        types=_PLAIN,
        needs=("counts", "minimum"),
        unit="column",
        direction=Direction.NEITHER,
        uses_reference=False,
    )(compute)


for _name, _level in (("p05", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75), ("p95", 0.95)):
    _quantile_metric(_name, _level)
