"""Holds the server's pages against their promised times: `python -m benchmarks.pages`.

A real server serves a model with 365 daily windows, 50 columns and 5 segments (`year.py`). Times
are the server's own, as it tells them in `Server-Timing`: from the request to the finished page.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.compare import BUSY
from benchmarks.peers import cpu_model

UNCACHED, CACHED = 150.0, 50.0
"""Milliseconds that a page may take at the median."""

ROUNDS = 7
BASE = "/projects/default/models/year"
PAGES = {
    "all models": "/",
    "model": BASE,
    "model, 90 days": f"{BASE}?start=2025-10-03",
    "model, one segment": f"{BASE}?segment=region:west",
    "column, numeric": f"{BASE}/columns/amount_03",
    "column, categorical": f"{BASE}/columns/kind_4",
    "incidents": f"{BASE}/incidents",
    "incident": f"{BASE}/incidents/{{incident}}",
    "window": f"{BASE}/windows/2025-05-05",
}


@dataclass(frozen=True)
class Answer:
    """One answer: what the server says it took, whether from memory, and its size."""

    milliseconds: float
    cached: bool
    size: int
    body: str


def ask(address: str) -> Answer:
    """Ask for a page.

    Raises
    ------
    HTTPError
        If there is none.
    """
    with urlopen(Request(address, headers={"Accept": "text/html"}), timeout=60) as answer:
        body = answer.read()
        timing = answer.headers["Server-Timing"]
    total = re.search(r"total;dur=([\d.]+)", timing)
    assert total is not None, timing
    return Answer(float(total[1]), 'desc="hit"' in timing, len(body), body.decode())


def touch(folder: Path, at: int) -> None:
    """Commit one more result, as a window that is judged again does: nothing kept is true then."""
    import pyarrow as pa

    from tidegauge.lake.points import append_points
    from tidegauge.lake.tables import Lake
    from tidegauge.metrics.result import RESULT_SCHEMA

    start = datetime(2025, 12, 31, tzinfo=UTC)
    row = dict.fromkeys(RESULT_SCHEMA.names) | {
        "metric": "row_count",
        "window_start": start,
        "window_end": start + timedelta(days=1),
        "value": 400.0,
        "unit": "rows",
        "state": "ok",
        "n_current": 400,
        "model": "year",
        "computed_at": datetime.now(UTC) + timedelta(seconds=at),
    }
    append_points(
        Lake(folder / "lake"), "default", "year", pa.Table.from_pylist([row], RESULT_SCHEMA)
    )


def tidy(folder: Path) -> None:
    """Join the files of these commits, as the scheduler does before there are many."""
    from tidegauge.lake.tables import Lake
    from tidegauge.lake.upkeep import compact

    compact(Lake(folder / "lake"), "default", "year", "points", small_files=4)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `tidegauge serve`; yields its address."""
    command = [sys.executable, "-m", "tidegauge.cli", "serve", "--data", str(folder), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, f"the server did not start: {line!r}"
        yield found[0]
    finally:
        server.terminate()
        server.wait(30)


@dataclass(frozen=True)
class Figure:
    """Medians of one page."""

    name: str
    uncached: float
    cached: float
    size: int


def measure(address: str, folder: Path) -> Iterator[Figure]:
    """Take the medians of every page: after a commit, and again at once."""
    incident = re.search(r"/incidents/(\d+)", ask(address + BASE).body)
    number = incident[1] if incident else "1"
    pages = {name: address + path.replace("{incident}", number) for name, path in PAGES.items()}
    for name, page in pages.items():
        ask(page)
        slow, quick = [], []
        for at in range(ROUNDS):
            touch(folder, at)
            first = ask(page)
            assert not first.cached, f"{page} was kept, and should not have been"
            slow.append(first.milliseconds)
            second = ask(page)
            assert second.cached, f"{page} was not kept"
            quick.append(second.milliseconds)
        tidy(folder)
        yield Figure(name, statistics.median(slow), statistics.median(quick), second.size)


def table_of(figures: list[Figure]) -> Table:
    """The figures as a person reads them; bounds beside the times."""
    table = Table(title="pages of a model with 365 windows, 50 columns, 5 segments", box=None)
    for name in ("page", "after a commit", "", "again", "", "size"):
        table.add_column(name, justify="left" if name in ("page", "") else "right", no_wrap=True)
    for one in figures:
        table.add_row(
            one.name,
            f"{one.uncached:.0f} ms ≤ {UNCACHED:g}",
            _told(one.uncached <= UNCACHED),
            f"{one.cached:.1f} ms ≤ {CACHED:g}",
            _told(one.cached <= CACHED),
            f"{one.size / 1000:.0f} kB",
        )
    return table


def _told(reached: bool) -> str:
    return "[green]reached[/]" if reached else "[bold red]missed[/]"


def main() -> int:
    """Measure; the exit code tells of a missed bound only when asked to."""
    parser = argparse.ArgumentParser(prog="benchmarks.pages", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()
    console = Console()
    with console.status("making a model's year, once"):
        made = subprocess.run(
            [sys.executable, "-c", "from benchmarks.year import folder; print(folder())"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "year"
        shutil.copytree(made.stdout.strip(), folder)
        with serving(folder) as address, console.status("measuring"):
            figures = list(measure(address, folder))
    console.print(table_of(figures))
    console.print(
        f"{cpu_model()}, {os.cpu_count()} cores; load average {before:.1f} before. Medians of "
        f"{ROUNDS}; after a commit nothing that was kept of the model is true."
    )
    if before > BUSY:
        console.print(f"[yellow]The machine was busy (load above {BUSY:g}): measure again.[/]")
    missed = [one for one in figures if one.uncached > UNCACHED or one.cached > CACHED]
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (HTTPError, subprocess.CalledProcessError) as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        sys.exit(2)
