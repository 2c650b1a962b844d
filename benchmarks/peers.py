"""Measures a peer once and keeps its figure, by version, in `peers.json` beside this file.

`python -m benchmarks.peers` makes the peer's own environment under `.bench/`, runs it on the two
1M files as a whole process, and takes the floor right before and right after it, so that the
figure can be carried over to another machine.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.commands import floor, make_data
from benchmarks.datasets import CACHE, CURRENT, REFERENCE
from benchmarks.measure import Run, median, run

KEPT = Path(__file__).with_name("peers.json")


@dataclass(frozen=True)
class Peer:
    """A package to compare with.

    `beside` is what must be installed with it, `task` what `script` does, and `at_least` how many
    times its time `tidegauge compare` shall be quicker.
    """

    name: str
    version: str
    beside: tuple[str, ...]
    script: Path
    task: str
    at_least: float

    @property
    def environment(self) -> Path:
        """The folder of the peer's own virtual environment."""
        return CACHE / f"{self.name}-{self.version}"

    def install(self) -> Path:
        """Make the environment if it is not there; return its Python."""
        python = self.environment / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.environment)], check=True)
        wanted = [f"{self.name}=={self.version}", *self.beside]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
        return python


# Evidently 0.7.23 cannot be imported beside pandas 3.
EVIDENTLY = Peer(
    name="evidently",
    version="0.7.23",
    beside=("pandas<3", "pyarrow"),
    script=Path(__file__).with_name("peer_evidently.py"),
    task="DataDriftPreset with its defaults, saved as HTML",
    at_least=80,
)

PEERS = (EVIDENTLY,)


@dataclass(frozen=True)
class Kept:
    """What a peer took, once, with all that is needed to judge the figure elsewhere."""

    peer: str
    version: str
    task: str
    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    floor_seconds: float
    floor_cpu_seconds: float
    floor_duckdb: str
    load_before: float
    load_after: float
    cpu: str
    cores: int
    memory_gib: int
    python: str
    packages: str
    date: str

    def seconds_here(self, floor_now: Run) -> float:
        """What the peer would take on this machine, were it idle.

        Processor time is carried over in proportion to the floor's, as neither depends on what
        else a machine does. Where the peer was slowed by other load, this is less than it took.
        """
        idle = min(self.seconds, self.cpu_seconds)
        return idle * floor_now.cpu_seconds / self.floor_cpu_seconds


def kept(peer: Peer) -> Kept | None:
    """The figure on record for this version of the peer."""
    entries = json.loads(KEPT.read_text()) if KEPT.exists() else []
    for entry in entries:
        if (entry["peer"], entry["version"]) == (peer.name, peer.version):
            return Kept(**entry)
    return None


def keep(figure: Kept) -> None:
    """Put a figure on record, in the place of an older one of the same version."""
    entries = json.loads(KEPT.read_text()) if KEPT.exists() else []
    same = (figure.peer, figure.version)
    others = [e for e in entries if (e["peer"], e["version"]) != same]
    KEPT.write_text(json.dumps([*others, asdict(figure)], indent=2) + "\n")


def measure(peer: Peer) -> Kept:
    """Run the peer once on the two 1M files."""
    python = peer.install()
    make_data(REFERENCE, CURRENT)
    report = CACHE / f"{peer.name}.html"
    command = [str(python), "-W", "ignore", str(peer.script)]
    floor(REFERENCE, CURRENT)
    floors = [floor(REFERENCE, CURRENT) for _ in range(3)]
    load_before = os.getloadavg()[0]
    took: Run = run([*command, str(REFERENCE.path), str(CURRENT.path), str(report)])
    load_after = os.getloadavg()[0]
    floors += [floor(REFERENCE, CURRENT) for _ in range(3)]
    low = median(floors)
    return Kept(
        peer=peer.name,
        version=peer.version,
        task=peer.task,
        rows=REFERENCE.rows,
        seconds=round(took.seconds, 1),
        cpu_seconds=round(took.cpu_seconds, 1),
        peak_bytes=took.peak_bytes,
        floor_seconds=round(low.seconds, 3),
        floor_cpu_seconds=round(low.cpu_seconds, 3),
        floor_duckdb=importlib.metadata.version("duckdb"),
        load_before=round(load_before, 2),
        load_after=round(load_after, 2),
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        python=platform.python_version(),
        packages=versions(python, "numpy", "pandas", "pyarrow", "scipy"),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def cpu_model() -> str:
    """The processor's name as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def versions(python: Path, *packages: str) -> str:
    """`name version` of packages in the peer's environment."""
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    shown = subprocess.run([str(python), "-c", code, *packages], check=True, capture_output=True)
    found = shown.stdout.decode().split()
    return ", ".join(f"{name} {version}" for name, version in zip(packages, found, strict=True))


if __name__ == "__main__":
    for peer in PEERS:
        figure = measure(peer)
        keep(figure)
        print(json.dumps(asdict(figure), indent=2))
