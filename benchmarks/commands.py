"""The commands that are timed: the floor and `tidegauge compare`, each as a whole process."""

import sys
from pathlib import Path

from benchmarks.datasets import CACHE, Dataset
from benchmarks.measure import Run, run

REPORT = CACHE / "report.html"


def make_data(*datasets: Dataset) -> None:
    """Write the files that the cache lacks, in a process of its own (see `measure.py` for why)."""
    missing = [d.name for d in datasets if not d.path.exists()]
    if missing:
        run([sys.executable, "-m", "benchmarks.data", *missing])


def floor(reference: Dataset, current: Dataset) -> Run:
    """DuckDB reading and summing both files."""
    script = Path(__file__).with_name("floor.py")
    return run([sys.executable, str(script), str(reference.path), str(current.path)])


def compare(reference: Dataset, current: Dataset) -> Run:
    """`tidegauge compare` with a report; exit code 1, as it must find the planted drift."""
    command = Path(sys.executable).with_name("tidegauge")
    REPORT.unlink(missing_ok=True)
    files = [str(reference.path), str(current.path)]
    took = run([str(command), "compare", *files, "--html", str(REPORT), "--quiet"], expect=1)
    if not REPORT.exists():
        raise FileNotFoundError(f"tidegauge compare wrote no {REPORT}")
    return took
