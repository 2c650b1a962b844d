"""A file profiled in a process beside this one, so that two cores really work on two files.

Threads share one interpreter, and profiling is many short calls: two threads were measured to be
no quicker than one. Profiles merge and travel as bytes, so a second process costs its start, which
passes while the reference is being looked at. Where no process can be had, this one does the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegauge.engine.open import open_source
from tidegauge.engine.run import profile_source
from tidegauge.engine.source import Source
from tidegauge.engine.startup import only_files
from tidegauge.errors import BadInput, TidegaugeError
from tidegauge.profile import Baseline, Layout, Profile

#: Rows from which a process of its own is worth its start.
WORTH_ROWS = 250_000


class Beside:
    """A process that waits for a layout and then profiles one file with it.

    Parameters
    ----------
    path : str
        As a person named it.
    name : str
        What messages call it.
    """

    def __init__(self, path: str, name: str) -> None:
        self._asked = {"path": path, "name": name}
        self._process: subprocess.Popen[bytes] | None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tidegauge.engine.beside"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None

    def begin(self, layout: Layout, width: timedelta | None) -> None:
        """Hand over the layout; the work begins."""
        seconds = None if width is None else width.total_seconds()
        told = {**self._asked, "layout": layout.dumps(), "seconds": seconds}
        if self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.write(json.dumps(told).encode())
                self._process.stdin.close()
            except OSError:
                self.end()

    def result(self, layout: Layout) -> Profile | None:
        """Wait for the profile, under this layout; None where the process failed.

        Raises
        ------
        BadInput
            What was wrong with the file.
        """
        if self._process is None or self._process.stdout is None:
            return None
        body = self._process.stdout.read()
        code = self._process.wait()
        self.end()
        if code != 0 or not body:
            return None
        if body.startswith(b"{"):
            wrong = json.loads(body)
            raise BadInput(wrong["message"], code=wrong["code"])
        held = Baseline.from_bytes(body).profile
        return Profile(layout, held.windows, held.width, held.arrays, held.sample)

    def end(self) -> None:
        """End the process, if it has not ended by itself."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()


def beside(what: Any, source: Source) -> Beside | None:
    """Start a process for a source if that is worth it: many rows, and a core to spare."""
    if not isinstance(what, str | os.PathLike) or (os.cpu_count() or 1) < 2:
        return None
    if source.rows is None or source.rows < WORTH_ROWS:
        return None
    return Beside(os.fspath(what), source.name)


def main() -> None:
    """Profile what is asked on standard input; the profile goes to standard output."""
    only_files()
    asked = json.loads(sys.stdin.buffer.read())
    try:
        layout = Layout.loads(asked["layout"])
        width = None if asked["seconds"] is None else timedelta(seconds=asked["seconds"])
        profile = profile_source(open_source(asked["path"], asked["name"]), layout, width)
        body = Baseline(profile, datetime.now(UTC)).to_bytes()
    except TidegaugeError as error:
        body = json.dumps({"code": error.code, "message": error.message}).encode()
    sys.stdout.buffer.write(body)


if __name__ == "__main__":
    main()
