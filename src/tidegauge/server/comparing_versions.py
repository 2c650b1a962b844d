"""Two versions of a stored model held against each other: which, over what time, which records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa

from tidegauge.catalog.tables import Version
from tidegauge.errors import BadInput, NotFound
from tidegauge.profile.hashing import hash_array
from tidegauge.profile.sample import Sampler
from tidegauge.profile.values import column_of
from tidegauge.schema import Role
from tidegauge.server.known import Model
from tidegauge.server.runtime import Runtime
from tidegauge.versions import VersionReport, compare_tables
from tidegauge.versions.rows import columns_of, resources_of
from tidegauge.versions.rule import Rule

#: Records of each version that are compared at most: those whose ids hash smallest.
MOST_RECORDS = 100_000
#: The time that is compared by default.
USUAL = timedelta(days=30)


@dataclass(frozen=True)
class Chosen:
    """What is compared.

    Parameters
    ----------
    champion, challenger : str
    start, end : datetime
        Of the records' event times, half-open.
    """

    champion: str
    challenger: str
    start: datetime
    end: datetime


def versions_of(runtime: Runtime, model: Model) -> list[Version]:
    """Return a model's named versions, the one seen first at first."""
    return [one for one in runtime.catalog.models.versions(model.id) if one.name]


def choose(
    versions: Sequence[Version],
    champion: str | None,
    challenger: str | None,
    start: datetime | None,
    end: datetime | None,
    newest: datetime | None,
) -> Chosen | None:
    """Return what is compared: by default the two newest versions, over the last 30 days.

    Parameters
    ----------
    versions : sequence of Version
        The one seen first at first.
    newest : datetime or None
        Where the time ends by default.

    Returns
    -------
    Chosen or None
        None where there are not two versions.

    Raises
    ------
    NotFound
        On a version that is not there.
    BadInput
        If both are one, or the time is the wrong way round.
    """
    names = [one.name or "" for one in versions]
    for name in (champion, challenger):
        if name is not None and name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            there = ", ".join(names) or "none"
            raise NotFound(f"no version {name!r}{hint}; there are: {there}", code="unknown_version")
    if champion is not None and champion == challenger:
        raise BadInput(
            f"version {champion!r} cannot be compared with itself; choose another challenger",
            code="same_version",
        )
    if len(names) < 2:
        return None
    if challenger is None:
        challenger = next(name for name in reversed(names) if name != champion)
    if champion is None:
        champion = next(name for name in reversed(names) if name != challenger)
    held = [one for one in versions if one.name in (champion, challenger)]
    last = _minute(max(one.last_seen for one in held)) + timedelta(minutes=1)
    first = _minute(min(one.first_seen for one in held))
    until = end if end is not None else last if newest is None else min(newest, last)
    begin = start if start is not None else max(first, until - USUAL)
    if until <= begin:
        if start is None and end is None:
            until = last
        if until <= begin:
            raise BadInput(
                "the time to compare over ends before it begins; swap start and end",
                code="bad_interval",
            )
    return Chosen(champion, challenger, begin, until)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def compare_stored(
    runtime: Runtime,
    model: Model,
    chosen: Chosen,
    *,
    metric: Iterable[str] = (),
    margin: dict[str, str] | None = None,
    rule: Rule | None = None,
    segments: Iterable[str] = (),
) -> VersionReport:
    """Compare two versions by their stored records.

    Raises
    ------
    BadInput
        If a version has no record in that time, or a margin is none.
    """
    asked = list(segments)
    for name in asked:
        if name not in model.schema.plain_segments:
            there = ", ".join(model.schema.plain_segments) or "none"
            raise BadInput(
                f"{name!r} is no segment column of this model (there are: {there})",
                code="unknown_segment",
            )
    names = chosen.champion, chosen.challenger
    found = [_records(runtime, model, name, chosen) for name in names]
    return compare_tables(
        found[0][0],
        found[1][0],
        model.schema,
        metric=tuple(metric) or None,
        margin=margin or None,
        rule=rule,
        segments=asked,
        totals=(found[0][1], found[1][1]),
        names=(f"version {names[0]}", f"version {names[1]}"),
    )


def _records(runtime: Runtime, model: Model, version: str, chosen: Chosen) -> tuple[pa.Table, int]:
    """Return a version's records with their labels, a bounded number, and how many there are."""
    schema = model.schema
    key, time = schema.role(Role.PREDICTION_ID), schema.role(Role.TIMESTAMP)
    columns = columns_of(schema, resources_of(schema))
    columns += [] if time is None else [time.name]
    sampler, rows = Sampler(MOST_RECORDS), 0
    for batch in runtime.engine.batches(
        *(model.project, model.name, schema, chosen.start, chosen.end),
        version=version,
        columns=columns,
    ):
        none = pa.array(np.arange(rows, rows + batch.num_rows))
        ids = none if key is None else column_of(batch, key.name)
        sampler.update(batch, np.zeros(batch.num_rows, dtype=np.int64), hash_array(ids))
        rows += batch.num_rows
    table = sampler.finish()
    if table is None:
        raise BadInput(
            f"version {version!r} has no record from {chosen.start:%Y-%m-%d %H:%M} to "
            f"{chosen.end:%Y-%m-%d %H:%M} UTC; choose another time or version",
            code="no_records",
        )
    return table.drop_columns(["_window", "_hash"]), rows


def told(report: VersionReport, model: Model, chosen: Chosen) -> dict[str, Any]:
    """Return a comparison as the API tells it."""
    return {
        "model": model.name,
        "start": chosen.start.isoformat().replace("+00:00", "Z"),
        "end": chosen.end.isoformat().replace("+00:00", "Z"),
        **report.to_json(),
    }
