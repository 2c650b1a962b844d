"""Runs peers over the same simulated months, once, and keeps what they came to by version.

`python -m benchmarks.detection --peers` does so anew. A month's folder holds ``baseline.parquet``
and ``watched.parquet``, and in ``changes/`` the first two watched windows of one changed column
each: peers judge a column by itself, so nothing else is needed to see whether they find it.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.datasets import CACHE
from benchmarks.detection_runs import BASELINE_WINDOWS, POWERS, Power
from benchmarks.peers import EVIDENTLY, Peer, cpu_model, versions
from benchmarks.streams import BASELINE, WATCHED, WIDTH, Kind, Stream

KEPT = Path(__file__).with_name("peers_detection.json")
WITHIN = 2
#: Peers tell nobody that they were used.
UNTOLD = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}

# NannyML 0.13.1 does not ask for statsmodels, which it imports; it was made for pandas before 3.
NANNYML = Peer(
    name="nannyml",
    version="0.13.1",
    beside=("pandas<3", "pyarrow", "statsmodels"),
    script=Path(__file__).with_name("peer_streams_nannyml.py"),
    task="UnivariateDriftCalculator with its defaults, a chunk a day",
    at_least=0,
)
DRIFT_PRESET = Peer(
    EVIDENTLY.name,
    EVIDENTLY.version,
    EVIDENTLY.beside,
    Path(__file__).with_name("peer_streams_evidently.py"),
    "DataDriftPreset with its defaults, each day against the baseline's rows",
    at_least=0,
)
#: Months of each kind that a peer is run over; Evidently takes most of a minute for one.
MONTHS = {NANNYML: 40, DRIFT_PRESET: 8}


@dataclass(frozen=True)
class MonthOfPeer:
    """What a peer came to in one month.

    Parameters
    ----------
    month : str
    windows : int
    alarmed : mapping of rule to int
        Watched windows alarmed while nothing changed, by what is taken for an alarm.
    found : mapping of change to bool
        Whether it was found on its column within two windows.
    """

    month: str
    windows: int
    alarmed: dict[str, int]
    found: dict[str, bool]


@dataclass(frozen=True)
class KeptMonths:
    """What a peer came to in the months of one kind, with all that is needed to do it again."""

    peer: str
    version: str
    task: str
    kind: str
    months: list[MonthOfPeer]
    seconds: float
    cpu: str
    cores: int
    python: str
    packages: str
    date: str


#: The kinds of months that peers are run over.
KINDS = (Kind.IID, Kind.REALISTIC)


def looked_for(kind: Kind) -> dict[str, Power]:
    """The changes that peers are given as well, by the name of their file."""
    return {
        power.what.value: power
        for power in POWERS
        if (power.kind, power.baseline_windows, power.within) == (kind, BASELINE_WINDOWS, WITHIN)
    }


def kept() -> list[KeptMonths]:
    """All that is on record."""
    entries = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return [
        KeptMonths(**{**entry, "months": [MonthOfPeer(**month) for month in entry["months"]]})
        for entry in entries
    ]


def keep(figure: KeptMonths) -> None:
    """Put months on record, in the place of older ones of the same version and kind."""
    same = (figure.peer, figure.version, figure.kind)
    others = [one for one in kept() if (one.peer, one.version, one.kind) != same]
    held = sorted([*others, figure], key=lambda one: (one.peer, one.version, one.kind))
    KEPT.write_text(json.dumps([asdict(one) for one in held], indent=1) + "\n")


def write_month(kind: Kind, month: int) -> Path:
    """Write a month's folder: the same rows that are counted in that month here."""
    folder = CACHE / "streams" / f"{kind}-{month}"
    stream = Stream(kind, month, BASELINE_WINDOWS)
    (folder / "changes").mkdir(parents=True, exist_ok=True)
    _write(stream.table(BASELINE), folder / "baseline.parquet")
    _write(stream.table(WATCHED), folder / "watched.parquet")
    end = stream.starts(WATCHED)[0] + WITHIN * WIDTH
    for name, power in looked_for(kind).items():
        change = stream.pick(power.what, power.size)
        table = stream.table(WATCHED, ["timestamp", change.column], change)
        early = pc.less(table["timestamp"], pa.scalar(end, table["timestamp"].type))
        _write(table.filter(early), folder / "changes" / f"{name}.parquet")
    return folder


def _write(table: pa.Table, path: Path) -> None:
    """Write a table in the order of time, as a peer expects it."""
    pq.write_table(table.take(pa.array(np.argsort(table["timestamp"].to_numpy()))), path)


def measure(peer: Peer, kind: Kind, months: int) -> KeptMonths:
    """Run a peer over the first months of a kind, in one process."""
    python = peer.install()
    folders = [str(write_month(kind, month)) for month in range(months)]
    out = CACHE / f"{peer.name}-{kind}.json"
    started = time.perf_counter()
    command = [str(python), "-W", "ignore", str(peer.script), str(out), *folders]
    subprocess.run(command, check=True, env={**os.environ, **UNTOLD})
    return KeptMonths(
        peer=peer.name,
        version=peer.version,
        task=peer.task,
        kind=kind.value,
        months=[MonthOfPeer(**month) for month in json.loads(out.read_text())],
        seconds=round(time.perf_counter() - started, 1),
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        packages=versions(python, "numpy", "pandas", "pyarrow", "scipy"),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def measure_all() -> None:
    """Run every peer over the two kinds that show most."""
    for kind in KINDS:
        for peer, months in MONTHS.items():
            keep(measure(peer, kind, months))


if __name__ == "__main__":
    measure_all()
