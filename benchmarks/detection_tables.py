"""The figures as a person reads them, and peers beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean

from rich.table import Table

from benchmarks import peers_detection
from benchmarks.detection_figures import PER_CENT, Figure
from benchmarks.detection_runs import POWERS, WINDOWS, MonthResult
from benchmarks.intervals import of_mean, wilson
from benchmarks.peers_detection import KeptMonths
from benchmarks.streams import Kind


def tables_of(figures: Sequence[Figure]) -> Iterator[Table]:
    """The figures as a person reads them: a table for each part."""
    for part, held in groupby(figures, key=lambda f: f.part):
        shown = list(held)
        table = Table(
            title=part, title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("", min_width=36, no_wrap=True)
        table.add_column("measured", min_width=8, justify="right", no_wrap=True)
        table.add_column(shown[0].interval, min_width=13, justify="right", no_wrap=True)
        table.add_column("bound", min_width=9, justify="right", no_wrap=True)
        table.add_column("", min_width=7, no_wrap=True)
        for name in dict.fromkeys(name for f in shown for name in f.beside):
            table.add_column(name, justify="right", no_wrap=True)
        for f in shown:
            table.add_row(*_cells(f))
        yield table


def _cells(f: Figure) -> Iterator[str]:
    digits = 1 if f.unit == PER_CENT else 2
    unit = f" {f.unit}" if f.unit else ""
    verdict = {True: "[green]reached[/]", False: "[bold red]missed[/]", None: ""}
    yield f.name
    yield f"{f.value:.{digits}f}{unit}"
    yield "" if f.low is None or f.high is None else f"{f.low:.{digits}f} – {f.high:.{digits}f}"
    yield "" if f.bound is None else f"{'≥' if f.at_least else '≤'} {f.bound:g}{unit}"
    yield verdict[f.reached]
    yield from f.beside.values()


def peers_table(results: Sequence[MonthResult]) -> Table:
    """What peers came to, once, beside what was counted now."""
    table = Table(title="[bold]peers on the same months[/]", title_justify="left", box=None)
    table.pad_edge = False
    table.add_column("", no_wrap=True)
    held: dict[tuple[str, str], dict[str, KeptMonths]] = {}
    for one in peers_detection.kept():
        for rule in one.months[0].alarmed:
            held.setdefault((f"{one.peer} {one.version}", rule), {})[one.kind] = one
    if results:
        table.add_column("tidegauge", justify="right")
    for peer, rule in held:
        table.add_column(f"{peer}\n{rule}", justify="right")
    for kind in peers_detection.KINDS:
        table.add_row(f"{kind}:")
        for row in _peer_rows(kind, results, held):
            table.add_row(*row)
    return table


def _peer_rows(
    kind: Kind,
    results: Sequence[MonthResult],
    held: Mapping[tuple[str, str], Mapping[str, KeptMonths]],
) -> Iterator[list[str]]:
    own = [float(r.alarmed) for r in results if r.kind == kind and r.alarmed is not None]
    row = ["  alarmed windows a month"]
    if results:
        row.append(_mean(own))
    for (_, rule), by_kind in held.items():
        row.append(
            _mean([m.alarmed[rule] for m in by_kind[kind].months] if kind in by_kind else [])
        )
    yield row
    for name, power in peers_detection.looked_for(kind).items():
        row = [f"  {power.name}"]
        if results:
            place = POWERS.index(power)
            found = [r.found[place].on_column is not None for r in results if place in r.found]
            row.append(_share(found))
        for (_, rule), by_kind in held.items():
            # One column of 26 cannot make half of them.
            judged = kind in by_kind and rule != "dataset"
            row.append(_share([m.found[name] for m in by_kind[kind].months] if judged else []))
        yield row


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = of_mean(values)
    return f"{fmean(values):.1f} ({max(low, 0):.1f}–{min(high, WINDOWS):.1f})"


def _share(found: Sequence[bool]) -> str:
    if not found:
        return "–"
    low, high = wilson(sum(found), len(found))
    return f"{100 * fmean(found):.0f} % ({100 * low:.0f}–{100 * high:.0f})"


def about_peers() -> str:
    """What the peers were asked to do, and when."""
    told = [
        f"{one.peer} {one.version}: {one.task}; {len(one.months)} months, {one.date}."
        for one in peers_detection.kept()
        if one.kind == Kind.IID
    ]
    return "\n".join(
        [*told, "Found: on the changed column. Neither of these looks at missing values."]
    )
