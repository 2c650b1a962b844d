"""Runs a command as a whole process and takes its time and peak memory; standard library only.

Linux lets a child's peak memory start at its parent's, so whoever measures must be small: import no
NumPy, PyArrow or DuckDB into a process that calls `run`.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What one process, or the median of several, took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """A measured command ended with an exit code that is not expected of it."""

    def __init__(self, command: Sequence[str], code: int, errors: str) -> None:
        self.command = command
        self.code = code
        name = Path(command[0]).name
        super().__init__(f"{name} {' '.join(command[1:])} ended with {code}\n{errors}")


def run(command: Sequence[str], expect: int = 0) -> Run:
    """Time one process from start to end, start-up included.

    The peak is that of the process itself or of a child it waited for, whichever is greater; the
    operating system gives no sum.

    Raises
    ------
    CommandFailed
        If it exits with anything but `expect`.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expect:
        raise CommandFailed(command, process.returncode, errors[-2000:])
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def median(runs: Sequence[Run]) -> Run:
    """The median of each field by itself."""
    return Run(
        statistics.median(r.seconds for r in runs),
        statistics.median(r.cpu_seconds for r in runs),
        int(statistics.median(r.peak_bytes for r in runs)),
    )


def interleaved(*commands: Callable[[], Run], repeats: int = 5) -> list[Run]:
    """Medians of several commands run in turn: A B A B …, after one unmeasured round.

    So what the machine does besides falls on all of them alike, and files are in the page cache.
    """
    for command in commands:
        command()
    rounds = [[command() for command in commands] for _ in range(repeats)]
    return [median(runs) for runs in zip(*rounds, strict=True)]
