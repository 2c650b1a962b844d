"""Holds ingest against its promised figures: `python -m benchmarks.ingest`, or `make bench-ingest`.

A real server, and the load generator on the same cores; everything is durable before it is
acknowledged, and windows of one minute are closed meanwhile. Beside each rate stands the ceiling:
what the same loop and parser reach on this machine if they answer without doing anything.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.datasets import CACHE
from benchmarks.ingest_server import Served, Watch, ceiling, serving
from benchmarks.peers import cpu_model

FOLDER = CACHE / "ingest"
#: Milliseconds within which 99 of 100 requests are acknowledged.
ACKNOWLEDGED = 500.0
PARTS = ("json", "single", "sustained", "burst", "memory", "stored")
#: Takes two hours, so only where it is asked for.
LONG = ("soak",)


@dataclass
class Figure:
    """One promised figure."""

    name: str
    value: str
    bound: str
    reached: bool
    note: str = ""


@dataclass
class Report:
    """All figures, and what was measured to come to them."""

    console: Console
    figures: list[Figure] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: str, bound: str, reached: bool, note: str = "") -> None:
        """Take a figure, and print it at once."""
        self.figures.append(Figure(name, value, bound, reached, note))
        told = "[green]reached[/]" if reached else "[bold red]missed[/]"
        self.console.print(f"{name}: {value}  ({bound}) {told}  {note}", soft_wrap=True)


def generated(address: str, kind: str, seconds: float, **options: Any) -> dict[str, Any]:
    """Have the generator, a process of its own, send a load; return what came of it."""
    command = [sys.executable, "-m", "benchmarks.load", address, "--kind", kind]
    command += ["--seconds", str(seconds)]
    for name, value in options.items():
        command += [f"--{name}", str(value)] if value is not True else [f"--{name}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def rate(
    report: Report,
    served: Served,
    name: str,
    kind: str,
    seconds: float,
    wanted: int,
    *,
    share_of: float | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Send a load, and hold its rate and its acknowledgements against what is asked."""
    with Watch(served) as watch:
        told = generated(served.address, kind, seconds, model="load", **options)
    told["backlog_most"] = max((seen.backlog for seen in watch.seen), default=0)
    told["backlog_end"] = watch.seen[-1].backlog if watch.seen else 0
    told["backlog"] = [seen.backlog for seen in watch.seen]
    got, p99 = told["records_per_second"], told["p99_ms"]
    bad = told["failed"] + told["refused"]
    # A load that is sent at a rate is never quicker than that.
    reached = got >= wanted * (0.998 if "rate" in options else 1.0) and not bad
    note = (
        f"{told['refused']} refused, {told['failed']} failed {told['first_failure']}" if bad else ""
    )
    report.add(f"{name}: records/s", f"{got:,.0f}", f"≥ {wanted:,}", reached, note)
    report.add(
        f"{name}: p99 of the acknowledgement",
        f"{p99:.0f} ms",
        f"< {ACKNOWLEDGED:.0f} ms",
        p99 < ACKNOWLEDGED,
        f"p50 {told['p50_ms']:.1f}, longest {told['max_ms']:.0f} ms",
    )
    if share_of:
        told["ceiling"], told["share"] = share_of, got / share_of
        report.console.print(
            f"    ceiling {share_of:,.0f} records/s; reached {got / share_of:.0%} of it"
        )
    report.measured[name] = told
    return told


def ceilings(report: Report, seconds: float) -> dict[str, float]:
    """Return what the machine reaches if a server only answers, by kind."""
    with ceiling() as address:
        found = {
            kind: generated(address, kind, seconds)["records_per_second"]
            for kind in ("json", "arrow", "single")
        }
    report.measured["ceilings"] = found
    return found


