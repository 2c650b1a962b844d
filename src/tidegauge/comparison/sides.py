"""The two sides of a comparison: opened, held to one schema, profiled in the reference's bins."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from tidegauge.comparison.fit import Segments, divided_by, fit, naive_times, schema_of
from tidegauge.comparison.windows import whole_windows
from tidegauge.engine import open_source, profile_source, survey_source
from tidegauge.engine.beside import beside
from tidegauge.engine.source import Source
from tidegauge.errors import BadInput, EmptyInput
from tidegauge.profile import Profile
from tidegauge.profile.bins import CategoryBins
from tidegauge.profile.layout import Layout
from tidegauge.profile.sample import SAMPLE_SIZE
from tidegauge.profile.values import truth
from tidegauge.schema import ColumnType, Role, Schema, Task

#: Called with a stage, the rows done, and the rows in all where that is known.
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Sides:
    """Two sources that are compared.

    Parameters
    ----------
    first, second : Source
        The reference, and what is held against it.
    current : path or frame
        What the second was opened from.
    schema : Schema
    notes : tuple of str
        What a reader should know of them.
    """

    first: Source
    second: Source
    current: Any
    schema: Schema
    notes: tuple[str, ...] = ()

    def fitted(self, width: timedelta | None) -> Sides:
        """Return the sides with the schema reduced to what both have.

        Raises
        ------
        SchemaMismatch
            Saying what does not fit.
        BadInput
            If there should be windows and nothing tells the time.
        """
        known, notes = fit(self.schema, self.first, self.second)
        if width is not None and known.role(Role.TIMESTAMP) is None:
            held = [repr(one.name) for one in known if one.type is ColumnType.DATETIME]
            which = f"give it to {' or '.join(held)}" if held else "name it"
            raise BadInput(
                f"a window needs a column with the role timestamp; {which} in the schema, or leave "
                "the window out",
                code="no_timestamp",
            )
        notes += naive_times(known, self.first, self.second)
        return replace(self, schema=known, notes=(*self.notes, *notes))

    def profiled(
        self,
        width: timedelta | None,
        progress: Progress | None = None,
        *,
        sample: int = SAMPLE_SIZE,
        summarised: Collection[str] | None = None,
    ) -> tuple[Profile, Profile, list[str]]:
        """Return both profiles in bins of the reference, and what a reader should know of them.

        Parameters
        ----------
        width : timedelta, optional
            Of the windows.
        progress : callable, optional
        sample : int
            Rows of the coordinated sample of each window.
        summarised : collection of str, optional
            Columns that are to be summarised, by default all; the others are in the sample only.

        Raises
        ------
        EmptyInput
            If a side has no rows.
        """
        first, second = self.first, self.second
        done = _Stages(progress)
        usual = sample == SAMPLE_SIZE and summarised is None
        helper = beside(self.current, second) if usual else None
        options: dict[str, Any] = {"sample": sample, "summarised": summarised}
        try:
            looking = done.stage("looking at the reference", first)
            survey = survey_source(first, self.schema, progress=looking)
            if survey.rows == 0:
                raise EmptyInput(f"{first.name} has no rows; a reference needs some", code="empty")
            layout = survey.layout("reference")
            if helper is not None:
                helper.begin(layout, width)
            reading = done.stage("profiling the reference", first)
            then = profile_source(first, layout, width, **options, progress=reading)
            now = None if helper is None else helper.result(layout)
        finally:
            if helper is not None:
                helper.end()
        if now is None:
            reading = done.stage("profiling", second)
            now = profile_source(second, layout, width, **options, progress=reading)
        if not now.rows.sum():
            raise EmptyInput(f"{second.name} has no rows (with a timestamp); nothing to compare")
        then, partial = whole_windows(then, first.name)
        now, cut = whole_windows(now, second.name)
        return then, now, [*self.notes, *_never_positive(layout), *partial, *cut]


def _never_positive(layout: Layout) -> list[str]:
    """Say so where predictions are words, and none of them is the positive class."""
    schema = layout.schema
    column = schema.role(Role.PREDICTION)
    bins = None if column is None else layout.bins.get(column.name)
    if schema.task is not Task.BINARY or column is None or not isinstance(bins, CategoryBins):
        return []
    words = bins.values
    if column.type is not ColumnType.CATEGORICAL or len(words) < 2:
        return []
    if (truth(pa.array(words, pa.string()), schema.positive) == 1).any():
        return []
    said = ", ".join(repr(word) for word in words[:3]) + (", …" if len(words) > 3 else "")
    return [
        f"{column.name!r} says {said} and never the positive class {schema.positive!r}, so every "
        "prediction is read as negative; write labels and predictions alike, or name the positive "
        "class in the schema"
    ]


def open_sides(
    reference: Any,
    current: Any,
    schema: Schema | str | os.PathLike[str] | None,
    segments: Segments,
) -> Sides:
    """Open both sources, with the schema that was given or that the reference suggests.

    Raises
    ------
    BadInput
        If a source cannot be read, or cannot be segmented as was asked for.
    """
    first = open_source(reference, _name(reference, "reference"))
    second = open_source(current, _name(current, "current"))
    known = schema_of(schema, first, divided_by(segments, first))
    return Sides(first, second, current, known)


class _Stages:
    """Tells a caller how far each stage is."""

    def __init__(self, call: Progress | None) -> None:
        self._call = call

    def stage(self, name: str, source: Source) -> Callable[[int], None]:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            if self._call is not None:
                self._call(name, done, source.rows)

        return advance


def _name(what: Any, side: str) -> str:
    return str(what) if isinstance(what, str | os.PathLike) else side
