"""A lock on a file, so that one process at a time holds what stands beside it."""

from __future__ import annotations

import os
from pathlib import Path

from tidegauge.errors import BadInput, Conflict

try:
    import fcntl
except ImportError:  # Windows has no flock; there SQLite's own locks are all that guards a file.
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """An exclusive lock that the operating system lets go when its process ends.

    Parameters
    ----------
    path : Path
        The lock's own file, made if it is not there.
    name : str
        What is locked, for the message to a person.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lock = FileLock(Path(folder.name) / "x.lock", "the example")
    >>> lock.acquire(); lock.release(); folder.cleanup()
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        Conflict
            When another process holds it.
        BadInput
            When its folder cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BadInput(
                f"the folder {self.path.parent} cannot be written ({error.strerror}); make it "
                "writable, or name another",
                code="bad_data_folder",
            ) from None
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise Conflict(
                    f"another process holds {self.name} ({self.path}); stop it, or give this one "
                    "a data folder of its own",
                    code="locked",
                ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
