"""The parts of a change, as values: they add up, show themselves in words, and go into JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from tidegauge.errors import MissingExtra
from tidegauge.metrics.result import plain
from tidegauge.profile.layout import Segment
from tidegauge.version import __version__

if TYPE_CHECKING:
    import pandas

_ABBREVIATED = frozenset({"auc", "mae", "mape", "mse", "r2", "rmse", "roc"})
_FRAME = ("metric", "part", "name", "segment", "value", "lower", "upper", "unit")


@dataclass(frozen=True)
class Part:
    """A part of a change with its 95 % interval, in the metric's unit.

    Examples
    --------
    >>> print(Part("inputs", -0.031, -0.037, -0.025))
    −0.031 ± 0.006
    """

    name: str
    value: float
    lower: float
    upper: float

    @property
    def clear(self) -> bool:
        """Whether it is more than chance."""
        return self.lower > 0 or self.upper < 0

    def __str__(self) -> str:
        reach = (self.upper - self.lower) / 2
        return f"{_number(self.value, reach)} ± {_number(reach, reach)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "name": self.name,
            "value": plain(self.value),
            "lower": plain(self.lower),
            "upper": plain(self.upper),
        }


@dataclass(frozen=True)
class SegmentParts:
    """What one segment adds to a change.

    Parameters
    ----------
    segment : Segment
    reference_share, current_share : float
        Its share of either side's records.
    mix : Part
        There are more, or fewer, of its records.
    within : Part
        Its records have other inputs.
    relation : Part or None
        In it the same inputs come to another end; None without current labels.
    """

    segment: Segment
    reference_share: float
    current_share: float
    mix: Part
    within: Part
    relation: Part | None

    @property
    def total(self) -> float:
        """What it adds in all."""
        rest = 0.0 if self.relation is None else self.relation.value
        return self.mix.value + self.within.value + rest

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "segment": self.segment.to_json(),
            "reference_share": plain(self.reference_share),
            "current_share": plain(self.current_share),
            "total": plain(self.total),
            "mix": self.mix.to_json(),
            "within": self.within.to_json(),
            "relation": None if self.relation is None else self.relation.to_json(),
        }


@dataclass(frozen=True)
class Decomposition:
    """A change of one metric between two periods, and the parts that it adds up from.

    Parameters
    ----------
    metric : str
    unit : str or None
    direction : str
        Which values are worse, as of a result.
    reference, current : float or None
        The metric on either side; None where it is not defined, or there is no label.
    n_reference, n_current : int
        Records that these rest on.
    labelled : float
        Share of the current records with a label; the others take no part unless none has one.
    total : Part or None
        current − reference; ``inputs`` and ``relation`` add up to it.
    inputs : Part or None
        What other inputs would have changed, had each come to the end it came to before.
    relation : Part or None
        What changed because inputs come to another end.
    columns : tuple of Part
        The inputs' part by column, the greatest first; the last, ``together``, is what they do
        only together. They add up to ``inputs``.
    segments : tuple of SegmentParts
        By segment; each segment column by itself adds up, but for a rest of the second order.
    outcome : Decomposition or None
        The same of the mean outcome of a record, in its unit (money), where the schema has one.
    why_not : str or None
        Why the change, or its split, is not told.
    notes : tuple of str
        What makes it less sure.

    Examples
    --------
    >>> change = Decomposition(
    ...     "roc_auc", None, "higher_is_better", 0.80, 0.76, 5000, 5000, 1.0,
    ...     Part("total", -0.04, -0.05, -0.03), Part("inputs", -0.03, -0.04, -0.02),
    ...     Part("relation", -0.01, -0.02, 0.0), (
    ...         Part("distance", -0.028, -0.03, -0.02), Part("together", -0.002, -0.01, 0.01)
    ...     ),
    ... )
    >>> print(change)
    ROC AUC fell by 0.04 ± 0.01 (0.8 → 0.76): −0.03 ± 0.01 from changed inputs (most by 'distance'), −0.01 ± 0.01 from a changed relation.
    """  # noqa: E501

    metric: str
    unit: str | None = None
    direction: str = "neither"
    reference: float | None = None
    current: float | None = None
    n_reference: int = 0
    n_current: int = 0
    labelled: float = 0.0
    total: Part | None = None
    inputs: Part | None = None
    relation: Part | None = None
    columns: tuple[Part, ...] = ()
    segments: tuple[SegmentParts, ...] = ()
    outcome: Decomposition | None = None
    why_not: str | None = None
    notes: tuple[str, ...] = ()

    def recentred(
        self, reference: float | None, current: float | None, n_reference: int, n_current: int
    ) -> Decomposition:
        """Return the decomposition of a sample with the totals of all records in place of its own.

        The inputs' part stays; the total is known better, and the relation's part is the rest.

        Parameters
        ----------
        reference, current : float or None
            The metric over all labelled records; without both nothing is changed.
        n_reference, n_current : int
        """
        if self.total is None or reference is None or current is None:
            return self
        if min(n_reference, n_current) < 1 or not (self.n_reference and self.n_current):
            return self
        value = current - reference
        # A variance falls with the number of records; the side that gains least decides.
        gain = max(self.n_reference / n_reference, self.n_current / n_current)
        reach = (self.total.upper - self.total.lower) / 2 * min(gain, 1.0) ** 0.5
        relation = self.relation
        if relation is not None and self.inputs is not None:
            half = (relation.upper - relation.lower) / 2
            rest = value - self.inputs.value
            relation = Part(relation.name, rest, rest - half, rest + half)
        return replace(
            self,
            reference=reference,
            current=current,
            n_reference=max(n_reference, self.n_reference),
            n_current=max(n_current, self.n_current),
            total=Part("total", value, value - reach, value + reach),
            relation=relation,
        )

    @property
    def inputs_share(self) -> float | None:
        """Share of the change that changed inputs bear; None where nothing changed clearly."""
        if self.total is None or self.inputs is None or not self.total.clear:
            return None
        return self.inputs.value / self.total.value

    @property
    def sentence(self) -> str:
        """The change and its parts in words."""
        name = title(self.metric)
        if self.total is None:
            if self.inputs is None:
                return f"{name}: {self.why_not or 'nothing is known'}."
            return (
                f"{name}: {self._with_unit(self.inputs)} is to be expected from changed inputs"
                f"{self._mostly()}; without labels a changed relation does not show."
            )
        moved = self._moved(name)
        if self.inputs is None or self.relation is None:
            return f"{moved}; not split: {self.why_not}."
        return (
            f"{moved}: {self._with_unit(self.inputs)} from changed inputs{self._mostly()}, "
            f"{self._with_unit(self.relation)} from a changed relation."
        )

    def _moved(self, name: str) -> str:
        assert self.total is not None
        reach = (self.total.upper - self.total.lower) / 2
        ends = f"({_number(self.reference)} → {_number(self.current)})"
        if not self.total.clear:
            return f"{name} did not change clearly, by {self._with_unit(self.total)} {ends}"
        word = "fell" if self.total.value < 0 else "rose"
        size = _number(abs(self.total.value), reach)
        return f"{name} {word} by {size} ± {_number(reach, reach)}{self._unit} {ends}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit and self.unit != "share" else ""

    def _with_unit(self, part: Part) -> str:
        return f"{part}{self._unit}"

    def _mostly(self) -> str:
        if self.inputs is None or not self.inputs.clear:
            return ""
        same = [
            part
            for part in self.columns[:-1]
            if part.clear
            and part.value * self.inputs.value > 0
            and abs(part.value) > 0.25 * abs(self.inputs.value)
        ]
        named = " and ".join(repr(part.name) for part in same[:2])
        return f" (most by {named})" if named else ""

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"<tidegauge decomposition: {self.sentence}>"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it: no NaN; parts add up."""
        parts = {
            name: None if part is None else part.to_json()
            for name, part in (
                ("total", self.total),
                ("inputs", self.inputs),
                ("relation", self.relation),
            )
        }
        return {
            "tidegauge": __version__,
            "metric": self.metric,
            "unit": self.unit,
            "direction": self.direction,
            "sentence": self.sentence,
            "reference": plain(self.reference),
            "current": plain(self.current),
            "n_reference": self.n_reference,
            "n_current": self.n_current,
            "labelled": plain(self.labelled),
            **parts,
            "inputs_share": plain(self.inputs_share),
            "columns": [part.to_json() for part in self.columns],
            "segments": [one.to_json() for one in self.segments],
            "outcome": None if self.outcome is None else self.outcome.to_json(),
            "why_not": self.why_not,
            "notes": list(self.notes),
        }

    def to_frame(self) -> pandas.DataFrame:
        """Return the parts as a tidy pandas frame, one row a part."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra(
                "pandas is not installed: pip install pandas, or use to_json()"
            ) from error
        return pandas.DataFrame(list(self._rows()), columns=list(_FRAME))

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        def row(part: Part, kind: str, name: str | None, segment: str | None = None) -> Any:
            about = (self.metric, kind, name, segment)
            return (*about, part.value, part.lower, part.upper, self.unit)

        for whole in (self.total, self.inputs, self.relation):
            if whole is not None:
                yield row(whole, whole.name, None)
        for part in self.columns:
            yield row(part, "column", part.name)
        for one in self.segments:
            for own in (one.mix, one.within, one.relation):
                if own is not None:
                    yield row(own, own.name, one.segment.column, one.segment.value)
        if self.outcome is not None:
            yield from self.outcome._rows()

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{escape(label)}</td><td align='right'>{escape(str(part))}</td></tr>"
            for label, part in self.lines()
        ]
        more = "" if self.outcome is None else self.outcome._repr_html_()
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"<p>{escape(self.sentence)}</p><table>{''.join(rows)}</table>{notes}{more}"

    def lines(self, columns: int = 8) -> list[tuple[str, Part]]:
        """Return the parts in the order in which people read them, the greatest columns only."""
        named = (("total", self.total), ("changed inputs", self.inputs))
        out = [(label, part) for label, part in named if part is not None]
        shown = [part for part in self.columns[:columns] if part.name != "together"]
        out += [(f"  {part.name}", part) for part in shown]
        if self.columns:
            left = self.columns[len(shown) : -1]
            if left:
                out.append((f"  {len(left)} more columns", _added(left)))
            out.append(("  only together", self.columns[-1]))
        if self.relation is not None:
            out.append(("changed relation", self.relation))
        return out


def _added(parts: tuple[Part, ...]) -> Part:
    """Add parts up; their errors are taken as independent."""
    value = sum(part.value for part in parts)
    reach = sum(((part.upper - part.lower) / 2) ** 2 for part in parts) ** 0.5
    return Part("more", value, value - reach, value + reach)


def title(metric: str) -> str:
    """Return a metric's name as people write it.

    Examples
    --------
    >>> title("roc_auc"), title("log_loss"), title("mean revenue")
    ('ROC AUC', 'Log loss', 'Mean revenue')
    """
    words = [w.upper() if w in _ABBREVIATED else w for w in metric.replace("_", " ").split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def _number(value: float | None, reach: float | None = None) -> str:
    """Write a number, to the first digit or two of its uncertainty."""
    if value is None:
        return "—"
    if reach:
        first = f"{reach:.0e}"
        digits = max(0, -int(first.split("e")[1]))
        text = f"{value:.{min(digits, 12)}f}"
    else:
        text = f"{value:.3g}" if abs(value) < 1e6 else f"{value:.3e}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")
