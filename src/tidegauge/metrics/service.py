"""Service: how fast, how much and how often in vain the model answered."""

from __future__ import annotations

import numpy as np

from tidegauge.metrics.quality import quantile
from tidegauge.metrics.registry import Compute, Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.significance import share_rise_p, share_variance
from tidegauge.profile import NumericBins
from tidegauge.profile.profile import ROWS, SERVICE
from tidegauge.schema import ColumnType, Role

_NUMERIC = frozenset({ColumnType.NUMERIC})
_LATENCY = frozenset({Role.LATENCY})
#: What a latency of nothing is taken for on the logarithmic scale.
_SMALL = 1e-9


def _slower_p(level: float) -> Compute:
    """p-value that a quantile rose: more records than before above the baseline's own quantile.

    The share of records above the bin edge next to the baseline's quantile is compared, so no
    shape of the distribution is assumed.
    """

    def p_value(current: View, reference: View) -> Values:
        bins = reference.bins
        assert isinstance(bins, NumericBins)
        gaps = np.abs(np.cumsum(reference.shares, axis=-1) - level)
        edge = np.nan_to_num(gaps, nan=np.inf)[..., :-1].argmin(axis=-1)
        above = np.arange(bins.size) > edge[..., None]
        return share_rise_p(
            (current["counts"] * above).sum(axis=-1),
            current.present,
            (reference["counts"] * above).sum(axis=-1),
            reference.present,
        )

    return p_value


def quantile_noise(view: View, level: float) -> Values:
    """Return the sampling variance of the logarithm of a quantile: (window, segment).

    From the quantiles one standard error of the rank to both sides.
    """
    reach = np.sqrt(level * (1 - level) / view.present)
    ends = [quantile(view, np.clip(level + side * reach, 0.0, 1.0)) for side in (-1, 1)]
    low, high = (np.log(np.maximum(end, _SMALL)) for end in ends)
    noise: Values = ((high - low) / 2) ** 2
    return noise


def _latency_quantile(name: str, level: float, judged: bool = False) -> None:
    def compute(current: View, reference: View) -> Values:
        return quantile(current, level)

    compute.__doc__ = (
        f"{level:.0%} quantile of the latency, exact to within its bin.\n\n"
        "As ``numpy.quantile``; the two records beside the rank are each within their bin."
    )
    metric(
        name,
        Family.SERVICE,
        types=_NUMERIC,
        roles=_LATENCY,
        needs=("counts", "minimum"),
        unit="column",
        scale=Scale.LOG,
        judged=judged,
        minimum_effect=0.2,
        relative=True,
        noise=lambda view: quantile_noise(view, level),
        p_value=_slower_p(level),
        uses_reference=False,
    )(compute)


_latency_quantile("latency_p50", 0.5)
_latency_quantile("latency_p95", 0.95, judged=True)
_latency_quantile("latency_p99", 0.99)


@metric(
    "latency_mean",
    Family.SERVICE,
    types=_NUMERIC,
    roles=_LATENCY,
    needs=("sums",),
    unit="column",
    scale=Scale.LOG,
    minimum_effect=0.2,
    relative=True,
    uses_reference=False,
)
def latency_mean(current: View, reference: View) -> Values:
    """Mean latency, from exact sums."""
    total: Values = current["sums"].sum(axis=-1)
    return np.where(current.present > 0, total / current.present, np.nan)


@metric(
    "throughput",
    Family.SERVICE,
    group=ROWS,
    needs=("n", "minimum"),
    unit="1/s",
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    minimum_effect=0.2,
    relative=True,
    noise=lambda view: 1.0 / np.maximum(view.rows, 1),
    uses_reference=False,
)
def throughput(current: View, reference: View) -> Values:
    """Records per second: over the window's width, or from the first record to the last.

    Without windows it is not defined for fewer than two different times.
    """
    if current.profile.width is not None:
        return current.rows / current.profile.width.total_seconds()
    seconds = (current["maximum"] - current["minimum"]) / 1e6
    rate: Values = np.where(seconds > 0, current.rows / seconds, np.nan)
    return rate


@metric(
    "error_share",
    Family.SERVICE,
    group=SERVICE,
    needs=("status_known", "errors"),
    unit="share",
    scale=Scale.ARCSINE,
    judged=True,
    minimum_effect=0.005,
    noise=lambda view: share_variance(view["status_known"]),
    p_value=lambda now, then: share_rise_p(
        now["errors"], now["status_known"], then["errors"], then["status_known"]
    ),
    uses_reference=False,
)
def error_share(current: View, reference: View) -> Values:
    """Share of the records with a status whose status tells of a failure."""
    known = current["status_known"]
    share: Values = np.where(known > 0, current["errors"] / known, np.nan)
    return share
