"""The lake, watched: calls of its store that failed are counted, whoever made them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from tidegauge.errors import Unavailable
from tidegauge.lake.tables import Lake

_OF_THE_STORE = (OSError, DeltaError, Unavailable)


class CountedLake(Lake):
    """A lake that tells of failed calls.

    Attributes
    ----------
    on_failure : callable
        Takes what was done (``check``, ``log``, ``read``, ``write``), once for each error.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> lake = CountedLake(Path(folder.name) / "file")
    >>> failures = []
    >>> lake.on_failure = failures.append
    >>> _ = Path(lake.root).write_text("no folder")
    >>> try:
    ...     lake.check()
    ... except Unavailable:
    ...     print(failures)
    ['check']
    >>> folder.cleanup()
    """

    on_failure: Callable[[str], None] = staticmethod(lambda _: None)

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        try:
            yield
        except _OF_THE_STORE as error:
            if not getattr(error, "counted", False):
                error.counted = True  # type: ignore[union-attr]  # A mark of ours on any of them.
                self.on_failure(what)
            raise

    def check(self, *, writing: bool = False) -> None:
        """Try to reach the lake."""
        with self._counted("check"):
            super().check(writing=writing)

    def append(self, *names: Any, **options: Any) -> int:
        """Add rows in one commit."""
        with self._counted("write"):
            return super().append(*names, **options)

    def _copied(self, *names: Any) -> list[str]:
        with self._counted("read"):
            return super()._copied(*names)

    def _refreshed(self, *names: Any) -> DeltaTable | None:
        with self._counted("log"):
            return super()._refreshed(*names)
