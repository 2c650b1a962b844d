"""Why a stored model's performance changed between two periods; kept until its records change.

Rows are read once: of each window those that its coordinated sample has. The totals are those of
all records, from the stored profiles.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from tidegauge.errors import BadInput, Conflict
from tidegauge.explain.decomposition import MOST_ROWS, decompose, metric_of
from tidegauge.explain.parts import Decomposition
from tidegauge.lake.names import TableKind
from tidegauge.lake.profiles import get_profiles
from tidegauge.lake.wildcard import ANY, Wildcard
from tidegauge.metrics.registry import Metric, View
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.codec import profile_from_bytes
from tidegauge.profile.hashing import hash_array
from tidegauge.profile.layout import to_datetime, window_floor
from tidegauge.profile.profile import PERFORMANCE, merge_profiles
from tidegauge.profile.sample import SAMPLE_SIZE, Sampler, smallest
from tidegauge.profile.values import NO_TIME, column_of, micros
from tidegauge.schema import Role
from tidegauge.server.changing import in_types_of
from tidegauge.server.known import Model
from tidegauge.server.progress import window_start
from tidegauge.server.runtime import Runtime

#: Windows of a period whose records are read; of more, so many that lie evenly in it.
MOST_WINDOWS = 31
#: Windows that are explained by default: the newest closed ones.
USUAL = 7
_KEPT = 64


@dataclass(frozen=True)
class Period:
    """A time, half-open; it begins and ends with a window."""

    start: datetime
    end: datetime

    def to_json(self) -> dict[str, str]:
        """Return both ends as ISO 8601."""
        return {
            name: moment.isoformat().replace("+00:00", "Z")
            for name, moment in (("start", self.start), ("end", self.end))
        }


@dataclass(frozen=True)
class Asked:
    """What is to be explained.

    Parameters
    ----------
    metric : str or None
        The task's own by default.
    current : Period
    reference : Period or None
        None for the baseline.
    version : str or None, optional
        Only of this version's records.
    """

    metric: str | None
    current: Period
    reference: Period | None = None
    version: str | Wildcard | None = ANY


class _Kept:
    """The newest answers of one server."""

    def __init__(self) -> None:
        self._held: OrderedDict[Any, Decomposition] = OrderedDict()
        self._guard = Lock()

    def get(self, key: Any) -> Decomposition | None:
        with self._guard:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Any, found: Decomposition) -> None:
        with self._guard:
            self._held[key] = found
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)


_kept: WeakKeyDictionary[Runtime, _Kept] = WeakKeyDictionary()


def asked_of(
    runtime: Runtime,
    model: Model,
    metric: str | None,
    current: tuple[datetime | None, datetime | None],
    reference: tuple[datetime | None, datetime | None] = (None, None),
    version: str | Wildcard | None = ANY,
) -> Asked:
    """Complete what was asked: the newest seven closed windows, against the baseline.

    Raises
    ------
    Conflict
        If no window is closed yet, or there is no baseline.
    BadInput
        If a period ends before it begins, or only one end of the reference is given.
    NotFound
        If there is no such metric.
    """
    baseline = _baseline(runtime, model)
    metric_of(metric, baseline.layout)
    end = current[1] or runtime.catalog.windows.closed_until(model.id)
    if end is None:
        raise Conflict(
            f"model {model.name!r} has not a closed window yet, so there is nothing to explain",
            code="nothing_closed",
        )
    start = current[0] or end - USUAL * model.window
    if (reference[0] is None) is not (reference[1] is None):
        raise BadInput(
            "reference_start and reference_end go together; send both, or neither for the baseline",
            code="bad_interval",
        )
    then = None
    if reference[0] is not None and reference[1] is not None:
        then = _period(model, reference[0], reference[1], "reference_")
    return Asked(metric, _period(model, start, end, ""), then, version)


def _period(model: Model, start: datetime, end: datetime, prefix: str) -> Period:
    if end <= start:
        raise BadInput(f"{prefix}end is not after {prefix}start; swap them", code="bad_interval")
    first = window_start(start, model.window)
    last = window_start(end, model.window)
    return Period(first, last if last == end else last + model.window)


def _baseline(runtime: Runtime, model: Model) -> Baseline:
    held = runtime.baseline(model)
    if held is None:
        raise Conflict(
            f"model {model.name!r} has no baseline yet, so there is nothing to hold it to",
            code="no_baseline",
        )
    return held


def already_explained(runtime: Runtime, model: Model, asked: Asked) -> Decomposition | None:
    """Return what was explained before, if no record or label came since; else None at once."""
    held = _kept.get(runtime)
    return None if held is None else held.get(_key(runtime, model, asked))


def explain_stored(runtime: Runtime, model: Model, asked: Asked) -> Decomposition:
    """Explain a change; some seconds of work where it was not done before.

    Parameters
    ----------
    runtime : Runtime
    model : Model
    asked : Asked
        As ``asked_of`` completes it.
    """
    key = _key(runtime, model, asked)
    held = _kept.setdefault(runtime, _Kept())
    found = held.get(key)
    if found is None:
        found = _explained(runtime, model, asked)
        held.put(key, found)
    return found


def _key(runtime: Runtime, model: Model, asked: Asked) -> Any:
    names = model.project, model.name
    # Totals are those of the profiles, which are stored some time after the labels came.
    kinds: tuple[TableKind, ...] = ("records", "labels", "profiles")
    versions = [runtime.lake.table_version(*names, kind) for kind in kinds]
    return model.id, _baseline(runtime, model).id, *versions, asked


def _explained(runtime: Runtime, model: Model, asked: Asked) -> Decomposition:
    baseline = _baseline(runtime, model)
    now = _sample(runtime, model, baseline, asked.current, asked.version)
    if asked.reference is None:
        then = _bounded(baseline.profile.sample)
    else:
        then = _sample(runtime, model, baseline, asked.reference, asked.version)
    found = decompose(then, now, baseline.layout, asked.metric)
    totals = [
        baseline.total if period is None else _profile(runtime, model, baseline, period, asked)
        for period in (asked.reference, asked.current)
    ]
    metric = metric_of(asked.metric, baseline.layout)
    (before, many), (after, more) = (_value(metric, one) for one in totals)
    return found.recentred(before, after, many, more)


def _value(metric: Metric, profile: Profile | None) -> tuple[float | None, int]:
    """Return a metric of all records, and how many have a label."""
    if profile is None or PERFORMANCE not in profile:
        return None, 0
    view = View(profile, PERFORMANCE)
    if not all(name in view for name in metric.needs):
        return None, 0
    with np.errstate(all="ignore"):
        value = float(metric.compute(view, view)[0, 0])
    return value if np.isfinite(value) else None, int(view["labels"][0, 0])


def _profile(
    runtime: Runtime, model: Model, baseline: Baseline, period: Period, asked: Asked
) -> Profile | None:
    """Return all records of a period as one window; None where a window was not profiled."""
    rows = get_profiles(
        *(runtime.lake, model.project, model.name, period.start, period.end, asked.version),
        baseline_id=baseline.id,
    )
    if not rows:
        return None
    profiles = [profile_from_bytes(row.profile, baseline.layout) for row in rows]
    return merge_profiles(profiles).total()


def _sample(
    runtime: Runtime,
    model: Model,
    baseline: Baseline,
    period: Period,
    version: str | Wildcard | None,
) -> pa.Table:
    """Return the coordinated sample of a period's windows, with the labels of now."""
    starts = _windows(model, period)
    within = [(start, start + model.window) for start in starts]
    schema = in_types_of(model.schema, baseline.layout.schema)
    columns = [name for name in baseline.layout.schema.names if name in schema]
    key, time = schema.role(Role.PREDICTION_ID), schema.role(Role.TIMESTAMP)
    sampler = Sampler(SAMPLE_SIZE)
    read = 0
    for batch in runtime.engine.batches(
        *(model.project, model.name, schema, period.start, period.end),
        version=version,
        columns=columns,
        window=model.window,
        within=within,
    ):
        n = batch.num_rows
        ids = pa.array(np.arange(read, read + n)) if key is None else column_of(batch, key.name)
        windows = np.zeros(n, dtype=np.int64)
        if time is not None:
            moments = micros(column_of(batch, time.name), schema.timezone)
            windows = window_floor(np.where(moments == NO_TIME, 0, moments), model.window)
        sampler.update(batch, windows, hash_array(ids))
        read += n
    return _bounded(sampler.finish())


