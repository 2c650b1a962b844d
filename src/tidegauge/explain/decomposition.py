"""Why performance changed: how much came of changed inputs, and how much of a changed relation.

Two sides, a reference and the current records::

    total    = M(current) − M(reference)      what was seen on both
    inputs   = M* − M(reference)              M*: current inputs under the reference's relation
    relation = M(current) − M*                the rest, exactly

M* needs the labels that current inputs would have had. The reference's relation expects them,
cross-fitted, and reference rows that are likelier now correct what it got wrong (augmented inverse
probability weighting), so either of the two may be off. See ``docs/statistics.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from tidegauge.errors import BadInput
from tidegauge.estimation.relation import Relation
from tidegauge.explain.columns import (
    Borne,
    Groups,
    borne,
    foretold,
    inputs_of,
    likelier,
    outputs_of,
)
from tidegauge.explain.parts import Decomposition, Part, SegmentParts
from tidegauge.explain.sums import Rows, Sums
from tidegauge.metrics.registry import Family, Metric, Values, find_metric
from tidegauge.metrics.sampled import held_in
from tidegauge.profile import Profiler
from tidegauge.profile.layout import Layout
from tidegauge.profile.profile import PERFORMANCE
from tidegauge.profile.values import numbers
from tidegauge.schema import ColumnType, Role, Task

#: Rows of each side that are looked at; of more, so many with the smallest hash of their id.
MOST_ROWS = 50_000
#: Labelled rows of a side below which a change is told, and not split.
FEWEST = 200
#: Labelled rows of a side below which its interval is none to go by.
FEWEST_TOLD = 30
#: Numbers that the maps of a model with many classes may have.
_MOST_ENTRIES = 8_000_000
_WIDTH = 1.959963984540054
_DEFAULT = {Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
_NOT_SPLIT = frozenset({"label_coverage", "concept_drift"})


class Measure(Protocol):
    """A value that follows from sums over rows."""

    def value(self, sums: Values) -> float:
        """Return the value from (L,) sums."""
        ...

    def slope(self, sums: Values, n: float) -> Values:
        """Return its derivative by the sums of ``n`` rows, times ``n``: (L,)."""
        ...


@dataclass(frozen=True, eq=False)
class _Performance:
    """A performance metric, from the sums of the profile's group."""

    sums: Sums
    metric: Metric

    def value(self, sums: Values) -> float:
        return float(self.sums.values(self.metric, sums[None])[0])

    def slope(self, sums: Values, n: float) -> Values:
        return self.sums.slope(self.metric, sums, n)


class _Mean:
    """A mean, from the number of rows and their total."""

    def value(self, sums: Values) -> float:
        return float(sums[1] / sums[0]) if sums[0] else float("nan")

    def slope(self, sums: Values, n: float) -> Values:
        return np.array([-sums[1] / sums[0] ** 2, 1.0 / sums[0]]) * n


def metric_of(name: str | None, layout: Layout) -> Metric:
    """Return the metric that is asked for, or the task's own.

    Raises
    ------
    NotFound
        With the nearest name that exists.
    BadInput
        If it is none of performance, or not of this task.
    """
    task = layout.schema.task
    if task is None:
        raise BadInput(
            "the schema names no task, so there is no performance to explain; add task: binary, "
            "multiclass or regression",
            code="no_task",
        )
    if name is None:
        name = _DEFAULT[task]
        if name == "roc_auc" and layout.schema.role(Role.SCORE) is None:
            name = "accuracy"
    found = find_metric(name)
    if found.family is not Family.PERFORMANCE or found.group != PERFORMANCE or name in _NOT_SPLIT:
        raise BadInput(
            f"metric {name!r} does not tell performance from labels; ask for one such as "
            f"{_DEFAULT[task]!r}",
            code="not_performance",
        )
    if task not in found.tasks and found.tasks:
        raise BadInput(
            f"metric {name!r} is not one of a {task.value} model; ask for one such as "
            f"{_DEFAULT[task]!r}",
            code="not_of_task",
        )
    return found.within(layout.schema)


