"""Online detectors: where the level of a series of errors or scores changed, one value at a time.

ADWIN, Page–Hinkley and DDM are those of the library ``river``; here stands what they are called,
what they take, and how what they notice is told. They do not judge a model's windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.errors import BadInput, EmptyInput, MissingExtra
from tidegauge.profile.layout import to_datetime
from tidegauge.profile.values import NO_TIME, micros, numbers

Parameter: TypeAlias = float | str
_Floats = NDArray[np.float64]
#: The least number above 0.
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Change:
    """The level of a series changed.

    Parameters
    ----------
    index : int
        Place in the series, from 0, where the new level begins: of all places since the change
        before, the one that splits the values best into two levels (least squares).
    noticed : int
        Place of the value at which the detector noticed; never before ``index``.
    time, noticed_at : datetime or None
        When these two were, in UTC; None for a series without times.
    before : float
        Mean since the change before (or the start), up to ``index``, in the series' own unit.
    after : float
        Mean from there up to ``noticed``.
    direction : str
        ``"up"`` or ``"down"``.
    """

    index: int
    noticed: int
    time: datetime | None
    noticed_at: datetime | None
    before: float
    after: float
    direction: str


class Changes(list[Change]):
    """The changes of a series, and what has to be said about the search for them.

    Parameters
    ----------
    changes : iterable of Change
    detector : str
    parameters : mapping
        All that it took.
    values : int
        Values that were looked at.
    missing, infinite : int
        Values that were skipped: none, NaN or without a time; plus or minus infinity.
    notes : sequence of str
        What should be known, such as that the series is too short.
    """

    def __init__(
        self,
        changes: Iterable[Change] = (),
        *,
        detector: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        values: int = 0,
        missing: int = 0,
        infinite: int = 0,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(changes)
        self.detector = detector
        self.parameters = dict(parameters or {})
        self.values = values
        self.missing = missing
        self.infinite = infinite
        self.notes = tuple(notes)


@dataclass(frozen=True)
class _Takes:
    """A parameter: its default, and the bounds that it lies within."""

    default: Parameter
    least: float = 0.0
    most: float = np.inf
    among: tuple[str, ...] = ()

    def read(self, name: str, given: Any) -> Parameter:
        """Return a value of the default's type."""
        if self.among:
            if given in self.among:
                return str(given)
            raise self._refusal(name, given, f"one of {', '.join(self.among)}")
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise self._refusal(name, given, "a number") from None
        kind = "whole number" if isinstance(self.default, int) else "number"
        inside = np.isfinite(value) and self.least <= value <= self.most
        if not inside or (isinstance(self.default, int) and not value.is_integer()):
            bounds = "above 0" if self.least == _TINY else f"from {self.least:g}"
            bounds += f", at most {self.most:g}" if self.most < np.inf else ""
            raise self._refusal(name, given, f"a {kind} {bounds}")
        return int(value) if isinstance(self.default, int) else value

    def _refusal(self, name: str, given: Any, wanted: str) -> BadInput:
        return BadInput(f"{name} cannot be {given!r}; give {wanted}", code="bad_parameter")


@dataclass(frozen=True)
class _Detector:
    """One detector of river.

    Parameters
    ----------
    home, name : str
        Module and class.
    parameters : mapping of name to _Takes
    warm_up : str
        The parameter that says how many values it learns from first.
    loosen : str
        The parameter that makes it more or less sensitive.
    unit_range : bool
        Whether it is made for values within [0, 1].
    binary : bool
        Whether it takes errors only: 0 for right, 1 for wrong.
    """

    home: str
    name: str
    parameters: Mapping[str, _Takes]
    warm_up: str
    loosen: str
    unit_range: bool = False
    binary: bool = False


