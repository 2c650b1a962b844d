"""Estimated performance beside what was measured, as it is shown and handed on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.errors import MissingExtra, NotFound
from tidegauge.metrics.registry import all_metrics
from tidegauge.metrics.result import Basis, Result, plain
from tidegauge.report.data import SourceInfo
from tidegauge.report.format import NONE, THIN, count, interval, known, plural, quantity, share
from tidegauge.report.sections.tables import as_results, segment_name
from tidegauge.version import __version__

if TYPE_CHECKING:
    import pandas
    from rich.console import Console
    from rich.table import Table

#: An estimate, and what was measured of the same.
_Pair = tuple[Result, Result | None]
#: What says most of a model before the labels, the first that it has.
LEADING = ("roc_auc", "accuracy", "mae")
_MOST_WINDOWS, _MOST_SEGMENTS = 60, 30


@dataclass(frozen=True, eq=False)
class EstimatedPerformance:
    """Performance as it is estimated without labels, and as far as it was measured.

    Parameters
    ----------
    results : pyarrow.Table
        Every result (``RESULT_SCHEMA``), told apart by ``basis``.
    reference, current : SourceInfo
    computed_at : datetime
    notes : tuple of str
        What a reader should know.
    window : str or None
        Width of a window, if there are windows.
    """

    results: pa.Table
    reference: SourceInfo
    current: SourceInfo
    computed_at: datetime
    notes: tuple[str, ...] = ()
    window: str | None = None

    @property
    def leading(self) -> str:
        """The metric that says most."""
        names = self.metrics
        return next((name for name in LEADING if name in names), names[0] if names else "")

    @property
    def metrics(self) -> list[str]:
        """What was estimated."""
        return list(dict.fromkeys(one.metric for one in self._of(Basis.ESTIMATED)))

    @property
    def verdict(self) -> str:
        """One sentence that says how the model performs."""
        guesses = [one for one in self._of(Basis.ESTIMATED) if one.metric == self.leading]
        if not guesses:
            return "Nothing could be estimated: no record has a usable score or prediction."
        last = guesses[-1]
        when = f" in the newest window, {interval(last.window_start, last.window_end)}"
        usual = quantity(last.expected, last.unit)
        return (
            f"{last.metric} is estimated at {with_interval(last)}"
            f"{when if self.window else ''}, where the reference had {usual}; {self._labels()}."
        )

    def _labels(self) -> str:
        held: dict[object, int] = {}
        for one in self._measured():
            held[one.window_start] = max(held.get(one.window_start, 0), one.n_current)
        n = sum(held.values())
        if not n:
            return "no labels yet"
        part = "all" if n >= self.current.rows else share(n / max(self.current.rows, 1))
        labelled = [one for one in self._measured() if one.metric == self.leading]
        if self.window or not labelled:
            rest = "" if labelled else ", and of one class, so that they cannot tell it"
            return f"{part} of the labels are there{rest}"
        if part == "all":
            return f"measured it is {with_interval(labelled[-1])}"
        return f"with the labels of {part} of the records it is {with_interval(labelled[-1])}"

    def __getitem__(self, metric: str) -> Result:
        """Return the newest estimate of a metric, of the whole.

        Raises
        ------
        NotFound
            If it was not estimated.
        """
        found = [one for one in self._of(Basis.ESTIMATED) if one.metric == metric]
        if not found:
            raise NotFound(
                f"{metric!r} was not estimated; there are {', '.join(self.metrics)}",
                code="unknown_metric",
            )
        return found[-1]

    def _of(self, *bases: Basis) -> list[Result]:
        """Return the results of the whole with these bases, in order of time."""
        wanted = pc.is_in(self.results["basis"], pa.array([one.value for one in bases]))
        rows = self.results.filter(pc.and_(wanted, pc.is_null(self.results["segment"])))
        return as_results(rows)

    def _measured(self) -> list[Result]:
        """What was measured of what was estimated."""
        names = set(self.metrics)
        return [one for one in self._of(Basis.PARTIAL, Basis.FINAL) if one.metric in names]

    def to_frame(self) -> pandas.DataFrame:
        """Return every result as a tidy pandas frame, one row a result.

        Raises
        ------
        MissingExtra
            If pandas is not installed.
        """
        try:
            frame: pandas.DataFrame = self.results.to_pandas()
        except ImportError as error:
            raise MissingExtra(
                "pandas is not installed: pip install pandas, or use .results (Arrow)"
            ) from error
        return frame

    def to_json(self) -> dict[str, Any]:
        """Return ``{"tidegauge": version, "results": [...]}``."""
        rows = []
        for row in self.results.to_pylist():
            held = {name: plain(value) for name, value in row.items()}
            if held["segment"] is not None:
                held["segment"] = json.loads(held["segment"])
            rows.append(held)
        return {"tidegauge": __version__, "results": rows}

    def __repr__(self) -> str:
        return f"<tidegauge estimate: {self.verdict}>"

    def _repr_html_(self) -> str:
        from rich.console import Console
        from rich.terminal_theme import DEFAULT_TERMINAL_THEME

        console = Console(record=True, width=100, file=StringIO())
        print_estimates(self, console)
        shown = '<pre style="font-family:monospace">{code}</pre>'
        return console.export_html(
            theme=DEFAULT_TERMINAL_THEME, inline_styles=True, code_format=shown
        )


def with_interval(result: Result) -> str:
    """Write a value with its 95 % interval.

    Examples
    --------
    >>> with_interval(Result("roc_auc", value=0.7812, ci_lower=0.761, ci_upper=0.8))
    '0.781 (0.761 to 0.8)'
    """
    said = quantity(result.value, result.unit)
    ends = ends_of(result)
    return f"{said} ({ends})" if ends else said


def certain(result: Result) -> bool:
    """Whether no label can change a value: its interval has no width.

    Examples
    --------
    >>> certain(Result("mean_score", value=0.4, ci_lower=0.4, ci_upper=0.4 + 1e-12))
    True
    """
    if not known(result.ci_lower) or not known(result.ci_upper):
        return False
    return result.ci_upper - result.ci_lower <= 1e-9 * max(1.0, abs(result.ci_upper))


def ends_of(result: Result) -> str:
    """Write a value's 95 % interval; nothing where there is none."""
    if not known(result.ci_lower) or not known(result.ci_upper):
        return ""
    low, high = (quantity(end, result.unit) for end in (result.ci_lower, result.ci_upper))
    unit = f"{THIN}%" if result.unit == "share" else f"{THIN}{result.unit}"
    return f"{low.removesuffix(unit)} to {high}"


