"""How far the work on a model has come, and which of its windows that leaves to close.

What is remembered of a model between two looks at it stands in the catalog, so another server, or
the same one after a restart, goes on where the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tidegauge.profile.layout import to_datetime, to_micros, window_floor
from tidegauge.server.known import Model


@dataclass
class Progress:
    """How far the work on a model has come.

    Parameters
    ----------
    first_event, last_event : datetime or None
        Least and greatest event time that was committed.
    closed_until : datetime or None
        End of the newest closed window.
    due : dict of datetime to datetime
        Windows to be computed again, and when.
    restated : dict of datetime to datetime
        When windows were computed again last, for a while.
    unfinished : datetime or None
        Start of the oldest window whose labels are not final.
    baseline_id : str
        The baseline that windows were closed with.
    newest_label : datetime or None
        Event time of the newest record with a label in any window so far.
    judged_at : datetime or None
        When windows were judged last, by the clock or a little after it.
    unseen_after : int or None
        Of a model that an older version watched, the offset up to which that looked for what came
        late; until somebody has looked at what is newer.
    """

    first_event: datetime | None = None
    last_event: datetime | None = None
    closed_until: datetime | None = None
    due: dict[datetime, datetime] = field(default_factory=dict)
    restated: dict[datetime, datetime] = field(default_factory=dict)
    unfinished: datetime | None = None
    baseline_id: str = ""
    newest_label: datetime | None = None
    judged_at: datetime | None = None
    unseen_after: int | None = None

    def begin_again(self) -> None:
        """Have every window closed anew, since there is another baseline."""
        self.closed_until = self.unfinished = None
        self.due, self.restated = {}, {}

    def widen(self, first: datetime | None, last: datetime | None) -> None:
        """Take note that records between two event times are there."""
        firsts = [t for t in (self.first_event, first) if t is not None]
        lasts = [t for t in (self.last_event, last) if t is not None]
        self.first_event = min(firsts, default=None)
        self.last_event = max(lasts, default=None)

    def judging_at(self, now: datetime) -> datetime:
        """Return the moment of a judgement: now, but always later than that of any before.

        So what is judged again counts, even where a clock went back or another server's is behind.
        """
        if self.judged_at is not None and now <= self.judged_at:
            now = self.judged_at + timedelta(microseconds=1)
        self.judged_at = now
        return now

    def due_now(self, now: datetime, longest: timedelta) -> list[datetime]:
        """Return the windows to be computed again now, in order.

        None waits for longer than it can have been meant to, whatever became of the clock.
        """
        return sorted(start for start, at in self.due.items() if at <= now or at > now + longest)

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Progress:
        """Return what ``dump`` gave."""

        def time(name: str) -> datetime | None:
            text = stored.get(name)
            return None if text is None else datetime.fromisoformat(text)

        def times(name: str) -> dict[datetime, datetime]:
            held: dict[str, str] = stored.get(name, {})
            return {datetime.fromisoformat(k): datetime.fromisoformat(v) for k, v in held.items()}

        return cls(
            time("first_event"),
            time("last_event"),
            time("closed_until"),
            times("due"),
            times("restated"),
            time("unfinished"),
            str(stored.get("baseline_id", "")),
            time("newest_label"),
            time("judged_at"),
            stored.get("seen_offset"),
        )

    def dump(self) -> dict[str, Any]:
        """Return the progress as JSON can hold it."""

        def text(moment: datetime | None) -> str | None:
            return None if moment is None else moment.isoformat()

        return {
            "first_event": text(self.first_event),
            "last_event": text(self.last_event),
            "closed_until": text(self.closed_until),
            "due": {k.isoformat(): v.isoformat() for k, v in self.due.items()},
            "restated": {k.isoformat(): v.isoformat() for k, v in self.restated.items()},
            "unfinished": text(self.unfinished),
            "baseline_id": self.baseline_id,
            "newest_label": text(self.newest_label),
            "judged_at": text(self.judged_at),
            "seen_offset": self.unseen_after,
        }


def closable(
    model: Model, progress: Progress, now: datetime, most: int | None = None
) -> list[datetime]:
    """Return the starts of the windows of a model that can be closed, in order.

    A window closes once the greatest committed event time, less the lateness, has passed its
    end. While a model is live, the clock closes windows too, so that silence is seen.

    Parameters
    ----------
    model : Model
    progress : Progress
    now : datetime
    most : int, optional
        So many of them at most, the oldest.
    """
    start, count = _open_windows(model, progress, now)
    few = count if most is None else min(count, most)
    return [start + at * model.window for at in range(few)]


def count_closable(model: Model, progress: Progress, now: datetime) -> int:
    """Return how many windows of a model can be closed."""
    return _open_windows(model, progress, now)[1]


def _open_windows(model: Model, progress: Progress, now: datetime) -> tuple[datetime, int]:
    """Return the start of the first window that can be closed, and how many can."""
    if progress.first_event is None or progress.last_event is None:
        return now, 0
    passed = progress.last_event - model.lateness
    if now - progress.last_event <= model.lateness + 2 * model.window:
        passed = max(passed, now - model.lateness)
    start = progress.closed_until or window_start(progress.first_event, model.window)
    if model.records_from is not None and start < model.records_from:
        # Windows whose records were dropped stay as they are.
        start = window_start(model.records_from + model.window, model.window)
        if start - model.window == model.records_from:
            start = model.records_from
    return start, max(0, (passed - start) // model.window)


def window_start(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the window that holds a moment.

    Examples
    --------
    >>> window_start(datetime(2026, 1, 1, 17, tzinfo=UTC), timedelta(days=1)).isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    return to_datetime(int(window_floor(np.array([to_micros(moment)]), width)[0]))


def utc_now() -> datetime:
    """Return the clock."""
    return datetime.now(UTC)
