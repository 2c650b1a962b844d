"""What the ages of a model are told from: its versions, its baseline, its newest label."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from tidegauge.catalog import Catalog
from tidegauge.metrics.staleness import Facts, labels_until
from tidegauge.profile import Baseline, Profile
from tidegauge.profile.layout import to_datetime, to_micros
from tidegauge.server.known import Model

#: The profiles of some windows, by version.
Profiles = Sequence[tuple[str | None, Profile]]


def facts_of(
    catalog: Catalog,
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
    catalog : Catalog
    model : Model
    baseline : Baseline
    profiles : sequence of (version, Profile)
    newest_label : datetime or None
        Event time of the newest record with a label in any window so far.
    """
    since = _first_seen(catalog, model, profiles)
    until, newest = _newest_labels(profiles, newest_label)
    starts = [int(start) for _, profile in profiles for start in profile.windows]
    closed = set()
    if starts:
        begin, end = to_datetime(min(starts)), to_datetime(max(starts)) + model.window
        rows = catalog.windows.between(model.id, begin, end)
        closed = {(row.version, to_micros(row.start)) for row in rows}
    facts = []
    for version, profile in profiles:
        labels = [
            np.nan if (version, start) in closed else until[start]
            for start in profile.windows.tolist()
        ]
        made = baseline.profile.event_times[1] or baseline.created_at
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
