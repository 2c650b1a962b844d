"""Earlier results of a model as they are stored, for thresholds that are relative to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegauge.lake.wildcard import ANY
from tidegauge.metrics.registry import Values
from tidegauge.monitor.thresholds import Asked, Past, Place, past_of_points
from tidegauge.profile.layout import Layout, to_datetime
from tidegauge.server.known import Model

if TYPE_CHECKING:
    from tidegauge.server.runtime import Runtime


def stored_past(runtime: Runtime, model: Model, version: str | None, layout: Layout) -> Past:
    """Return what brings earlier stored results of a version, in one read."""

    def past(asked: Asked) -> dict[Place, Values]:
        first, last = (to_datetime(edge(asked.starts)) for edge in (min, max))
        points = runtime.engine.points(
            model.project,
            model.name,
            start=first,
            end=last + model.window,
            segment=ANY if asked.segments else None,
            version=version,
        )
        return past_of_points(points, asked, layout)

    return past