def _windows(model: Model, period: Period) -> Sequence[datetime]:
    """Return the starts of the windows that are read."""
    count = (period.end - period.start) // model.window
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_WINDOWS)).round().astype(int))
    return [period.start + int(at) * model.window for at in chosen]


def _bounded(sample: pa.Table | None) -> pa.Table:
    """Return at most so many rows as are looked at, those of the smallest hashes."""
    if sample is None:
        return pa.table({})
    if len(sample) <= MOST_ROWS:
        return sample
    at = sample.schema.get_field_index("_window")
    one = pa.array(np.zeros(len(sample), dtype=np.int64))
    return smallest(sample.set_column(at, "_window", one), MOST_ROWS)


def told(found: Decomposition, model: Model, baseline: Baseline, asked: Asked) -> dict[str, Any]:
    """Return an explanation as the API tells it."""
    times = baseline.profile.windows
    if asked.reference is not None:
        reference: dict[str, Any] = asked.reference.to_json()
    elif baseline.profile.width is not None and len(times):
        ends = to_datetime(int(times[0])), to_datetime(int(times[-1])) + baseline.profile.width
        reference = Period(ends[0].astimezone(UTC), ends[1].astimezone(UTC)).to_json()
    else:
        reference = {"start": None, "end": None}
    about = {} if asked.version is ANY else {"version": asked.version}
    return {
        "model": model.name,
        **about,
        **asked.current.to_json(),
        **{f"reference_{name}": value for name, value in reference.items()},
        "baseline": baseline.id if asked.reference is None else None,
        **found.to_json(),
    }
