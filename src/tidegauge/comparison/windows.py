"""The windows of one side: gaps are windows too, and what is covered in part is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.profile import Profile, Profiler
from tidegauge.profile.layout import to_datetime
from tidegauge.profile.profile import ROWS, merge_profiles

#: Gaps of more windows than this are not filled: then silence is how things are.
_MOST = 20_000
#: An edge window lacks a part if it begins (or ends) later than all others by so much of it,
_PART = 0.05
#: and has fewer records than this share of the usual number.
_FEWER = 0.9


def whole_windows(profile: Profile, name: str) -> tuple[Profile, list[str]]:
    """Return a side's windows, those without a record too, less edges that are covered in part.

    Parameters
    ----------
    profile : Profile
        By window.
    name : str
        Of the side, for people.

    Returns
    -------
    profile : Profile
    notes : list of str
        What was left out.
    """
    if profile.width is None or len(profile.windows) < 3:
        return profile, []
    trimmed, notes = _trimmed(profile, name)
    return _filled(trimmed), notes


def _trimmed(profile: Profile, name: str) -> tuple[Profile, list[str]]:
    assert profile.width is not None
    step = profile.width.total_seconds() * 1e6
    first, last = profile[ROWS]["minimum"][:, 0], profile[ROWS]["maximum"][:, 0]
    rows = profile.rows[:, 0]
    few = rows < _FEWER * np.median(rows)
    late = _out_of_line((first - profile.windows) / step, 0) and bool(few[0])
    early = _out_of_line((profile.windows + step - last) / step, -1) and bool(few[-1])
    keep = np.ones(len(rows), dtype=np.bool_)
    notes = []
    for at, partial, side, moment in ((0, late, "from", first[0]), (-1, early, "until", last[-1])):
        if partial:
            keep[at] = False
            day, time = to_datetime(int(profile.windows[at])), to_datetime(int(moment))
            notes.append(
                f"{name}: the window of {day:%-d %b %Y %H:%M} has records {side} {time:%H:%M} "
                "only, and was left out"
            )
    return (profile.select(keep), notes) if notes else (profile, [])


def _out_of_line(gaps: NDArray[np.floating[Any]], at: int) -> bool:
    """Whether one window's gap is longer than those of all others, by a part of a window."""
    others = np.delete(gaps, at)
    return bool(gaps[at] > _PART and gaps[at] > others.max() + _PART)


def _filled(profile: Profile) -> Profile:
    assert profile.width is not None
    step = int(profile.width.total_seconds() * 1e6)
    first, last = int(profile.windows[0]), int(profile.windows[-1])
    if (last - first) // step >= _MOST:
        return profile
    every: NDArray[np.int64] = np.arange(first, last + step, step, dtype=np.int64)
    if len(every) == len(profile.windows):
        return profile
    silent = Profiler(profile.layout, profile.width, sample=0).finish(every)
    return merge_profiles([profile, silent])
