"""How a server stops: it says at once that it is not ready, and goes on answering for a while."""

from __future__ import annotations

import time
from types import FrameType

import uvicorn

from tidegauge.server.life import Life


class GentleServer(uvicorn.Server):
    """Told to stop it is no longer ready; after a delay it takes nothing more, drains and ends.

    Attributes
    ----------
    life : Life
        Of the application.
    delay : float
        Seconds for load balancers to learn that it is not ready.
    """

    life: Life
    delay: float = 0.0
    _told_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; told a second time, without further delay."""
        self.life.begin("stopping")
        if self._told_at is None and self.delay > 0:
            self._told_at = time.monotonic()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Tell, ten times a second, whether to end."""
        if self._told_at is not None and time.monotonic() - self._told_at >= self.delay:
            self.should_exit = True
        return await super().on_tick(counter)
