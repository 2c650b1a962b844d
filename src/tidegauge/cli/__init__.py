"""The command line: reads arguments, calls the parts, says what came out. Holds no logic.

One file a group of commands; each puts its commands on the `app` of ``app.py``.
"""

from __future__ import annotations

import sys

from tidegauge.cli import (
    columns,
    comparing,
    erasing,
    estimating,
    explaining,
    keeping,
    quarantine,
    running,
    segments,
    versions,
    watching,
)
from tidegauge.cli.app import app
from tidegauge.errors import TidegaugeError

__all__ = [
    "app",
    "columns",
    "comparing",
    "erasing",
    "estimating",
    "explaining",
    "keeping",
    "main",
    "quarantine",
    "running",
    "segments",
    "versions",
    "watching",
]


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    try:
        app()
    except TidegaugeError as error:
        print(f"tidegauge: error: {error.message}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
