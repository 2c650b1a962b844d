"""For how long a model's records and profiles are kept, as documents and the API say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegauge.schema.durations import duration_text, read_duration
from tidegauge.schema.reading import Kind, Node, mapping, problem
from tidegauge.schema.yaml import json_node

_KEYS = ("records", "profiles")
_DAY = timedelta(days=1)
_FORM = "{records: 90d, profiles: 2y}"


@dataclass(frozen=True)
class Retention:
    """For how long things are kept after the time of their event; None for ever.

    Parameters
    ----------
    records : timedelta, optional
        Records, their labels, and what is in quarantine.
    profiles : timedelta, optional
        Profiles and results of windows.
    """

    records: timedelta | None = None
    profiles: timedelta | None = None

    def warnings(self, label_horizon: timedelta) -> list[str]:
        """Return what somebody who sets this should know.

        Examples
        --------
        >>> Retention(timedelta(days=30)).warnings(timedelta(days=90))[0][:56]
        'labels are waited for 90d, and records are kept only 30d'
        """
        if self.records is None or self.records >= label_horizon:
            return []
        return [
            f"labels are waited for {duration_text(label_horizon)}, and records are kept only "
            f"{duration_text(self.records)}: a label that comes after that has no record left, and "
            "its window stays as it is"
        ]


def read_retention(node: Node) -> Retention:
    """Return the retention that a place of a document says.

    Raises
    ------
    SchemaError
        The message names the place.
    """
    if node.kind is Kind.NOTHING:
        return Retention()
    parts = mapping(node, "a retention", _KEYS, form=_FORM)
    held = Retention(**{name: _span(part, name) for name, part in parts.items()})
    if held.records is not None and held.profiles is not None and held.profiles < held.records:
        raise problem(
            parts["profiles"],
            f"profiles cannot be kept shorter ({duration_text(held.profiles)}) than the records "
            f"that they are made of ({duration_text(held.records)})",
            "bad_retention",
        )
    return held


def retention_from_json(data: object, source: str = "retention") -> Retention:
    """Return the retention that JSON values say, as `retention_to_json` gives them.

    Examples
    --------
    >>> retention_from_json({"records": "90d"})
    Retention(records=datetime.timedelta(days=90), profiles=None)
    >>> retention_from_json({"records": "soon"})
    Traceback (most recent call last):
    tidegauge.errors.SchemaError: retention.records: 'soon' is no span of time; write 90d, 12w or
    2y, or null for ever
    """
    return read_retention(json_node(data, source))


def retention_to_json(retention: Retention) -> dict[str, Any]:
    """Return a retention as JSON values; null is for ever.

    Examples
    --------
    >>> retention_to_json(Retention(timedelta(days=90)))
    {'records': '90d', 'profiles': None}
    """
    return {name: _text(getattr(retention, name)) for name in _KEYS}


def retention_of(settings: Mapping[str, Any]) -> Retention:
    """Return the retention among a model's settings, as the catalog has them."""
    return retention_from_json(settings.get("retention"))


def _span(node: Node, name: str) -> timedelta | None:
    if node.kind is Kind.NOTHING:
        return None
    if node.kind in (Kind.LIST, Kind.MAPPING, Kind.BOOLEAN):
        raise problem(
            node,
            f"{name} must be a span of time such as 90d, not {node.kind.value}",
            "bad_retention",
        )
    span = read_duration(node.text)
    if span is None:
        raise problem(
            node,
            f"{node.text!r} is no span of time; write 90d, 12w or 2y, or null for ever",
            "bad_retention",
        )
    if span < _DAY:
        raise problem(
            node,
            f"{name} are kept by whole days; {node.text!r} is less than one",
            "bad_retention",
        )
    return span


def _text(span: timedelta | None) -> str | None:
    return None if span is None else duration_text(span)