def quick_parts(report: Report, wanted: set[str], top: dict[str, float], scale: float) -> None:
    """Batches of JSON, and single events, each with a server of its own."""
    for kind, name, asked in (("json", "JSON × 500", 120_000), ("single", "single × 64", 8_000)):
        if kind not in wanted:
            continue
        with serving(FOLDER / kind) as served:
            served.watched("load")
            before = served.closed("load")
            rate(report, served, name, kind, 60 * scale, asked, share_of=top[kind])
            report.console.print(
                f"    drained in {served.drain():.1f} s; {served.closed('load') - before} windows "
                "were closed meanwhile"
            )
        shutil.rmtree(FOLDER / kind, ignore_errors=True)


def sustained(report: Report, top: dict[str, float], scale: float) -> None:
    """Batches of Arrow for five minutes: what comes is what goes."""
    with serving(FOLDER / "sustained") as served:
        served.watched("load")
        before = served.closed("load")
        told = rate(
            report,
            served,
            "Arrow × 10,000, 5 minutes",
            "arrow",
            300 * scale,
            400_000,
            rate=40.2,
            share_of=top["arrow"],
        )
        half = len(told["backlog"]) // 2
        early, late = (
            mean(part or [0]) / 2**20 for part in (told["backlog"][:half], told["backlog"][half:])
        )
        most = told["backlog_most"] / 2**20
        report.add(
            "    backlog: mean of the second half",
            f"{late:.0f} MiB",
            "≤ 1.5 × the first half's, or 512 MiB",
            late <= max(1.5 * early, 512),
            f"first half {early:.0f} MiB, most {most:.0f} MiB",
        )
        report.console.print(f"    drained in {served.drain():.1f} s")
        report.console.print(f"    {served.closed('load') - before} windows were closed meanwhile")
    shutil.rmtree(FOLDER / "sustained", ignore_errors=True)


def burst(report: Report, top: dict[str, float], scale: float) -> None:
    """Twice as much for a minute; what waits then drains."""
    with serving(FOLDER / "burst") as served:
        served.watched("load")
        told = rate(
            report,
            served,
            "Arrow × 10,000, burst of 60 s",
            "arrow",
            60 * scale,
            800_000,
            rate=80.4,
            share_of=top["arrow"],
        )
        left = told["backlog_end"] / 2**20
        took = served.drain()
        report.add(
            "    the burst's backlog drains",
            f"{took:.0f} s",
            "it does",
            True,
            f"{left:,.0f} MiB were left",
        )
    shutil.rmtree(FOLDER / "burst", ignore_errors=True)


def memory(report: Report, scale: float) -> None:
    """Ten minutes of 20,000 records/s: memory, files, and a day's profile."""
    with serving(FOLDER / "memory") as served:
        served.watched("load")
        minutes = 10 * scale
        with Watch(served, "load") as watch:
            told = generated(served.address, "json", 60 * minutes, model="load", rate=40)
        seen = watch.seen
        second = [one for one in seen if 60 * scale <= one.at < 120 * scale]
        last = [one for one in seen if one.at >= 60 * (minutes - scale)]
        growth = mean(one.resident for one in last) / mean(one.resident for one in second)
        own = mean(one.own for one in last) / mean(one.own for one in second)
        counts = [one for one in seen if one.files]
        half = [one for one in counts if one.at < 30 * minutes]
        rest = [one for one in counts if one.at >= 30 * minutes]
        live = max(one.live for one in rest) / max(one.live for one in half)
        slowest = max(one.answer for one in counts)
    report.measured["memory"] = {**told, "seen": [vars(one) for one in seen]}
    got = told["records_per_second"]
    report.add("20,000 records/s, 10 minutes", f"{got:,.0f}", "≥ 19,960", got >= 19_960)
    report.add(
        "    memory: last minute / second",
        f"{growth:.2f}",
        "≤ 1.1",
        growth <= 1.1,
        f"own memory {own:.2f}; {mean(one.resident for one in last) / 2**20:.0f} MiB resident",
    )
    report.add(
        "    files that a query reads: second half / first",
        f"{live:.2f}",
        "bounded (≤ 1.5)",
        live <= 1.5,
        f"at most {max(one.live for one in rest)}; on the disk {max(one.files for one in rest)} "
        f"and {max(one.log for one in rest)} of logs, which wait for an hour: see --only soak",
    )
    report.add(
        "    a day's profile, slowest answer", f"{slowest * 1e3:.0f} ms", "< 1,000 ms", slowest < 1
    )
    shutil.rmtree(FOLDER / "memory", ignore_errors=True)


