"""The segments in which a model works worst, or got worse: searched for, and told with what chance
could have done. Only labelled records count. Never on the way of incoming records.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tidegauge.engine import open_source, survey_source
from tidegauge.engine.source import Source, head
from tidegauge.errors import BadInput, EmptyInput, MissingExtra
from tidegauge.explain.segment_bins import (
    Condition,
    SearchedColumn,
    axes_of,
    searched_bins,
    searched_codes,
)
from tidegauge.explain.segment_cells import holds
from tidegauge.explain.segment_rows import (
    Question,
    Rows,
    question_of,
    read_rows,
    searched_columns,
)
from tidegauge.explain.segment_search import Found, Side, search
from tidegauge.explain.segment_statistics import LEAST_OF_CLASS, Mean, Ranking, Statistic
from tidegauge.explain.segment_values import Estimate, promised, value_of
from tidegauge.profile.layout import Layout
from tidegauge.schema import Schema, infer_schema, load_schema

if TYPE_CHECKING:
    import pandas

#: Chance of any finding where no segment differs.
LEVEL = 0.05
#: Labelled records that a segment needs, and as many beside it.
LEAST = 100
_SCORE_BINS = 24
_LOSS_BINS = 48
_SEEN = 20_000


@dataclass(frozen=True)
class Finding:
    """A segment that is worse than the rest; or, with a reference, that got worse.

    Parameters
    ----------
    conditions : tuple of Condition
        One or two.
    records : int
        Labelled records in it.
    share : float
        Of all labelled records.
    inside, outside : Estimate
        The metric in the segment and in all other records, each with a 95 % interval (which does
        not know that this segment was chosen as the worst: it is a little too far out).
    reference_inside, reference_outside : Estimate or None
        The same in the reference.
    expected : float or None
        What the segment's scores promise: the metric if they meant in it what they mean outside.
        Near ``inside`` the segment is harder by design, not worse served. None for regression.
    p_value : float
        The chance of a finding as strong as this anywhere, were no segment different.
    """

    conditions: tuple[Condition, ...]
    records: int
    share: float
    inside: Estimate
    outside: Estimate
    reference_inside: Estimate | None
    reference_outside: Estimate | None
    expected: float | None
    p_value: float

    @property
    def name(self) -> str:
        """The conditions as text."""
        return " and ".join(str(one) for one in self.conditions)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as values that JSON can hold."""
        return {
            "segment": self.name,
            "conditions": [one.to_json() for one in self.conditions],
            "records": self.records,
            "share": self.share,
            "value": self.inside.value,
            "ci_lower": self.inside.lower,
            "ci_upper": self.inside.upper,
            "outside": _told(self.outside),
            "reference": _told(self.reference_inside),
            "reference_outside": _told(self.reference_outside),
            "expected": self.expected,
            "p_value": self.p_value,
        }


def _told(one: Estimate | None) -> dict[str, float] | None:
    if one is None:
        return None
    return {"value": one.value, "ci_lower": one.lower, "ci_upper": one.upper}


