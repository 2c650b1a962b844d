"""Runs NannyML over the same streams, once, and keeps what it estimated, by version.

`python -m benchmarks.estimation --peers` does so anew. A stream's folder holds ``baseline.parquet``
and ``watched.parquet``. What it took for 1M records is kept beside the floor of that same run, as
in `peers.py`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.datasets import CACHE
from benchmarks.estimation_streams import Shift, Stream
from benchmarks.peers import Peer, cpu_model, versions
from benchmarks.peers_detection import NANNYML, UNTOLD
from tidegauge.schema import Task

KEPT = Path(__file__).with_name("peers_estimation.json")
PEER = Peer(
    NANNYML.name,
    NANNYML.version,
    NANNYML.beside,
    Path(__file__).with_name("peer_estimation_nannyml.py"),
    "CBPE and DLE with their defaults, a chunk a day",
    at_least=10,
)
#: Streams of each kind and task that are made.
STREAMS = 8
#: Records a window of the stream that is timed: 20 windows, 1M records.
LARGE_ROWS = 50_000


@dataclass(frozen=True)
class KeptStream:
    """What the peer estimated for one stream.

    Parameters
    ----------
    stream : str
    fitting, estimating : float or None
        Processor seconds, without reading the files; of large streams, which are timed.
    estimates : mapping of metric to list of float or None
        One a watched window.
    """

    stream: str
    fitting: float | None
    estimating: float | None
    estimates: dict[str, list[float | None]]


@dataclass(frozen=True)
class KeptStreams:
    """All of it, with what is needed to do it again."""

    peer: str
    version: str
    task: str
    streams: list[KeptStream]
    cpu: str
    cores: int
    load: float
    python: str
    packages: str
    date: str


def streams() -> list[Stream]:
    """The streams that estimates are made for."""
    tasks = (Task.BINARY, Task.REGRESSION)
    return [
        Stream(shift, task, seed) for task in tasks for shift in Shift for seed in range(STREAMS)
    ]


def large(task: Task) -> Stream:
    """The stream of 1M records a side that is timed."""
    return Stream(Shift.MEANS, task, 0, LARGE_ROWS)


def name_of(stream: Stream) -> str:
    """The name of a stream's folder."""
    return f"{stream.task}-{stream.shift.name.lower()}-{stream.seed}-{stream.rows}"


def kept() -> KeptStreams | None:
    """What is on record for this version of the peer."""
    if not KEPT.exists():
        return None
    entry = json.loads(KEPT.read_text())
    if (entry["peer"], entry["version"]) != (PEER.name, PEER.version):
        return None
    return KeptStreams(**{**entry, "streams": [KeptStream(**one) for one in entry["streams"]]})


def write(stream: Stream) -> Path:
    """Write a stream's folder: the same records that are estimated here."""
    folder = CACHE / "estimation" / name_of(stream)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("baseline", stream.baseline()), ("watched", stream.watched())):
        path = folder / f"{name}.parquet"
        if not path.exists():
            pq.write_table(table, path)
    return folder


def measure(chosen: Sequence[Stream] | None = None) -> None:
    """Run the peer on every stream and put what it came to on record."""
    asked = [*streams(), large(Task.BINARY), large(Task.REGRESSION)] if chosen is None else chosen
    python = PEER.install()
    folders = [str(write(one)) for one in asked]
    out = CACHE / "nannyml-estimation.json"
    command = [str(python), str(PEER.script), str(out), *folders]
    load = os.getloadavg()[0]
    subprocess.run(command, check=True, env={**os.environ, **UNTOLD, "OMP_NUM_THREADS": "2"})
    found = [KeptStream(**one) for one in json.loads(out.read_text())]
    cores = os.cpu_count() or 1
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    everything = KeptStreams(
        PEER.name,
        PEER.version,
        PEER.task,
        found,
        cpu_model(),
        cores,
        round(load, 1),
        platform.python_version(),
        versions(python, PEER.name, "pandas", "numpy", "scikit-learn", "lightgbm"),
        today,
    )
    KEPT.write_text(json.dumps(asdict(everything), indent=1) + "\n")