#: A new detector is one entry here, and its paragraph in :func:`detect_changes`.
_DETECTORS: Mapping[str, _Detector] = {
    "adwin": _Detector(
        "river.drift",
        "ADWIN",
        {
            "delta": _Takes(0.002, _TINY, 1.0),
            "clock": _Takes(1, 1),
            "max_buckets": _Takes(5, 2),
            "min_window_length": _Takes(5, 1),
            "grace_period": _Takes(10, 1),
        },
        warm_up="grace_period",
        loosen="delta",
        unit_range=True,
    ),
    "page_hinkley": _Detector(
        "river.drift",
        "PageHinkley",
        {
            "min_instances": _Takes(30, 1),
            "delta": _Takes(0.005),
            "threshold": _Takes(50.0, _TINY),
            "alpha": _Takes(0.9999, _TINY, 1.0),
            "mode": _Takes("both", among=("both", "up", "down")),
        },
        warm_up="min_instances",
        loosen="threshold",
    ),
    "ddm": _Detector(
        "river.drift.binary",
        "DDM",
        {"warm_start": _Takes(30, 1), "drift_threshold": _Takes(3.0, _TINY)},
        warm_up="warm_start",
        loosen="drift_threshold",
        binary=True,
    ),
}


def detect_changes(
    values: Any, times: Any = None, detector: str = "adwin", **parameters: Parameter
) -> Changes:
    """Return where the level of a series changed, as an online detector notices it.

    These detectors are not part of a model's budget of false alarms: how long they run without a
    false alarm is not known once values depend on those before, as errors over time do. They are
    for looking at a series, not for waking anybody.

    Parameters
    ----------
    values : sequence, array or series of numbers
        Errors, scores or results, in order. None, NaN and infinite values are skipped, and
        counted in what is returned.
    times : likewise of times, optional
        Then values are taken in the order of their times. Times without a zone are read as UTC;
        values without a time are skipped.
    detector : str
        ``"adwin"``
            Adaptive windowing: two adjacent parts of a growing window have different means, by a
            bound for values within [0, 1]; the series is mapped onto that by its least and
            greatest value. ``delta`` 0.002: chance of a false cut, for independent values.
            ``clock`` 1: looks at every so many values. ``max_buckets`` 5, ``min_window_length``
            5 values, ``grace_period`` 10 values: how finely and from when on.
            Source: Bifet and Gavaldà (2007), "Learning from time-changing data with adaptive
            windowing".
        ``"page_hinkley"``
            The sum of differences from the mean so far has risen (or fallen) by ``threshold`` 50,
            after ``min_instances`` 30 values; ``delta`` 0.005 is taken off each difference, and
            ``alpha`` 0.9999 forgets old ones. Both defaults suit errors of 0 and 1: threshold and
            delta are in the series' own unit. ``mode`` is ``"both"``, ``"up"`` or ``"down"``.
            Source: Page (1954), "Continuous inspection schemes"; Hinkley (1971), "Inference
            about the change-point from cumulative sum tests".
        ``"ddm"``
            Drift detection method, for errors of 0 and 1: their rate and its standard deviation
            stand ``drift_threshold`` 3 standard deviations above the lowest that they were,
            after ``warm_start`` 30 values. Only rises are noticed. Where there was no error at
            all yet, the first one counts as a change.
            Source: Gama, Medas, Castillo and Rodrigues (2004), "Learning with drift detection".
    **parameters : float or str
        What differs from these defaults, which are river's (but ``clock``, there 32).

    Returns
    -------
    Changes
        A list of :class:`Change` in order, with ``values``, ``missing``, ``infinite``, ``notes``.

    Raises
    ------
    BadInput
        On a detector or parameter that there is not, values that are no numbers, or values that
        the detector is not made for.
    EmptyInput
        If no value is left to look at.
    MissingExtra
        Without river.

    Examples
    --------
    >>> errors = [0, 0, 0, 0, 1] * 40 + [1, 1, 0, 1, 1] * 40
    >>> for change in detect_changes(errors):
    ...     print(change.index, change.noticed, round(change.before, 2), change.direction)
    199 231 0.2 up
    >>> for note in detect_changes([0.1, None, 0.2]).notes:
    ...     print(note)
    2 values are too few: adwin learns from the first 10 (grace_period), so no change could ...
    1 missing value skipped
    """
    about = _DETECTORS.get(detector)
    if about is None:
        raise BadInput(
            f"no detector {detector!r}{_hint(detector, _DETECTORS)}; there are: "
            f"{', '.join(_DETECTORS)}",
            code="unknown_detector",
        )
    chosen = _chosen(detector, about, parameters)
    series, moments, places, infinite = _usable(values, times)
    missing = len(series) - len(places) - infinite
    used = series[places]
    if not len(used):
        raise EmptyInput("the series has no values that can be looked at")
    if about.binary and not np.isin(used, (0.0, 1.0)).all():
        at = int(places[~np.isin(used, (0.0, 1.0))][0])
        raise BadInput(
            f"{detector} needs errors, 0 for right and 1 for wrong, and value {at + 1} is "
            f"{series[at]:g}; use adwin or page_hinkley",
            code="not_binary",
        )
    scaled = _unit(used) if about.unit_range else used
    alarms = _run(about, chosen, scaled)
    found = _changes(used, alarms, _side(about, chosen))
    return Changes(
        (_told(change, places, moments) for change in found),
        detector=detector,
        parameters=chosen,
        values=len(used),
        missing=missing,
        infinite=infinite,
        notes=_notes(detector, about, chosen, scaled, found, missing, infinite),
    )


