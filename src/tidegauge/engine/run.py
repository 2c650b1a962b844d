"""Runs a source through the survey or the profiler, columns side by side on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from tidegauge.engine.source import Source
from tidegauge.profile import Layout, Profile, Profiler, Survey
from tidegauge.profile.sample import SAMPLE_SIZE
from tidegauge.schema import Schema

#: Called with the number of rows just read.
Progress = Callable[[int], None]


def _quiet(rows: int) -> None:
    del rows


def survey_source(source: Source, schema: Schema, *, progress: Progress = _quiet) -> Survey:
    """Look once over a baseline's rows."""
    survey = Survey(schema)
    held = set(source.arrow_schema().names)
    for batch in source.batches([name for name in survey.columns if name in held]):
        survey.update(batch)
        progress(batch.num_rows)
    return survey


def profile_source(
    source: Source,
    layout: Layout,
    width: timedelta | None = None,
    *,
    sample: int = SAMPLE_SIZE,
    progress: Progress = _quiet,
) -> Profile:
    """Profile all rows of a source."""
    held = set(source.arrow_schema().names)
    columns = [c.name for c in layout.schema if c.name in held]
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as executor:
        profiler = Profiler(layout, width, sample=sample, executor=executor)
        for batch in source.batches(columns):
            profiler.update(batch)
            progress(batch.num_rows)
        return profiler.finish()
