"""Why performance changed, on a page: the parts of a change, fetched when they come into sight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from tidegauge.catalog.tables import Incident
from tidegauge.explain.parts import Decomposition, Part
from tidegauge.report.charts import Spec
from tidegauge.report.charts.parts import PartRow, parts_chart
from tidegauge.report.format import interval
from tidegauge.schema import Role
from tidegauge.server.pages.history import History

#: What can be split, the first that a model has.
_SPLIT = ("roc_auc", "accuracy", "mae")
_WHOLE = {"total": "whole", "changed inputs": "half", "changed relation": "half"}


@dataclass(frozen=True)
class WhyPanel:
    """Where the parts of a change are fetched, and what they are of.

    Parameters
    ----------
    href : str
        Of the chart's specification.
    api : str
        Of the same in the API.
    metric : str
    words : str
        The time that is explained.
    """

    href: str
    api: str
    metric: str
    words: str


def why_panel(
    history: History,
    start: datetime,
    end: datetime,
    metric: str | None = None,
    version: str | None = None,
) -> WhyPanel | None:
    """Return where to fetch why performance changed; None for a model without labels or baseline.

    Parameters
    ----------
    history : History
    start, end : datetime
        What is held against the baseline.
    metric : str, optional
        The model's leading one by default.
    version : str, optional
    """
    schema = history.model.schema
    if history.baseline is None or schema.role(Role.LABEL) is None:
        return None
    judged = [one.name for one in history.judged]
    chosen = metric or next((name for name in _SPLIT if name in judged), None)
    if chosen is None:
        return None
    ends = [moment.astimezone(UTC).isoformat().replace("+00:00", "Z") for moment in (start, end)]
    asked = {"metric": chosen, "start": ends[0], "end": ends[1]}
    if version is not None:
        asked["version"] = version
    query = urlencode(asked, safe=":,")
    href, api = (
        f"{base}/decomposition?{query}" for base in (history.links.base, history.links.api)
    )
    return WhyPanel(href, api, chosen, interval(start, end))


def why_of(history: History, one: Incident) -> WhyPanel | None:
    """Return why performance changed over an incident's windows, by its own metric if any."""
    metric = one.evidence.get("metric") if one.kind == "performance" else None
    metric = None if metric == "concept_drift" else metric
    end = one.last_window + history.span.width
    return why_panel(history, one.first_window, end, metric, one.version)


def decomposition_chart(found: Decomposition) -> Spec:
    """Return the chart of a change's parts."""
    rows = [_row(label, part) for label, part in found.lines()]
    said = " ".join([found.sentence, *(f"{note[:1].upper()}{note[1:]}." for note in found.notes)])
    return parts_chart(rows, title=found.metric, unit=found.unit, said=said)


def _row(label: str, part: Part) -> PartRow:
    name = label.strip()
    kind = _WHOLE.get(label, "piece")
    return PartRow(
        name if kind != "piece" else f"· {name}",
        *(part.value, part.lower, part.upper),
        str(part),
        kind,
    )
