"""Margins of non-inferiority: how much worse a challenger may be and still be no worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

from tidegauge.errors import BadInput


@dataclass(frozen=True)
class Margin:
    """How much worse is not worse.

    Parameters
    ----------
    size : float
        Above zero; in the metric's unit, or a share of the champion's value.
    relative : bool
        Whether it is a share of the champion's value.

    Examples
    --------
    >>> str(Margin(0.01)), str(Margin(0.2, relative=True))
    ('0.01', '20%')
    """

    size: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.size * 100:g}%" if self.relative else f"{self.size:g}"


_FIFTH, _TWENTIETH = Margin(0.2, relative=True), Margin(0.05, relative=True)

#: What is taken where nobody sets a margin. Of columns with a role, by that role's metric.
DEFAULTS: Mapping[str, Margin] = {
    "roc_auc": Margin(0.01),
    "average_precision": Margin(0.02),
    "accuracy": Margin(0.01),
    "precision": Margin(0.02),
    "recall": Margin(0.02),
    "f1": Margin(0.02),
    "log_loss": _TWENTIETH,
    "brier": _TWENTIETH,
    "calibration_error": Margin(0.02),
    "mae": _TWENTIETH,
    "rmse": _TWENTIETH,
    "mse": Margin(0.1, relative=True),
    "mape": _TWENTIETH,
    "r2": Margin(0.02),
    "error_share": Margin(0.005),
    "latency_mean": _FIFTH,
    "latency_p50": _FIFTH,
    "latency_p95": _FIFTH,
    "latency_p99": _FIFTH,
    "resource_mean": _FIFTH,
    "outcome_mean": _TWENTIETH,
    "demographic_parity_difference": Margin(0.05),
    "equal_opportunity_difference": Margin(0.05),
    "false_positive_rate_difference": Margin(0.05),
    "equalized_odds_difference": Margin(0.05),
    "predictive_parity_difference": Margin(0.05),
    "accuracy_difference": Margin(0.05),
    "mean_prediction_difference": _FIFTH,
    "mae_difference": _FIFTH,
}

#: What takes a metric out of the verdict.
OFF = "off"


def parse_margin(name: str, told: object) -> Margin | None:
    """Read a margin: a number in the metric's unit, ``"5%"`` of the champion's value, or ``"off"``.

    Returns
    -------
    Margin or None
        None for ``"off"``.

    Raises
    ------
    BadInput
        If it is no number above zero.

    Examples
    --------
    >>> parse_margin("mae", "5%"), parse_margin("roc_auc", 0.01), parse_margin("f1", "off")
    (Margin(size=0.05, relative=True), Margin(size=0.01, relative=False), None)
    """
    if told is None or (isinstance(told, str) and told.strip().lower() == OFF):
        return None
    if isinstance(told, Margin):
        return _checked(name, told.size, told.relative)
    text = str(told).strip()
    relative = text.endswith("%")
    try:
        size = float(text.removesuffix("%"))
    except ValueError:
        raise BadInput(
            f"margin of {name}: {text[:40]!r} is no number; write 0.01, 5% of the champion's "
            "value, or off",
            code="bad_margin",
        ) from None
    return _checked(name, size / 100 if relative else size, relative)


def _checked(name: str, size: float, relative: bool) -> Margin:
    if not isfinite(size) or size <= 0:
        raise BadInput(
            f"margin of {name}: {size:g} is not above zero; a margin says how much worse the "
            "challenger may be, whichever way is worse, so write it without a sign",
            code="bad_margin",
        )
    if relative and size >= 10:
        raise BadInput(f"margin of {name}: {size * 100:g}% allows anything", code="bad_margin")
    return Margin(size, relative)


def parse_margins(told: Iterable[str]) -> dict[str, str]:
    """Read ``metric=margin`` as the command line and addresses have it.

    Raises
    ------
    BadInput

    Examples
    --------
    >>> parse_margins(["roc_auc=0.01", "latency_p95=20%,f1=off"])
    {'roc_auc': '0.01', 'latency_p95': '20%', 'f1': 'off'}
    """
    out: dict[str, str] = {}
    for part in (piece.strip() for text in told for piece in text.split(",")):
        if not part:
            continue
        name, equals, size = part.rpartition("=")
        if not equals or not name.strip() or not size.strip():
            raise BadInput(
                f"margin {part[:60]!r} is not metric=size, such as roc_auc=0.01 or latency_p95=20%",
                code="bad_margin",
            )
        out[name.strip()] = size.strip()
    return out


def known_name(name: str, names: Iterable[str], what: str) -> str:
    """Return a metric's name if it is one of those compared.

    Raises
    ------
    BadInput
        With the nearest name.
    """
    known = list(dict.fromkeys(names))
    if name in known:
        return name
    close = get_close_matches(name.casefold(), known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise BadInput(
        f"{what}: no metric {name!r} can be compared here{hint}; there are {', '.join(known)}",
        code="unknown_metric",
    )
