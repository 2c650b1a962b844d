"""Staleness: how old the model, its baseline and its newest label are when a window ends.

These are read from facts that no record tells. Facts are handed in beside the records' arrays, as
a group of their own, so that these metrics are pure functions like all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from tidegauge.metrics.registry import Family, Values, View, metric
from tidegauge.profile import Profile
from tidegauge.profile.layout import to_micros
from tidegauge.profile.profile import PERFORMANCE, ROWS, Array

#: The group of arrays that facts stand in; only ``with_facts`` makes it, and nothing stores it.
FACTS = "@facts"


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known about a model beside the records of some windows; None for what is not.

    Parameters
    ----------
    model_since : datetime or None
        Event time of the first record of the model's version.
    baseline_until : datetime or None
        Event time of the baseline's last record, or when it was made if these have no times.
    labels_until : (window,) float64, or None
        Event time of the newest record whose label is known, in microseconds since 1970 (UTC);
        not finite where there is none.
    """

    model_since: datetime | None = None
    baseline_until: datetime | None = None
    labels_until: Values | None = None


def with_facts(profile: Profile, facts: Facts) -> Profile:
    """Return a profile with facts beside its arrays: (window, segment), of the whole only.

    Parameters
    ----------
    profile : Profile
        A profile without windows ends with its last record.
    facts : Facts
    """
    if profile.width is not None:
        ends = profile.windows + profile.width.total_seconds() * 1e6
    elif "maximum" in profile[ROWS]:
        ends = profile[ROWS]["maximum"][:, 0]
    else:
        return profile
    known: dict[str, Array] = {"end": ends}
    if facts.model_since is not None:
        known["model_since"] = np.array([float(to_micros(facts.model_since))])
    if facts.baseline_until is not None:
        known["baseline_until"] = np.array([float(to_micros(facts.baseline_until))])
    if facts.labels_until is not None:
        known["labels_until"] = facts.labels_until
    arrays: dict[str, Array] = {}
    for name, values in known.items():
        arrays[name] = np.full(profile.rows.shape, np.nan)
        arrays[name][:, 0] = values
    return replace(profile, arrays={**profile.arrays, FACTS: arrays})


def labels_until(profile: Profile) -> Values:
    """Return the event time of each window's newest record with a label.

    Returns
    -------
    (window,) float64
        Microseconds since 1970 (UTC); -∞ where there is none.
    """
    if PERFORMANCE in profile and "labels_until" in profile[PERFORMANCE]:
        until: Values = profile[PERFORMANCE]["labels_until"][:, 0]
        return until
    return np.full(len(profile.windows), -np.inf)


def _age(view: View, since: str) -> Values:
    """Return the seconds from a fact's time to the window's end; NaN where it lies behind."""
    age = (view["end"] - view[since]) / 1e6
    return np.where(np.isfinite(age) & (age >= 0), age, np.nan)


@metric(
    "model_age",
    Family.STALENESS,
    group=FACTS,
    needs=("end", "model_since"),
    unit="s",
    uses_reference=False,
)
def model_age(current: View, reference: View) -> Values:
    """Age of the model: from the event time of its version's first record to the window's end."""
    return _age(current, "model_since")


@metric(
    "baseline_age",
    Family.STALENESS,
    group=FACTS,
    needs=("end", "baseline_until"),
    unit="s",
    uses_reference=False,
)
def baseline_age(current: View, reference: View) -> Values:
    """Age of the baseline: from the event time of its last record to the window's end.

    From when it was made, if its records have no times. None within the baseline itself.
    """
    return _age(current, "baseline_until")


@metric(
    "label_age",
    Family.STALENESS,
    group=FACTS,
    needs=("end", "labels_until"),
    unit="s",
    uses_reference=False,
)
def label_age(current: View, reference: View) -> Values:
    """Age of the newest label: from its record's event time to the window's end, as it closed.

    Of all versions together. What is learnt later does not change it, so its history tells how
    late labels were.
    """
    return _age(current, "labels_until")
