"""The layout of a profile: which bins, which segments, which windows its arrays stand for.

Two profiles can be merged, and compared, exactly when they share a layout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.profile.bins import Bins, bins_from_json
from tidegauge.schema import Schema
from tidegauge.schema.divisions import CROSS
from tidegauge.schema.yaml import schema_from_json, schema_to_json

#: The pooled rest of a segment column, missing values included.
OTHER = "(other)"
_MONDAY = 4 * 86_400 * 1_000_000


@dataclass(frozen=True, order=True)
class Segment:
    """The records with one value of one segment column, or with one of each of several.

    Parameters
    ----------
    column, value : str
        What it is called; of a combination the names, and the values, with a cross between them.
    parts : tuple of (column, value)
        The columns of a combination, each with its value.

    Examples
    --------
    >>> Segment("carrier", "UA").to_json()
    {'carrier': 'UA'}
    >>> Segment.of(("carrier", "origin"), ("UA", "EWR")).to_json()
    {'carrier': 'UA', 'origin': 'EWR'}
    """

    column: str
    value: str
    parts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, columns: Sequence[str], values: Sequence[str]) -> Segment:
        """Return the segment of these values of these columns; a rest that is pooled is one."""
        if len(columns) == 1:
            return cls(columns[0], values[0])
        value = OTHER if set(values) == {OTHER} else CROSS.join(values)
        return cls(CROSS.join(columns), value, tuple(zip(columns, values, strict=True)))

    @classmethod
    def from_json(cls, told: Mapping[str, str]) -> Segment:
        """Return the segment that results carry.

        Examples
        --------
        >>> Segment.from_json({"carrier": "UA", "origin": "EWR"}).value
        'UA × EWR'
        """
        return cls.of(tuple(told), [str(value) for value in told.values()])

    @property
    def values(self) -> tuple[str, ...]:
        """The value of each of its columns."""
        return tuple(value for _, value in self.parts) or (self.value,)

    def to_json(self) -> dict[str, str]:
        """Return the form that results carry."""
        return dict(self.parts) or {self.column: self.value}


def window_floor(micros: NDArray[np.int64], width: timedelta) -> NDArray[np.int64]:
    """Return the start of the tumbling window that holds each time.

    Windows are aligned to Monday, midnight UTC.

    Parameters
    ----------
    micros : (n,) int64
        Microseconds since 1970 (UTC).
    width : timedelta

    Examples
    --------
    >>> day = timedelta(days=1)
    >>> window_floor(np.array([86_400_000_001]), day).tolist()
    [86400000000]
    """
    step = width // timedelta(microseconds=1)
    shifted = micros - _MONDAY
    return shifted - np.mod(shifted, step) + _MONDAY


def to_datetime(micros: int) -> datetime:
    """Return an aware UTC datetime for microseconds since 1970."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(micros))


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970 of an aware datetime."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class Layout:
    """What the axes of a profile's arrays stand for.

    Parameters
    ----------
    schema : Schema
    bins : mapping of column name to Bins
        Columns without an entry are only counted (rows, missing).
    segments : tuple of (Segment or None)
        The second axis; the first is ``None``, the whole.
    classes : tuple of str
        For a multiclass model: its classes, in the order of the confusion matrix.
    baseline_id : str
        Profiles merge only within one baseline.

    Examples
    --------
    >>> from tidegauge.schema import Column, ColumnType
    >>> layout = Layout(Schema((Column("x", ColumnType.NUMERIC),)), {}, (None,))
    >>> layout.segment_groups
    ()
    """

    schema: Schema
    bins: Mapping[str, Bins]
    segments: tuple[Segment | None, ...] = (None,)
    classes: tuple[str, ...] = ()
    baseline_id: str = ""

    @property
    def segment_groups(self) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
        """Segment columns as (name, first index on the segment axis, values).

        A combination is called by its columns, ``carrier × origin``, and its values likewise.
        """
        groups: dict[str, tuple[int, list[str]]] = {}
        for index, segment in enumerate(self.segments):
            if segment is not None:
                groups.setdefault(segment.column, (index, []))[1].append(segment.value)
        return tuple((name, first, tuple(values)) for name, (first, values) in groups.items())

    def compatible(self, other: Layout) -> bool:
        """Whether profiles of the two layouts can be merged."""
        return self is other or (
            self.baseline_id == other.baseline_id
            and self.segments == other.segments
            and self.schema == other.schema
            and self.classes == other.classes
            and {k: v.size for k, v in self.bins.items()}
            == {k: v.size for k, v in other.bins.items()}
        )

    def dumps(self) -> str:
        """Return the layout as JSON text."""
        return json.dumps(
            {
                "schema": schema_to_json(self.schema),
                "bins": {name: bins.to_json() for name, bins in self.bins.items()},
                "segments": [_told(s) for s in self.segments],
                "classes": list(self.classes),
                "baseline_id": self.baseline_id,
            }
        )

    @classmethod
    def loads(cls, text: str) -> Layout:
        """Return the layout that ``dumps`` wrote."""
        data: dict[str, Any] = json.loads(text)
        return cls(
            schema=schema_from_json(data["schema"]),
            bins={name: bins_from_json(item) for name, item in data["bins"].items()},
            segments=tuple(_read(s) for s in data["segments"]),
            classes=tuple(data["classes"]),
            baseline_id=data["baseline_id"],
        )


def _told(segment: Segment | None) -> list[Any] | None:
    """A column and a value, as ever; a combination as its columns and its values."""
    if segment is None:
        return None
    if not segment.parts:
        return [segment.column, segment.value]
    return [[column for column, _ in segment.parts], [value for _, value in segment.parts]]


def _read(told: list[Any] | None) -> Segment | None:
    if told is None:
        return None
    columns, values = told
    return Segment(columns, values) if isinstance(columns, str) else Segment.of(columns, values)
