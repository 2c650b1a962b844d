"""What a comparison can say of performance where labels are wanting on the current side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegauge.comparison.sides import Sides
from tidegauge.estimation.estimator import Estimator
from tidegauge.metrics.result import Basis
from tidegauge.monitor.estimates import Outlook, outlook
from tidegauge.monitor.judge import Judged
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.profile.sample import SAMPLE_SIZE
from tidegauge.schema import Role

#: Rows of each window that are looked at one by one, where performance is to be estimated.
SAMPLED = 20_000


def sample_of(sides: Sides) -> int:
    """Return how many rows of each window to keep: more where the current side has no label."""
    label = sides.schema.role(Role.LABEL)
    if label is None or label.name not in sides.first.arrow_schema().names:
        return SAMPLE_SIZE
    return SAMPLE_SIZE if label.name in sides.second.arrow_schema().names else SAMPLED


def foreseen(judged: Sequence[Judged], baseline: Baseline, now: Profile) -> Outlook:
    """Return what was measured, and, where labels are wanting, what is estimated beside it.

    Nothing is learnt where all labels are there, or where the reference has none.
    """
    if not (labels_of(now) < now.rows).any() or not labels_of(baseline.profile).any():
        return Outlook(list(judged), [])
    return outlook(judged, now, Estimator.learn(baseline), wanting(now))


def basis_of(profile: Profile) -> NDArray[np.object_]:
    """Return whether all labels of each window and segment are there: (window, segment) of str."""
    done = labels_of(profile) >= profile.rows
    return np.where(done, Basis.FINAL.value, Basis.PARTIAL.value).astype(object)


def wanting(profile: Profile) -> NDArray[np.bool_]:
    """Return where some labels are there, but not all: (window, segment)."""
    labels = labels_of(profile)
    return (labels > 0) & (labels < profile.rows)


def labels_of(profile: Profile) -> NDArray[np.int64]:
    """Return how many labels are known: (window, segment)."""
    if PERFORMANCE not in profile:
        return np.zeros(profile.rows.shape, dtype=np.int64)
    return profile[PERFORMANCE]["labels"].astype(np.int64)