def decompose(
    reference: pa.Table,
    current: pa.Table,
    layout: Layout,
    metric: str | None = None,
    *,
    relation: Relation | None = None,
) -> Decomposition:
    """Split a change in performance between two sides.

    Parameters
    ----------
    reference, current : pyarrow.Table
        Rows with the layout's columns; the coordinated samples of two periods, or all rows.
    layout : Layout
        Of the reference: its schema, bins, classes and segments.
    metric : str, optional
        ROC AUC, accuracy or MAE by default, by task.
    relation : Relation, optional
        Of the reference's rows, where the caller has it already.

    Returns
    -------
    Decomposition
        Where the change cannot be split, ``why_not`` says why.

    Raises
    ------
    NotFound, BadInput
        If the metric is not one of performance of this task.
    """
    asked = metric_of(metric, layout)
    sums = Sums.of(layout, (reference, current))
    blank = _blank(asked, layout)
    if not sums.places:
        return replace(blank, why_not="the schema has no label, or no prediction and no score")
    reference, current = (_kept(table, layout) for table in (reference, current))
    then, now = sums.rows(reference), sums.rows(current)
    blank = replace(blank, labelled=len(now) / max(len(current), 1))
    labelled = len(now) > 0
    if not labelled:
        now = sums.rows(current, labelled=False)
    measure = _Performance(sums, asked)
    found = _split(measure, then, now, layout, blank, labelled=labelled, relation=relation)
    return replace(found, outcome=_of_outcome(reference, current, layout))


def _blank(metric: Metric, layout: Layout) -> Decomposition:
    unit = metric.unit_for(None)
    return Decomposition(metric.name, unit, metric.direction.value)