def print_estimates(found: EstimatedPerformance, console: Console) -> None:
    """Print what was estimated: by metric, or the leading one by window; then by segment."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text(found.verdict, style="bold"))
    sides = [f"{count(one.rows)} records of {one.name}" for one in (found.current, found.reference)]
    console.print(Text(f"{sides[0]}, by what {sides[1]} taught", style="dim"))
    console.print()
    pairs = _pairs(found, whole=True)
    if found.window:
        pairs = [one for one in pairs if one[0].metric == found.leading]
        hidden = max(0, len(pairs) - _MOST_WINDOWS)
        named = [interval(one.window_start, one.window_end) for one, _ in pairs]
        console.print(_table(found.leading, named[hidden:], pairs[hidden:]))
        if hidden:
            said = f"    {plural(hidden, 'earlier window')} in the results"
            console.print(Text(said, style="dim"))
    else:
        console.print(_table("metric", [one.metric for one, _ in pairs], pairs))
    parts = [one for one in _pairs(found, whole=False) if one[0].metric == found.leading]
    if parts:
        newest = max((one.window_start for one, _ in parts if one.window_start), default=None)
        parts = [one for one in parts if one[0].window_start == newest][:_MOST_SEGMENTS]
        console.print()
        named = [segment_name(one.segment) for one, _ in parts]
        console.print(_table(f"{found.leading} of", named, parts))
    for note in found.notes:
        console.print(Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2)))


def _table(first: str, names: Sequence[str], pairs: Sequence[_Pair]) -> Table:
    """Return a table of estimates, with what was measured where anything was."""
    from tidegauge.report.terminal import table

    there = any(one is not None and one.n_current for _, one in pairs)
    headings = [f"    {first}", ">estimated", "95 % interval", ">reference"]
    headings += [">measured", "labels"] if there else []
    rows = [_row(*one, there=there) for one in zip(names, pairs, strict=True)]
    return table(headings, rows)


def _pairs(found: EstimatedPerformance, *, whole: bool) -> list[_Pair]:
    """Return each estimate with what was measured of the same, in order of time."""
    chosen = pc.is_null(found.results["segment"])
    rows = as_results(found.results.filter(chosen if whole else pc.invert(chosen)))
    measured = {_place(one): one for one in rows if one.basis is not Basis.ESTIMATED}
    guesses = [one for one in rows if one.basis is Basis.ESTIMATED]
    # What no label can change, as the mean score, is no estimate.
    guesses = [one for one in guesses if not certain(one)]
    order = {name: at for at, name in enumerate(all_metrics())}
    guesses.sort(key=lambda one: (one.metric != found.leading, order.get(one.metric, 0)))
    return [(one, measured.get(_place(one))) for one in guesses]


def _place(one: Result) -> tuple[object, ...]:
    return one.metric, segment_name(one.segment), one.window_start


def _row(name: str, pair: _Pair, *, there: bool) -> Sequence[str]:
    guess, measured = pair
    row = [
        f"    {name}",
        quantity(guess.value, guess.unit),
        ends_of(guess),
        quantity(guess.expected, guess.unit),
    ]
    if not there:
        return row
    if measured is None or not measured.n_current:
        return [*row, NONE, "none"]
    part = share(measured.n_current / guess.n_current) if guess.n_current else ""
    said = "all" if measured.basis is Basis.FINAL else part
    return [*row, quantity(measured.value, measured.unit), said]