@dataclass(frozen=True)
class WorstSegments:
    """What the search found; shows itself in a notebook.

    Parameters
    ----------
    metric : str or None
        None where there is nothing to search by.
    findings : tuple of Finding
        The surest first. Each is told beside those before it: their records are left out of its
        p-value, so that no part, parent or neighbour of one is another.
    whole : Estimate or None
        The metric over all labelled records.
    reference : Estimate or None
        The same in the reference.
    records, labelled, held : int
        All records; those with a label and what the metric needs; and those that were searched,
        fewer only where there are too many.
    looked : int
        Segments with enough records.
    why_not : str or None
        Why nothing could be searched.
    against_reference : bool
        Whether it was asked where performance got worse, not where it is worst.
    """

    metric: str | None
    findings: tuple[Finding, ...]
    whole: Estimate | None
    reference: Estimate | None
    records: int
    labelled: int
    held: int
    looked: int
    why_not: str | None
    against_reference: bool

    @property
    def sentence(self) -> str:
        """The answer in a sentence or two."""
        asked = (
            "got worse by more than the rest"
            if self.against_reference
            else "is worse than the rest"
        )
        if self.why_not is not None:
            return f"No segments could be searched: {self.why_not}."
        if not self.findings:
            return (
                f"No segment {asked} by {self.metric} beyond what chance does "
                f"({self.looked:,} looked at).{self._overall()}"
            )
        first = self.findings[0]
        then = first.reference_inside
        held = (
            f"{first.outside.value:.3g} elsewhere"
            if then is None
            else f"{then.value:.3g} in the reference"
        )
        more = len(self.findings) - 1
        also = (
            "" if not more else f" {more} more beside it." if more > 1 else " One more beside it."
        )
        return (
            f"{'Got worse most surely' if self.against_reference else 'Worst'} where {first.name}: "
            f"{self.metric} is {first.inside.value:.3g} against {held}, in {first.share:.1%} of "
            f"the labelled records.{also}"
        )

    def _overall(self) -> str:
        """What all records come to: where all fell alike, no segment tells it."""
        if self.whole is None or self.reference is None:
            return ""
        return (
            f" Over all labelled records it is {self.whole.value:.3g}, where the reference had "
            f"{self.reference.value:.3g}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {
            "metric": self.metric,
            "basis": "labels",
            "against_reference": self.against_reference,
            "sentence": self.sentence,
            "whole": _told(self.whole),
            "reference": _told(self.reference),
            "records": self.records,
            "labelled": self.labelled,
            "searched_records": self.held,
            "searched_segments": self.looked,
            "level": LEVEL,
            "why_not": self.why_not,
            "findings": [one.to_json() for one in self.findings],
        }

    def to_frame(self) -> pandas.DataFrame:
        """Return the findings as a pandas frame, one row each."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra(
                "pandas is not installed: pip install pandas, or use to_json()"
            ) from error
        names = (
            "segment", "conditions", "records", "share", "value", "ci_lower", "ci_upper",
            "outside", "reference", "reference_outside", "expected", "p_value",
        )  # fmt: skip
        rows = [one.to_json() for one in self.findings]
        for row in rows:
            for key in ("outside", "reference", "reference_outside"):
                row[key] = None if row[key] is None else row[key]["value"]
        return pandas.DataFrame(rows, columns=list(names))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells for people, as every view shows them."""
        then = self.against_reference
        heads = ["segment", "records", str(self.metric), "elsewhere"]
        heads += ["then", "elsewhere then"] if then else []
        heads += ["expected", "chance"]
        rows = []
        for one in self.findings:
            row = [one.name, f"{one.records:,} ({one.share:.1%})"]
            row += [f"{one.inside.value:.3f} ({one.inside.lower:.3f}–{one.inside.upper:.3f})"]
            row += [f"{one.outside.value:.3f}"]
            if then:
                row += ["—" if e is None else f"{e.value:.3f}"
                        for e in (one.reference_inside, one.reference_outside)]  # fmt: skip
            row += ["—" if one.expected is None else f"{one.expected:.3f}"]
            rows.append([*row, "< 0.0001" if one.p_value < 1e-4 else f"{one.p_value:.4f}"])
        return heads, rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know beside the table."""
        out = []
        if self.records > self.labelled and self.labelled:
            without = self.records - self.labelled
            out.append(
                f"{without:,} of {self.records:,} records have no label, or not what "
                f"{self.metric} needs beside it, and do not count"
            )
        if self.held < self.labelled:
            out.append(f"{self.held:,} of {self.labelled:,} labelled records were searched")
        if self.findings and any(one.expected is not None for one in self.findings):
            out.append(
                "expected: what the segment's own scores promise; near the value, the segment is "
                "harder by design"
            )
        return tuple(out)

    def _repr_html_(self) -> str:
        told = f"<p>{escape(self.sentence)}</p>"
        if not self.findings:
            return told
        heads, rows = self.table()
        top = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        notes = "".join(f"<p><small>{escape(one)}</small></p>" for one in self.notes)
        return f"{told}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def __repr__(self) -> str:
        return f"<tidegauge worst segments: {self.sentence}>"


def worst_segments(
    current: Any,
    reference: Any = None,
    schema: Schema | str | os.PathLike[str] | None = None,
    metric: str | None = None,
    depth: int = 2,
) -> WorstSegments:
    """Search for the segments in which a model works worst; with a reference, where it got worse.

    Every feature and segment column is looked at, and every pair of them: numeric ones in ranges
    whose ends are 24-quantiles, categorical ones by their most frequent values. The chance of any
    finding at all is at most 5 % where no segment differs, however many were looked at.

    Parameters
    ----------
    current : path or frame
        Records with labels.
    reference : path or frame, optional
        With it a segment is found only where it is worse than it was there, by more than the rest;
        without it one that is merely harder by design is found too (``expected`` tells such).
    schema : Schema or path, optional
        Inferred by default.
    metric : str, optional
        Binary: ``roc_auc`` (the default with scores), ``log_loss``, ``brier``, ``accuracy``;
        multiclass: ``accuracy`` (the default), ``log_loss``; regression: ``mae``, ``mse``.
    depth : int
        Columns of a segment at most: 1 or 2.

    Returns
    -------
    WorstSegments
        Without labels, or with too few, it says why there is nothing.

    Raises
    ------
    BadInput
        If a source cannot be read, or the metric or depth is none of these.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rng = np.random.default_rng(0)
    >>> place, price = rng.integers(0, 4, 4000), rng.normal(50, 10, 4000)
    >>> wrong = np.where(place == 2, 9.0, 3.0) * rng.normal(size=4000)
    >>> found = worst_segments(pa.table({
    ...     "place": [f"p{k}" for k in place], "prediction": price, "label": price + wrong,
    ... }))
    >>> found.findings[0].name, found.metric
    ('place = p2', 'mae')
    """
    if depth not in (1, 2):
        raise BadInput(f"depth {depth!r}: segments are of 1 or 2 columns", code="bad_depth")
    sides = [open_source(current, _name(current, "current"))]
    if reference is not None:
        sides.append(open_source(reference, _name(reference, "reference")))
    known = _schema_of(schema, sides[-1])
    layout = survey_source(sides[-1], known).layout("segments")
    question = question_of(known, metric)
    if isinstance(question, str):
        return nothing(question, against_reference=reference is not None)
    columns = searched_columns(layout)
    rows = []
    for side in sides:
        held = set(side.arrow_schema().names)
        wanted = [c.name for c in known if c.name in held]
        rows.append(read_rows(side.batches(wanted), layout, columns, question))
    return search_rows(layout, rows, question, depth)


def nothing(why: str, *, against_reference: bool = False) -> WorstSegments:
    """Return the answer that nothing can be searched, and why."""
    return WorstSegments(None, (), None, None, 0, 0, 0, 0, why, against_reference)


def search_rows(
    layout: Layout, sides: Sequence[Rows], question: Question, depth: int = 2
) -> WorstSegments:
    """Search the labelled records of one side, or of one against a reference.

    Parameters
    ----------
    layout : Layout
    sides : sequence of Rows
        The records in question, and the reference's if any; by the layout's searched columns.
    question : Question
    depth : int
    """
    now, against = sides[0], len(sides) > 1
    about = (now.records, now.labelled, len(now))
    whole = value_of(question, now) if len(now) else None
    then = value_of(question, sides[1]) if against and len(sides[1]) else None
    columns = searched_bins(layout, searched_columns(layout), sides)
    why = _why_not(question, sides, columns)
    if why is not None:
        return WorstSegments(question.metric, (), whole, then, *about, 0, why, against)
    axes = axes_of(columns)
    statistic, outcomes = _outcomes(question, sides)
    searched = tuple(
        Side(searched_codes(columns, rows), outcome)
        for rows, outcome in zip(sides, outcomes, strict=True)
    )
    found, looked = search(searched, axes, statistic, depth=depth, least=LEAST, level=LEVEL)
    if not looked:
        why = f"no segment has {LEAST} labelled records{' on both sides' if against else ''}"
        why += f", {LEAST_OF_CLASS} of either class among them" if question.ranks else ""
        return WorstSegments(question.metric, (), whole, then, *about, 0, why, against)
    told = (_finding(question, one, columns, searched, sides) for one in found)
    findings = tuple(one for one in told if _worse(question, one))
    return WorstSegments(question.metric, findings, whole, then, *about, looked, None, against)


def _why_not(
    question: Question, sides: Sequence[Rows], columns: Sequence[SearchedColumn]
) -> str | None:
    for rows, name in zip(sides, ("", " of the reference"), strict=False):
        if not rows.labelled:
            return (
                f"none of the {rows.records:,} records{name} has a label and what "
                f"{question.metric} needs; only labelled records count"
            )
        if len(rows) < 2 * LEAST:
            return (
                f"only {len(rows):,} records{name} have a label; a segment needs {LEAST}, and as "
                "many beside it"
            )
        if question.ranks:
            ones = int(rows.label.sum())
            if min(ones, len(rows) - ones) < 2 * LEAST_OF_CLASS:
                return (
                    f"the labels{name} are {ones:,} positive and {len(rows) - ones:,} negative; "
                    f"{question.metric} needs {2 * LEAST_OF_CLASS} of either"
                )
        elif float(np.ptp(rows.loss)) == 0 and name == "":
            return f"{question.metric} is the same for every labelled record"
    if not any(c.size > 1 for c in columns):
        return "no feature or segment column has more than one value to tell records apart by"
    return None


def _outcomes(
    question: Question, sides: Sequence[Rows]
) -> tuple[Statistic, list[NDArray[np.uint16]]]:
    """The statistic, and each row's class of outcome: bins of about equal weight."""
    values = [rows.score if question.ranks else rows.loss for rows in sides]
    wanted = _SCORE_BINS if question.ranks else _LOSS_BINS
    every = np.concatenate(values)
    edges = np.unique(np.quantile(every, np.arange(1, wanted) / wanted))
    codes = [np.searchsorted(edges, v, side="left") for v in values]
    bins = len(edges) + 1
    if question.ranks:
        return Ranking(bins), [
            (rows.label.astype(np.int64) * bins + code).astype(np.uint16)
            for rows, code in zip(sides, codes, strict=True)
        ]
    every_code = np.concatenate(codes)
    counts = np.bincount(every_code, minlength=bins)
    sums = np.bincount(every_code, weights=every, minlength=bins)
    # A bin that holds nothing is no level of its own.
    levels = sums / np.maximum(counts, 1)
    levels[counts == 0] = float(every.mean())
    return Mean(levels), [code.astype(np.uint16) for code in codes]