def soak(report: Report, scale: float) -> None:
    """Two hours of a little at a time: what is kept for an hour levels off after it.

    How often is flushed, closed, joined and deleted does not depend on how many records come.
    """
    with serving(FOLDER / "soak") as served:
        served.watched("load")
        minutes = 120 * scale
        with Watch(served, "load") as watch:
            told = generated(
                served.address, "json", 60 * minutes, model="load", rate=1, connections=1
            )
        seen = watch.seen
    report.measured["soak"] = {**told, "seen": [vars(one) for one in seen]}
    parts = [
        [one for one in seen if one.files and at <= one.at < at + 10 * 60]
        for at in range(0, int(60 * minutes), 10 * 60)
    ]
    for number, part in enumerate(parts):
        if part:
            report.console.print(
                f"    minute {10 * number:3d}: {mean(one.own for one in part) / 2**20:.0f} MiB own "
                f"memory, {max(one.live for one in part)} files read, "
                f"{max(one.files for one in part)} on the disk, "
                f"{max(one.log for one in part)} in logs"
            )
    late, last = parts[-4], parts[-1]
    for name, bound in (("own", 1.05), ("files", 1.1), ("log", 1.1)):
        before, after = (mean(getattr(one, name) for one in part) for part in (late, last))
        report.add(
            f"soak: {name}, last ten minutes / half an hour before",
            f"{after / before:.2f}",
            f"≤ {bound:g}",
            after <= bound * before,
        )
    shutil.rmtree(FOLDER / "soak", ignore_errors=True)


def table_of(report: Report) -> Table:
    """The figures as a person reads them."""
    table = Table(title="ingest, everything durable, windows closing meanwhile", box=None)
    for name in ("figure", "value", "bound", ""):
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=True)
    for one in report.figures:
        told = "[green]reached[/]" if one.reached else "[bold red]missed[/]"
        table.add_row(one.name, one.value, one.bound, told)
    return table


def main() -> int:
    """Measure; the exit code tells of a missed bound only when asked to."""
    parser = argparse.ArgumentParser(prog="benchmarks.ingest", description=__doc__)
    parser.add_argument("--only", help=f"parts, comma-separated, of {', '.join(PARTS + LONG)}")
    parser.add_argument("--scale", type=float, default=1.0, help="share of each part's time")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bound is missed")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) if options.only else set(PARTS)
    if unknown := wanted - {*PARTS, *LONG}:
        known = ", ".join(PARTS + LONG)
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {known}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    report = Report(console)
    before = os.getloadavg()[0]
    top = ceilings(report, 10 * min(1.0, options.scale * 2))
    if wanted & {"json", "single"}:
        quick_parts(report, wanted, top, options.scale)
    if "sustained" in wanted:
        sustained(report, top, options.scale)
    if "burst" in wanted:
        burst(report, top, options.scale)
    if "memory" in wanted:
        memory(report, options.scale)
    if "stored" in wanted:
        from benchmarks.ingest_stored import stored

        stored(report, options.scale)
    if "soak" in wanted:
        soak(report, options.scale)
    console.print()
    console.print(table_of(report))
    console.print(
        f"{cpu_model()}, {os.cpu_count()} cores; load average {before:.1f} before. "
        f"Share of the time asked for: {options.scale:g}."
    )
    kept = FOLDER / "measured.json"
    kept.write_text(json.dumps(report.measured, indent=1))
    console.print(f"everything measured: {_shown(kept)}")
    return 1 if options.strict and not all(one.reached for one in report.figures) else 0


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(main())
