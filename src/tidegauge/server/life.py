"""A server's life: it starts, runs, stops; what it answers before it runs."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from tidegauge.server.problems import problem

Phase: TypeAlias = Literal["starting", "running", "stopping"]

_WORDS: dict[Phase, str] = {
    "starting": "the server is starting: it opens its journal, catalog and lake",
    "running": "the server runs",
    "stopping": "the server was told to stop: it ends what it has begun",
}
#: What is answered even before the server runs.
_ALWAYS = frozenset({"/healthz", "/readyz"})


class Life:
    """Which phase a server is in.

    Attributes
    ----------
    phase : {"starting", "running", "stopping"}
    since : datetime
        When that began.
    opened : bool
        Whether it has come to run; it may be stopping by now.

    Examples
    --------
    >>> life = Life()
    >>> life.begin("running")
    >>> life.phase, life.words
    ('running', 'the server runs')
    """

    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self.since = datetime.now(UTC)
        self.opened = False

    def begin(self, phase: Phase) -> None:
        """Enter a phase; from ``stopping`` there is no way back."""
        self.opened |= phase == "running" and self.phase != "stopping"
        if self.phase not in (phase, "stopping"):
            self.phase, self.since = phase, datetime.now(UTC)

    @property
    def words(self) -> str:
        """The phase in a sentence."""
        return _WORDS[self.phase]


class Gate:
    """Answers 503 until the server runs; from then on it stands open.

    Parameters
    ----------
    app : ASGI application
    life : Life
    """

    def __init__(self, app: ASGIApp, life: Life) -> None:
        self.app = app
        self.life = life

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request on, or ask to come again."""
        if self.life.opened or scope["type"] != "http" or scope["path"] in _ALWAYS:
            return self.app(scope, receive, send)
        refusal = problem(503, self.life.phase, self.life.words, {"Retry-After": "1"})
        return refusal(scope, receive, send)