def _kept(table: pa.Table, layout: Layout) -> pa.Table:
    """Hold the rows of a model with very many classes to what fits into memory."""
    k = max(len(layout.classes), 1)
    most = max(FEWEST, min(MOST_ROWS, _MOST_ENTRIES // (k * k)))
    if len(table) <= most or "_hash" not in table.column_names:
        return table.slice(0, most)
    # A sample is ordered by its windows; the first rows would be the oldest.
    kept = np.argpartition(table["_hash"].to_numpy(), most)[:most]
    return table.take(pa.array(np.sort(kept)))


def _of_outcome(reference: pa.Table, current: pa.Table, layout: Layout) -> Decomposition | None:
    """Split the change of the mean outcome of a record, where the schema has one."""
    column = layout.schema.role(Role.OUTCOME)
    if column is None or column.type is not ColumnType.NUMERIC:
        return None
    sides = []
    for table in (reference, current):
        values = numbers(held_in(table, column.name))[0]
        kept = np.flatnonzero(np.isfinite(values))
        n = len(kept)
        ones, none = np.ones(n), np.zeros(n, dtype=np.int64)
        maps = tuple(
            sparse.csr_matrix((ones, (np.arange(n), none + at)), shape=(n, 2)) for at in (0, 1)
        )
        outcomes = np.stack([ones, values[kept]], axis=1)
        sides.append(Rows(table.take(pa.array(kept)), outcomes, maps))
    blank = Decomposition(f"mean {column.name}", column.unit, "neither", labelled=1.0)
    if not len(sides[0]) or not len(sides[1]):
        side = "reference" if not len(sides[0]) else "current"
        return replace(blank, why_not=f"no {side} record has a known {column.name!r}")
    then, now = sides
    return _split(_Mean(), then, now, layout, blank, labelled=True, relation=None, learn=False)


def _split(
    measure: Measure,
    then: Rows,
    now: Rows,
    layout: Layout,
    blank: Decomposition,
    *,
    labelled: bool,
    relation: Relation | None,
    learn: bool = True,
) -> Decomposition:
    """Split the change of one measure."""
    n, m = len(then), len(now)
    out = replace(blank, n_reference=n, n_current=m)
    if not n:
        return replace(out, why_not="no reference record has a label and an answer to hold it to")
    if not m:
        return replace(out, why_not="no current record has an answer of the model")
    before = then.sums(then.outcomes)
    out = replace(out, reference=_finite(measure.value(before)))
    after = now.sums(now.outcomes) if labelled else None
    if after is not None:
        out = replace(out, current=_finite(measure.value(after)))
    if out.reference is None:
        return replace(out, why_not=_undefined(blank.metric, "reference"))
    if after is not None and out.current is None:
        return replace(out, why_not=_undefined(blank.metric, "current"))
    which, held = ("reference", n) if n <= m else ("current", m)
    what = "labelled " if labelled or which == "reference" else ""
    if min(n, m) < FEWEST_TOLD:
        few = f"{held} {what}{which} records are too few to tell a change; {FEWEST_TOLD} are needed"
        return replace(out, why_not=few)
    total = None if after is None else _total(measure, then, now, before, after)
    out = replace(out, total=total)
    if held < FEWEST:
        few = f"{held} {what}{which} records are too few to split it; {FEWEST} are needed"
        return replace(out, why_not=few)
    groups = Groups.cut(inputs_of(layout), layout, then.table, now.table)
    told = Groups.cut([*inputs_of(layout), *outputs_of(layout)], layout, then.table, now.table)
    notes: list[str] = []
    expected = _expected(then, now, told, layout, relation, learn, notes)
    return _parts(measure, then, now, before, after, expected, groups, told, layout, out, notes)


def _total(measure: Measure, then: Rows, now: Rows, before: Values, after: Values) -> Part:
    own = then.worth(measure.slope(before, len(then)), then.outcomes)
    new = now.worth(measure.slope(after, len(now)), now.outcomes)
    value = measure.value(after) - measure.value(before)
    return _part("total", value, -own, new)


def _expected(
    then: Rows,
    now: Rows,
    told: Groups,
    layout: Layout,
    relation: Relation | None,
    learn: bool,
    notes: list[str],
) -> tuple[Values, Values]:
    """Return what the reference's relation expects of both sides' outcomes, cross-fitted."""
    own, new = foretold(told, then.outcomes)
    if not learn:
        return own, new
    relation = relation or Relation.learn(then.table, layout)
    if relation.why_not is not None:
        notes.append(f"inputs are taken one by one: {relation.why_not}")
        return own, new
    if relation.note:
        notes.append(relation.note)
    for out, learnt in ((own, relation.held_out), (new, relation.expected(now.table))):
        if layout.schema.task is Task.BINARY:
            learnt = np.stack([1.0 - learnt, learnt], axis=1)
        first = 1 if layout.schema.task is Task.REGRESSION else 0
        # Where it expects nothing, as of a score that is missing, the groups still do.
        place = slice(first, first + learnt.shape[1])
        out[:, place] = np.where(np.isfinite(learnt), learnt, out[:, place])
        out[:, 0] = 1.0 if first else out[:, 0]
    return own, new


def _parts(
    measure: Measure,
    then: Rows,
    now: Rows,
    before: Values,
    after: Values | None,
    expected: tuple[Values, Values],
    groups: Groups,
    told: Groups,
    layout: Layout,
    out: Decomposition,
    notes: list[str],
) -> Decomposition:
    n, m = len(then), len(now)
    own, new = expected
    ratio = likelier(told)
    surprise = (then.outcomes - own) * ratio[:, None]
    between = now.sums(new) + then.sums(surprise) * (m / n)
    middle = measure.value(between)
    if not np.isfinite(middle):
        why = "the metric is not defined for current inputs under the reference's relation"
        return replace(out, why_not=why, notes=tuple(notes))
    if (ratio.sum() ** 2 / (ratio**2).sum()) < n / 20:
        notes.append(
            "current inputs are rare in the reference, so what it expects of them is mostly "
            "carried over from other inputs"
        )
    at_before, at_between = measure.slope(before, n), measure.slope(between, m)
    value = measure.value(before)
    pull = then.worth(at_between, surprise)
    by_reference = pull - then.worth(at_before, then.outcomes)
    by_current = now.worth(at_between, new)
    inputs = _part("inputs", middle - value, by_reference, by_current)
    relation = None
    if after is not None:
        at_after = measure.slope(after, m)
        rest = now.worth(at_after, now.outcomes) - by_current
        relation = _part("relation", measure.value(after) - middle, -pull, rest)
    # Between two points a derivative in their middle is right to the second order.
    halfway = measure.slope(before * (m / n) / 2 + between / 2, m)
    worth = then.worth(halfway, then.outcomes)
    each = borne(groups, worth)
    columns = _by_column(groups, each, inputs, by_reference, by_current)
    changed = None
    if after is not None:
        late = measure.slope(between / 2 + after / 2, m)
        changed = (
            now.worth(late, now.outcomes) - now.worth(late, new),
            then.worth(late, surprise),
        )
    segments = _by_segment(
        layout,
        then.table,
        now.table,
        worth,
        now.worth(halfway, new),
        then.worth(halfway, surprise),
        changed,
    )
    return replace(
        out,
        inputs=inputs,
        relation=relation,
        columns=columns,
        segments=segments,
        notes=tuple(notes),
    )


def _by_column(
    groups: Groups, each: Borne, inputs: Part, by_reference: Values, by_current: Values
) -> tuple[Part, ...]:
    """Return the columns' parts, the greatest first, and what they do only together."""
    parts = [
        _part(name, float(each.value[at]), each.reference[:, at], each.current[:, at])
        for at, name in enumerate(groups.names)
    ]
    parts.sort(key=lambda part: -abs(part.value))
    together = _part(
        "together",
        inputs.value - float(each.value.sum()),
        by_reference - each.reference.sum(axis=1),
        by_current - each.current.sum(axis=1),
    )
    return (*parts, together)


def _by_segment(
    layout: Layout,
    then: pa.Table,
    now: pa.Table,
    worth: Values,
    new: Values,
    surprise: Values,
    changed: tuple[Values, Values] | None,
) -> tuple[SegmentParts, ...]:
    """Split the inputs' part over segments, in more or fewer of them and in other rows of each.

    ``worth`` is what each reference row adds, ``new`` what is expected of each current one, and
    ``surprise`` what reference rows correct of it; ``changed`` what current rows add beyond.
    """
    out = []
    centre = (worth.mean() + new.mean() + surprise.mean()) / 2
    sides = [_segment_codes(table, layout) for table in (then, now)]
    for place, (_, first, values) in enumerate(layout.segment_groups):
        codes = [side[place] for side in sides]
        for at in range(len(values)):
            segment = layout.segments[first + at]
            assert segment is not None
            before, after = (own == at for own in codes)
            a, b = before.mean(), after.mean()
            if not (before.any() or after.any()):
                continue
            was = worth[before].mean() if before.any() else np.nan
            # Corrected by reference rows of the segment, as all is by all of them.
            drawn = surprise[before].sum() / len(worth) / b if after.any() else 0.0
            now_is = new[after].mean() + drawn if after.any() else np.nan
            level = float(np.nanmean([was, now_is]))
            mix = (b - a) * (level - centre)
            within = (a + b) / 2 * (now_is - was) if before.any() and after.any() else 0.0
            own = np.where(before, worth - np.nan_to_num(was), 0.0) / max(a, 1e-12)
            pulled = np.where(before, surprise, 0.0) / max(b, 1e-12)
            other = np.where(after, new - np.nan_to_num(now_is), 0.0) / max(b, 1e-12)
            mixed = _part(
                "mix",
                mix,
                -(before - a) * (level - centre) + (b - a) * (own + pulled) / 2,
                (after - b) * (level - centre) + (b - a) * other / 2,
            )
            inside = _part("within", within, (a + b) / 2 * (pulled - own), (a + b) / 2 * other)
            relation = None
            if changed is not None:
                value_of = changed[0][after].sum() / len(new) - changed[1][before].sum() / len(
                    worth
                )
                relation = _part(
                    "relation",
                    float(value_of),
                    -np.where(before, changed[1], 0.0),
                    np.where(after, changed[0], 0.0),
                )
            out.append(SegmentParts(segment, float(a), float(b), mixed, inside, relation))
    return tuple(out)


def _segment_codes(table: pa.Table, layout: Layout) -> list[NDArray[np.int64]]:
    """Return which segment of each group every row belongs to."""
    if not len(table):
        return [np.empty(0, dtype=np.int64) for _ in layout.segment_groups]
    (batch,) = table.combine_chunks().to_batches()
    return [codes for _, _, codes in Profiler(layout, sample=0).groups(batch)]


def _part(name: str, value: float, reference: Values, current: Values) -> Part:
    """Return a part with its 95 % interval, from the influence of every row of either side."""
    spread = np.sqrt(sum(_mean_variance(side) for side in (reference, current)))
    reach = _WIDTH * float(spread)
    return Part(name, float(value), float(value) - reach, float(value) + reach)


def _mean_variance(values: Values) -> Any:
    return values.var(ddof=1) / len(values) if len(values) > 1 else 0.0


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _undefined(metric: str, side: str) -> str:
    return (
        f"{metric} is not defined for the {side} records: one class only, nothing predicted of a "
        "class, or scores that are all outside 0–1 or not told apart"
    )
