"""One figure of `make bench-estimation`, whoever measured it, and the table that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """What was measured, held against what was to be reached.

    Parameters
    ----------
    name : str
        What it is of, without the part's name.
    value : str
        The value as it is shown, with its unit and its own interval.
    bound : str
        What was to be reached, as it is shown: ``"≥ 90 %"``; empty where nothing was.
    reached : bool or None
        None where there is no bound.
    note : str
        What it rests on: the number of runs, a peer's value beside it.

    Examples
    --------
    >>> Figure("covariate share", "93 % (88–96)", "≥ 90 %", True, "200 runs").verdict
    'reached'
    """

    name: str
    value: str
    bound: str = ""
    reached: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """The word that stands beside it."""
        return {True: "reached", False: "missed", None: ""}[self.reached]


def table_of(title: str, figures: Sequence[Figure]) -> Table:
    """Return the figures of one part as a table."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("measured", justify="right")
    table.add_column("bound", justify="right")
    table.add_column("", min_width=7, no_wrap=True)
    table.add_column("", overflow="fold")
    style = {True: "[green]reached[/]", False: "[bold red]missed[/]", None: ""}
    for one in figures:
        table.add_row(one.name, one.value, one.bound, style[one.reached], one.note)
    return table
