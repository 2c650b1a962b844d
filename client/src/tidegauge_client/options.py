"""How much a client may hold, how it groups what it sends, and how long it tries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Options:
    """The limits of one client; ``Client`` says what each is for.

    Examples
    --------
    >>> Options(batch_records=0)
    Traceback (most recent call last):
    ...
    ValueError: batch_records must be at least 1, not 0
    """

    queue_records: int = 100_000
    queue_bytes: int = 64 * MIB
    batch_records: int = 2_000
    batch_bytes: int = 4 * MIB
    flush_interval: float = 1.0
    timeout: float = 10.0
    max_retries: int = 20
    backoff: float = 0.5
    max_backoff: float = 30.0
    exit_timeout: float = 5.0
    spool: Path | None = None
    spool_bytes: int = 1024 * MIB

    def __post_init__(self) -> None:
        """Refuse limits that nothing could be sent within."""
        counts = ("queue_records", "queue_bytes", "batch_records", "batch_bytes", "spool_bytes")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("flush_interval", "max_retries", "backoff", "max_backoff", "exit_timeout"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.timeout <= 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")
        if self.spool is not None:
            _check_spool(self.spool)

    @property
    def frame_records(self) -> int:
        """The most rows of a frame in one request: two such requests fit the queue."""
        return max(1, self.queue_records // 2)


def _check_spool(folder: Path) -> None:
    """Refuse what can never be a spool; a disk that is full or missing may be mended later."""
    from tidegauge_client.spool_folder import can_lock

    if not can_lock():
        raise ValueError("spool needs the file locks of Linux or macOS, which Windows has not")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"spool must be a folder; {folder} is a file")
