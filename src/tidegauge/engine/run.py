"""Runs a source through the survey or the profiler, one batch read ahead in a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow as pa

from tidegauge.engine.source import Source
from tidegauge.profile import Layout, Profile, Profiler, Survey
from tidegauge.profile.sample import SAMPLE_SIZE
from tidegauge.schema import Schema

#: Called with the number of rows just read.
Progress = Callable[[int], None]


def _quiet(rows: int) -> None:
    del rows


def ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read one batch ahead, in a thread, while the one before is worked on.

    Examples
    --------
    >>> [b.num_rows for b in ahead(iter(pa.table({"x": [1, 2]}).to_batches(1)))]
    [1, 1]
    """
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = reader.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = reader.submit(next, batches, None)
            yield batch


def survey_source(source: Source, schema: Schema, *, progress: Progress = _quiet) -> Survey:
    """Look once over a baseline's rows."""
    survey = Survey(schema)
    held = set(source.arrow_schema().names)
    for batch in ahead(source.batches([name for name in survey.columns if name in held])):
        survey.update(batch)
        progress(batch.num_rows)
    return survey


def profile_source(
    source: Source,
    layout: Layout,
    width: timedelta | None = None,
    *,
    sample: int = SAMPLE_SIZE,
    summarised: Collection[str] | None = None,
    progress: Progress = _quiet,
) -> Profile:
    """Profile all rows of a source; the options are those of :class:`Profiler`."""
    held = set(source.arrow_schema().names)
    columns = [c.name for c in layout.schema if c.name in held]
    profiler = Profiler(layout, width, sample=sample, summarised=summarised)
    for batch in ahead(source.batches(columns)):
        profiler.update(batch)
        progress(batch.num_rows)
    return profiler.finish()
