"""What the ages of a model are told from: its versions, its baseline, its newest label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from tidegauge.catalog import Catalog
from tidegauge.metrics.staleness import Facts, labels_until
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.layout import to_datetime, to_micros
from tidegauge.server.known import Model

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime

#: The profiles of some windows, by version.
Profiles = Sequence[tuple[str | None, Profile]]


def facts_of(
    runtime: Runtime,
    model: Model,
    baseline: Baseline,
    profiles: Profiles,
    newest_label: datetime | None,
) -> tuple[list[Facts], datetime | None]:
    """Return the facts of each version's profile, and the newest label as it is known now.

    No record is read: what is known of labels comes from the windows as they are computed, in
    order. A window that was closed before keeps the age of labels that it had then.

    Parameters
    ----------
    runtime : Runtime
    model : Model
    baseline : Baseline
    profiles : sequence of (version, Profile)
    newest_label : datetime or None
        Event time of the newest record with a label in any window so far.
    """
    since = _first_seen(runtime.catalog, model, profiles)
    until, newest = _newest_labels(profiles, newest_label)
    before = _labels_then(runtime, model, sorted(until))
    made = baseline.profile.event_times[1] or baseline.created_at
    facts = []
    for version, profile in profiles:
        starts = profile.windows.tolist()
        labels = [before.get((version, start), until[start]) for start in starts]
        facts.append(Facts(since.get(version), made, np.array(labels, dtype=np.float64)))
    return facts, newest


def _first_seen(catalog: Catalog, model: Model, profiles: Profiles) -> dict[str | None, datetime]:
    """Return when each version was first seen; versions that were not noted yet are noted."""
    since = {row.name: row.first_seen for row in catalog.models.versions(model.id)}
    fresh = {}
    for version, profile in profiles:
        first, last = profile.event_times
        if version not in since and first is not None and last is not None:
            fresh[version] = first, last
    if fresh:
        catalog.models.saw_versions(model.id, fresh)
    return {**{version: first for version, (first, _) in fresh.items()}, **since}


def _labels_then(
    runtime: Runtime, model: Model, starts: Sequence[int]
) -> dict[tuple[str | None, int], float]:
    """Return, for the windows that were closed before, the newest label as it was stored then.

    By version and start; NaN where no label was known.
    """
    if not starts:
        return {}
    begin, end = to_datetime(starts[0]), to_datetime(starts[-1]) + model.window
    rows = runtime.catalog.windows.between(model.id, begin, end)
    held = {(row.version, to_micros(row.start)): np.nan for row in rows}
    if held:
        points = runtime.engine.points(
            model.project, model.name, start=begin, end=end, metric="label_age"
        )
        for row in points.to_pylist():
            place = row["version"], to_micros(row["window_start"])
            if place in held:
                held[place] = to_micros(row["window_end"]) - round(row["value"] * 1e6)
    return held


def _newest_labels(
    profiles: Profiles, newest_label: datetime | None
) -> tuple[dict[int, float], datetime | None]:
    """Return for each window's start the event time of the newest label then, over all versions."""
    newest = -np.inf if newest_label is None else float(to_micros(newest_label))
    own: dict[int, float] = {}
    for _, profile in profiles:
        for start, until in zip(
            profile.windows.tolist(), labels_until(profile).tolist(), strict=True
        ):
            own[start] = max(until, own.get(start, -np.inf))
    held = {}
    for start in sorted(own):
        newest = max(newest, own[start])
        held[start] = newest
    return held, to_datetime(int(newest)) if np.isfinite(newest) else None
