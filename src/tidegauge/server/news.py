"""The news of one model, put together: what one round of the scheduler works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from tidegauge.catalog.news import Unread
from tidegauge.catalog.tables import News
from tidegauge.lake.arrivals import Arrival


@dataclass(frozen=True)
class Fresh:
    """What came to a model since the scheduler looked last.

    Parameters
    ----------
    ids : tuple of int
        The news' ids, to be done with once everything is stored.
    first_event, last_event : datetime or None
        Least and greatest event time of the records.
    labelled : tuple of Arrival
        Where among the rows the labels are.
    recorded : tuple of (datetime, datetime, Arrival)
        Likewise the records, with the bounds of their event times.
    """

    ids: tuple[int, ...] = ()
    first_event: datetime | None = None
    last_event: datetime | None = None
    labelled: tuple[Arrival, ...] = ()
    recorded: tuple[tuple[datetime, datetime, Arrival], ...] = ()

    def with_news(self, news: News) -> Fresh:
        """Return what this and further news tell together."""
        came = Arrival(news.journal, news.first_offset, news.last_offset)
        grown = replace(self, ids=(*self.ids, news.id))
        if news.labels:
            grown = replace(grown, labelled=(*grown.labelled, came))
        first, last = news.first_event, news.last_event
        if first is None or last is None:
            return grown
        return replace(
            grown,
            first_event=first if self.first_event is None else min(first, self.first_event),
            last_event=last if self.last_event is None else max(last, self.last_event),
            recorded=(*grown.recorded, (first, last, came)),
        )


def by_model(news: Iterable[News]) -> dict[tuple[str, str], Fresh]:
    """Put news together by project and model."""
    held: dict[tuple[str, str], Fresh] = {}
    for one in news:
        key = one.project, one.model
        held[key] = held.get(key, Fresh()).with_news(one)
    return held


def has_late(unread: Unread, closed_until: datetime | None) -> bool:
    """Whether news that were not read yet will have windows computed again."""
    if closed_until is None:
        return False
    first = unread.first_event
    return unread.labels > 0 or (first is not None and first < closed_until)
