"""What the doctor found, for a terminal; computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tidegauge.keeping.findings import Examination, Finding, Severity
from tidegauge.report.format import plural

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
#: Of findings of one kind so many are shown.
_SHOWN = 5


def print_examination(found: Examination, console: Console, *, every: bool = False) -> None:
    """Print what was found, the worst first, what of it can be mended, and what was looked at.

    Parameters
    ----------
    found : Examination
    console : rich.console.Console
    every : bool
        Show each finding; else the first five of a kind and how many more there are.

    Examples
    --------
    >>> from rich.console import Console
    >>> found = Examination(facts=["catalog: revision 0001, 1 models, 0 incidents"])
    >>> print_examination(found, Console(width=80))
    looked at
      catalog: revision 0001, 1 models, 0 incidents
    nothing was found
    """
    _list(console, "looked at", found.facts)
    _list(console, "not looked at", found.unchecked)
    findings = found.sorted()
    for _, group in groupby(findings, key=lambda one: (one.severity, one.code)):
        _print_kind(console, list(group), every=every)
    if not findings:
        console.print("nothing was found")
        return
    counts = [
        plural(count, severity.word)
        for severity in sorted(Severity, reverse=True)
        if (count := sum(one.severity is severity for one in findings))
    ]
    mendable = sum(one.mend is not None for one in findings)
    more = f"; --mend mends {mendable} of them" if mendable else ""
    console.print(f"\nfound: {', '.join(counts)}{more}")


def _print_kind(console: Console, findings: Sequence[Finding], *, every: bool) -> None:
    first = findings[0]
    console.print()
    many = f" × {len(findings)}" if len(findings) > 1 else ""
    console.print(
        Text.assemble((first.severity.word, _STYLES[first.severity]), f" {first.code}{many}")
    )
    shown = findings if every else findings[:_SHOWN]
    for where, what in _by_place(shown):
        console.print(
            Padding(Text(where, style="bold", overflow="fold"), (0, 0, 0, 2), expand=False)
        )
        for line in what:
            console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 4), expand=False))
    if len(shown) < len(findings):
        left = len(findings) - len(shown)
        console.print(f"    … and {left} more; --all shows them", style="dim")
    mend = "--mend: " if first.mend is not None else ""
    table = Table.grid(padding=(0, 1))
    table.add_row("  →", Text(mend + first.remedy, style="italic"))
    console.print(table)


def _by_place(findings: Sequence[Finding]) -> Iterator[tuple[str, list[str]]]:
    for where, group in groupby(findings, key=lambda one: one.where):
        yield where, [one.what for one in group]


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(title, style="bold")
        for line in lines:
            console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False))