def _finding(
    question: Question,
    found: Found,
    columns: Sequence[SearchedColumn],
    searched: Sequence[Side],
    sides: Sequence[Rows],
) -> Finding:
    conditions = [columns[at.column].condition(at.low, at.high) for at in found.ranges]
    held = [holds(side.codes, found.ranges) for side in searched]
    inside, outside = (
        [value_of(question, rows, mask == wanted) for rows, mask in zip(sides, held, strict=True)]
        for wanted in (True, False)
    )
    then = len(sides) > 1
    return Finding(
        tuple(conditions),
        int(held[0].sum()),
        float(held[0].mean()),
        inside[0],
        outside[0],
        inside[1] if then else None,
        outside[1] if then else None,
        promised(question, sides[0], held[0]),
        found.p_value,
    )


def _worse(question: Question, found: Finding) -> bool:
    """Whether a segment is worse as a whole too, not only beside the findings before it."""

    def below(one: Estimate, other: Estimate) -> bool:
        return (one.value < other.value) is question.lower_is_worse

    then = found.reference_inside
    return below(found.inside, found.outside if then is None else then)


def _schema_of(given: Schema | str | os.PathLike[str] | None, source: Source) -> Schema:
    if isinstance(given, Schema):
        return given
    if given is not None:
        return load_schema(Path(given))
    table = head(source, _SEEN)
    if len(table) == 0:
        raise EmptyInput(f"{source.name} has no rows; there is nothing to search")
    return infer_schema(table)


def _name(what: Any, side: str) -> str:
    return str(what) if isinstance(what, str | os.PathLike) else side