def read_parameters(settings: Iterable[str]) -> dict[str, Parameter]:
    """Read parameters as they are written on a command line.

    Raises
    ------
    BadInput
        If one is not ``name=value``.

    Examples
    --------
    >>> read_parameters(["delta=0.01", "mode=up"])
    {'delta': '0.01', 'mode': 'up'}
    """
    found: dict[str, Parameter] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise BadInput(f"{text!r} sets nothing; write name=value, such as delta=0.01")
        found[name.strip()] = value.strip()
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _chosen(
    detector: str, about: _Detector, given: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    for name in given:
        if name not in about.parameters:
            raise BadInput(
                f"{detector} has no parameter {name!r}{_hint(name, about.parameters)}; it takes "
                f"{', '.join(about.parameters)}",
                code="unknown_parameter",
            )
    return {
        name: takes.read(name, given.get(name, takes.default))
        for name, takes in about.parameters.items()
    }


def _arrow(what: Any, name: str) -> pa.Array:
    try:
        if hasattr(what, "__arrow_c_stream__"):
            chunks: Any = pa.chunked_array(what)
            merged: pa.Array = chunks.combine_chunks()
            return merged
        return pa.array(what, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadInput(
            f"the {name} are no plain series: {str(error).splitlines()[0]}", code="bad_series"
        ) from error


def _usable(
    values: Any, times: Any
) -> tuple[_Floats, NDArray[np.int64] | None, NDArray[np.int64], int]:
    """Return values, times, the places to be looked at in order, and how many are infinite."""
    column = _arrow(values, "values")
    series, errors = numbers(column)
    if len(errors):
        at = int(errors[0])
        raise BadInput(
            f"value {at + 1} of the series is {column[at].as_py()!r}, which is no number",
            code="not_a_number",
        )
    usable = np.isfinite(series)
    infinite = int(np.isinf(series).sum())
    if times is None:
        return series, None, np.flatnonzero(usable), infinite
    stamps = _arrow(times, "times")
    if len(stamps) != len(series):
        raise BadInput(
            f"{len(stamps)} times for {len(series)} values; give one for each", code="bad_series"
        )
    if pa.types.is_integer(stamps.type) or pa.types.is_floating(stamps.type):
        raise BadInput(
            f"the times are numbers ({stamps.type}), whose unit nothing tells; convert them to "
            "timestamps",
            code="bad_series",
        )
    moments = micros(stamps)
    unread = np.flatnonzero((moments == NO_TIME) & np.asarray(stamps.is_valid()))
    if len(unread):
        at = int(unread[0])
        raise BadInput(
            f"time {at + 1} of the series is {stamps[at].as_py()!r}, which is no time",
            code="not_a_time",
        )
    places = np.flatnonzero(usable & (moments != NO_TIME))
    return series, moments, places[np.argsort(moments[places], kind="stable")], infinite


def _unit(used: _Floats) -> _Floats:
    """Map values onto [0, 1]; errors of 0 and 1 stay what they are."""
    low, high = used.min(), used.max()
    if low == high:
        return np.zeros_like(used)
    # Halves, since the distance of the greatest doubles overflows.
    scaled: _Floats = (used / 2 - low / 2) / (high / 2 - low / 2)
    return scaled


def _run(about: _Detector, chosen: Mapping[str, Parameter], values: _Floats) -> list[int]:
    """Return the places of the values at which the detector noticed a change."""
    try:
        made = getattr(import_module(about.home), about.name)(**chosen)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"online detectors need a library that is not installed ({error}); "
            "pip install 'tidegauge[online]'"
        ) from error
    found = []
    for place, value in enumerate(values.tolist()):
        made.update(value)
        if made.drift_detected:
            found.append(place)
    return found


def _side(about: _Detector, chosen: Mapping[str, Parameter]) -> int:
    """Return which changes it notices: 1 for rises, -1 for falls, 0 for both."""
    mode = "up" if about.binary else chosen.get("mode", "both")
    return {"up": 1, "down": -1}.get(str(mode), 0)


def _changes(values: _Floats, alarms: Sequence[int], side: int) -> list[Change]:
    """Estimate for each alarm where the new level began, and both levels.

    Since a detector begins anew after an alarm, what it noticed came after the alarm before.
    """
    out: list[Change] = []
    start = after = 0
    for alarm in alarms:
        place = _split(values[start : alarm + 1], max(after - start, 1), side) + start
        before, level = float(values[start:place].mean()), float(values[place : alarm + 1].mean())
        direction = "up" if level > before else "down"
        out.append(Change(place, alarm, None, None, before, level, direction))
        start, after = place, alarm + 1
    return out


def _split(values: _Floats, first: int, side: int) -> int:
    """Return the place, from ``first`` on, that splits values best into two levels.

    Source: Hinkley (1970), "Inference about the change-point in a sequence of random variables":
    the maximum of the likelihood for a step in independent normal values, which is that of the
    difference of the two means over its standard error.
    """
    n = len(values)
    at = np.arange(first, n)
    if not len(at):
        return n - 1
    sums = np.cumsum(values - values.mean())
    gain = -sums[at - 1] * np.sqrt(n / (at * (n - at)))
    best: int = first + int(np.argmax(np.abs(gain) if side == 0 else side * gain))
    return best


def _told(change: Change, places: NDArray[np.int64], moments: NDArray[np.int64] | None) -> Change:
    """Return a change by its places in the series as it was given, and its times."""
    index, noticed = int(places[change.index]), int(places[change.noticed])
    at, later = (
        (None, None)
        if moments is None
        else (to_datetime(int(moments[index])), to_datetime(int(moments[noticed])))
    )
    return Change(index, noticed, at, later, change.before, change.after, change.direction)


def _notes(
    detector: str,
    about: _Detector,
    chosen: Mapping[str, Parameter],
    values: _Floats,
    found: Sequence[Change],
    missing: int,
    infinite: int,
) -> list[str]:
    notes = []
    n, warm_up = len(values), chosen[about.warm_up]
    sensitivity = f"{about.loosen}={chosen[about.loosen]:g}"
    if not found and n < float(warm_up):
        notes.append(
            f"{n} values are too few: {detector} learns from the first {warm_up} "
            f"({about.warm_up}), so no change could be noticed"
        )
    elif not found and _blind(about, chosen, values):
        notes.append(
            f"{detector} with {sensitivity} would not notice even a step from the least to the "
            f"greatest value half-way through these {n}; change {about.loosen}, or give it more"
        )
    if missing:
        notes.append(f"{missing} missing {'value' if missing == 1 else 'values'} skipped")
    if infinite:
        notes.append(f"{infinite} infinite {'value' if infinite == 1 else 'values'} skipped")
    return notes


def _blind(about: _Detector, chosen: Mapping[str, Parameter], values: _Floats) -> bool:
    """Whether the plainest change of so many values, within their range, would go unnoticed."""
    low, high = (0.0, 1.0) if about.binary else (float(values.min()), float(values.max()))
    if low == high:
        return False
    later = np.arange(len(values)) >= len(values) // 2
    steps = np.where(later, high, low), np.where(later, low, high)
    return not any(_run(about, chosen, step) for step in steps)
