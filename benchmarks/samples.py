"""Pairs of samples for `agreement.py`, made by Hypothesis, and their profiles.

One class a kind of column or model. A pair keeps its raw values as NumPy arrays, for SciPy and
scikit-learn, beside what Tidegauge is given of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from tidegauge.metrics import Metric, evaluate
from tidegauge.metrics.evaluate import Series
from tidegauge.metrics.registry import View
from tidegauge.profile import Layout, Profile, Profiler, Survey
from tidegauge.profile.bins import coarse_groups
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NAN, INF = float("nan"), float("inf")
Arrays = dict[str, pa.Array]


class Pair(ABC):
    """A baseline's records and others, with the layout that the former suggest."""

    #: The column whose metrics are looked at; ``None`` for those of the model.
    column: ClassVar[str | None] = "x"
    strategy: ClassVar[Callable[[], st.SearchStrategy[Any]]]
    #: So many make 200 for every metric, as some are undefined for want of records.
    examples: ClassVar[int] = 300

    @abstractmethod
    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """Return the schema, the baseline's columns and the others."""

    @cached_property
    def made(self) -> tuple[Layout, Profile, Profile]:
        """The layout, the current profile (in two batches) and the baseline's."""
        schema, old, new = self.records()
        survey = Survey(schema)
        survey.update(pa.record_batch(old))
        layout = survey.layout("b")
        profiles = []
        for data, parts in ((new, 2), (old, 1)):
            profiler = Profiler(layout, sample=0)
            batch = pa.record_batch(data)
            step = max(-(-batch.num_rows // parts), 1)
            for at in range(0, batch.num_rows, step):
                profiler.update(batch.slice(at, step))
            profiles.append(profiler.finish())
        return layout, profiles[0], profiles[1]

    def evaluate(self, metrics: Iterable[Metric]) -> dict[str, Series]:
        """Compute metrics, by name."""
        _, current, reference = self.made
        return {
            series.metric.name: series
            for series in evaluate(current, reference, metrics)
            if (series.column.name if series.column else None) == self.column
            or series.column is None
        }

    def view(self, group: str) -> View:
        """Return what a metric sees of the current records."""
        return View(self.made[1], group)


# Single columns ------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "pareto": lambda rng, n: rng.pareto(1.1, n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "few": lambda rng, n: rng.poisson(2, n).astype(float),
    "many whole": lambda rng, n: rng.poisson(900, n).astype(float),
    "zeros": lambda rng, n: np.where(rng.uniform(size=n) < 0.6, 0.0, rng.lognormal(0, 1, n)),
    "constant": lambda rng, n: np.full(n, rng.normal()),
    "far": lambda rng, n: 1e4 + rng.normal(size=n),
}
SIZES = st.sampled_from((1, 2, 3, 10, 60, 221, 300, 700, 1_500))
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def values(draw: st.DrawFn) -> Any:
    """Draw a list of odd numbers, or many of one shape."""
    if draw(st.booleans()):
        one = st.one_of(
            st.integers(-4, 4).map(float),
            # The squares of smaller ones vanish.
            st.floats(-1e3, 1e3).map(lambda v: v if abs(v) > 1e-30 else 0.0),
            st.sampled_from([NAN, NAN, INF, -INF, 0.0, -0.0]),
        )
        return np.array(draw(st.lists(one, min_size=1, max_size=40)))
    rng = np.random.default_rng(draw(SEEDS))
    held = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](rng, draw(SIZES))
    return np.where(rng.uniform(size=len(held)) < draw(st.sampled_from((0.0, 0.2))), NAN, held)


@dataclass(frozen=True, eq=False)
class Numbers(Pair):
    """A numeric column; NaN is missing. ``wrong`` records hold a word in the place of a number."""

    old: Any
    new: Any
    wrong: Any
    low: float | None = None
    high: float | None = None
    texts: bool = False

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        schema = Schema(
            (Column("x", ColumnType.NUMERIC, minimum=self.low, maximum=self.high),),
        )
        if not self.texts:
            mask = np.isnan(self.new) & (np.arange(len(self.new)) % 2 == 0)
            return schema, {"x": pa.array(self.old)}, {"x": pa.array(self.new, mask=mask)}
        words = [
            "one" if w else None if np.isnan(v) else repr(float(v))
            for v, w in zip(self.new, self.wrong, strict=True)
        ]
        return schema, {"x": pa.array(self.old)}, {"x": pa.array(words, pa.string())}

    @cached_property
    def now(self) -> Any:
        """Finite current values."""
        return self.new[np.isfinite(self.new) & ~self.wrong]

    @cached_property
    def then(self) -> Any:
        """The baseline's finite values."""
        return self.old[np.isfinite(self.old)]

    @property
    def scale(self) -> float:
        """The largest absolute value of either sample."""
        return float(np.abs(np.concatenate((self.now, self.then, [0.0]))).max())

    @property
    def edges(self) -> Any:
        """Edges of the column's bins."""
        return self.made[0].bins["x"].edges

    @cached_property
    def fine(self) -> tuple[Any, Any]:
        """Counts by fine bin of the current values and of the baseline's."""
        size = len(self.edges) + 1
        now, then = (
            np.bincount(np.searchsorted(self.edges, v), minlength=size)
            for v in (self.now, self.then)
        )
        return now, then

    @cached_property
    def table(self) -> Any:
        """Counts by the ten bins of the current values and the baseline's: (2, group)."""
        starts = coarse_groups(self.fine[1].astype(float), 10)
        uppers = np.append(self.edges[starts[1:] - 1], INF)
        through = np.array(
            [np.searchsorted(np.sort(v), uppers, side="right") for v in (self.now, self.then)]
        )
        return np.diff(through, axis=1, prepend=0)


@st.composite
def numbers(draw: st.DrawFn) -> Numbers:
    old, new = draw(values()), draw(values())
    how = draw(st.sampled_from(("apart", "moved", "drawn from the baseline")))
    if how == "moved":
        shift, stretch = draw(st.sampled_from(((0.3, 1.0), (0.0, 1.1), (2.0, 0.5), (1e6, 1.0))))
        new = np.random.default_rng(draw(SEEDS)).permutation(old) * stretch + shift
    elif how != "apart":
        new = np.random.default_rng(draw(SEEDS)).choice(old, draw(SIZES))
    scale = 10.0 ** draw(st.sampled_from((0, 0, 0, 0, -100, -6, 6, 100)))
    texts = draw(st.integers(0, 4)) == 0
    wrong = np.full(len(new), False)
    if texts:
        wrong = np.random.default_rng(draw(SEEDS)).uniform(size=len(new)) < 0.2
    low, high = draw(st.sampled_from(((None, None), (None, None), (-1.0, None), (0.0, 2.0))))
    return Numbers(
        old * scale,
        new * scale,
        wrong,
        None if low is None else low * scale,
        None if high is None else high * scale,
        texts,
    )


Numbers.strategy = numbers
Numbers.examples = 380


@dataclass(frozen=True, eq=False)
class Words(Pair):
    """A categorical column, or one of truth values; ``None`` is missing."""

    old: list[Any]
    new: list[Any]

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        truth = all(v is None or isinstance(v, bool) for v in (*self.old, *self.new))
        kind = (ColumnType.BOOLEAN, pa.bool_()) if truth else (ColumnType.CATEGORICAL, pa.string())
        schema = Schema((Column("x", kind[0]),))
        return schema, {"x": pa.array(self.old, kind[1])}, {"x": pa.array(self.new, kind[1])}

    @cached_property
    def table(self) -> Any:
        """Counts of the 200 most frequent baseline values and of all others: (2, value)."""
        then, now = (Counter(v for v in part if v is not None) for part in (self.old, self.new))
        names = [v for v, _ in sorted(then.items(), key=lambda one: (-one[1], str(one[0])))][:200]
        return np.array(
            [[c[v] for v in names] + [c.total() - sum(c[v] for v in names)] for c in (now, then)]
        )


@st.composite
def words(draw: st.DrawFn) -> Words:
    if draw(st.booleans()):
        letters = draw(st.sampled_from(([True, False], list("ab"), list("abcdefg"))))
        lists = st.lists(st.sampled_from([*letters, None]), min_size=1, max_size=60)
        return Words(draw(lists), draw(lists))
    rng = np.random.default_rng(draw(SEEDS))
    most = draw(st.sampled_from((3, 40, 150, 400)))
    codes = [np.minimum(rng.zipf(1.3, draw(SIZES)), most + extra) for extra in (0, 5)]
    old, new = ([None if k % 11 == 10 else f"v{k}" for k in part] for part in codes)
    return Words(old, new)


Words.strategy = words


# Models --------------------------------------------------------------------------------------


class Classes(Pair):
    """What binary and multiclass models share: decisions and probabilities beside labels."""

    column = None
    average: ClassVar[str]
    #: Current label of each record as a text; ``None`` is missing.
    label: list[str | None]
    #: Probabilities (record, class), NaN where there is none; and the classes.
    shares: Any
    classes: Sequence[str]

    @property
    @abstractmethod
    def said(self) -> list[str | None]:
        """What the model decided."""

    @cached_property
    def decided(self) -> tuple[Any, Any]:
        """Places of labels and decisions among the classes that the baseline had, where both are.

        All classes that it did not have share a place.
        """
        names = self.classes if isinstance(self, Binary) else self.made[0].classes
        places = {name: place for place, name in enumerate(names)}
        rows = [
            (places.get(t, len(places)), places.get(s, len(places)))
            for t, s in zip(self.label, self.said, strict=True)
            if t is not None and s is not None
        ]
        return np.array([t for t, _ in rows]), np.array([s for _, s in rows])

    @cached_property
    def valid(self) -> Any:
        """Records whose probabilities all are within 0–1."""
        return ((self.shares >= 0) & (self.shares <= 1)).all(axis=1)

    @cached_property
    def scored(self) -> tuple[Any, Any]:
        """Place of the label among the classes, and probabilities, where both are there."""
        rows = [k for k in np.flatnonzero(self.valid) if self.label[k] in self.classes]
        places = [self.classes.index(str(self.label[k])) for k in rows]
        return np.array(places, dtype=int), self.shares[rows]

    @property
    def sure(self) -> Any:
        """Probability of the likeliest class, of every record with valid probabilities."""
        return self.shares[self.valid].max(axis=1)

    @property
    @abstractmethod
    def calibrated(self) -> tuple[Any, Any]:
        """What is held against each other for the calibration: right or not, and how sure."""


@dataclass(frozen=True, eq=False)
class Binary(Classes):
    """A binary model: the baseline's scores, then current scores and labels (-1: none)."""

    old: Any
    score: Any
    truth: Any
    answer: Any = None

    average = "binary"
    classes = ("false", "true")

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        columns = [
            Column("score", ColumnType.NUMERIC, Role.SCORE),
            Column("label", ColumnType.BOOLEAN, Role.LABEL),
        ]
        old = {"score": pa.array(self.old), "label": pa.array(self.old > 0.5)}
        new = {"score": pa.array(self.score), "label": _flags(self.truth)}
        if self.answer is not None:
            columns.append(Column("prediction", ColumnType.BOOLEAN, Role.PREDICTION))
            old["prediction"] = old["label"]
            new["prediction"] = _flags(self.answer)
        return Schema(tuple(columns), Task.BINARY, positive="true"), old, new

    @cached_property
    def label(self) -> list[str | None]:
        """Current labels as texts."""
        return [None if t < 0 else self.classes[t] for t in self.truth]

    @cached_property
    def shares(self) -> Any:
        """Probabilities of both classes."""
        return np.column_stack((1.0 - self.score, self.score))

    @cached_property
    def said(self) -> list[str | None]:
        """The prediction, or whether the score is at least ½."""
        if self.answer is not None:
            return [None if t < 0 else self.classes[t] for t in self.answer]
        finite = np.isfinite(self.score)
        return [
            self.classes[int(s >= 0.5)] if f else None
            for s, f in zip(self.score, finite, strict=True)
        ]

    @property
    def calibrated(self) -> tuple[Any, Any]:
        """Labels and scores."""
        true, shares = self.scored
        return true, shares[:, 1]


def _flags(truth: Any) -> pa.Array:
    return pa.array([None if t < 0 else bool(t) for t in truth], pa.bool_())


@st.composite
def scores(draw: st.DrawFn) -> Any:
    """Draw some odd scores, or many of one shape."""
    if draw(st.booleans()):
        one = st.one_of(
            st.integers(0, 1_000).map(lambda k: k / 1_000),
            st.integers(0, 10).map(lambda k: k / 10),
            st.sampled_from([0.0, 1.0, 1e-12, 1 - 1e-12, 1e-30, 0.5, NAN, 7.0]),
        )
        return np.array(draw(st.lists(one, min_size=1, max_size=40)))
    rng = np.random.default_rng(draw(SEEDS))
    n, spread, middle = draw(SIZES), draw(st.sampled_from((0.3, 1, 4))), draw(st.integers(-4, 4))
    held = 1 / (1 + np.exp(-(rng.normal(size=n) * spread + middle)))
    digits = draw(st.sampled_from((1, 2, 9)))
    return np.round(held, digits)


@st.composite
def truths(draw: st.DrawFn, score: Any) -> Any:
    """Draw labels: as the scores say, the reverse, at random or all alike; some are missing."""
    rng = np.random.default_rng(draw(SEEDS))
    mixed = np.full(len(score), 0.4)
    how = draw(st.sampled_from((score, score, 1 - score, mixed, mixed, np.zeros(len(score)))))
    true = (rng.uniform(size=len(score)) < how).astype(int)
    lost = draw(st.sampled_from((0.0, 0.0, 0.2)))
    return np.where(rng.uniform(size=len(score)) < lost, -1, true)


@st.composite
def binary(draw: st.DrawFn) -> Binary:
    score = draw(scores())
    old = score if draw(st.integers(0, 3)) else draw(scores())
    if np.isnan(old).all():
        old = np.array([0.2, 0.8])
    answer = draw(truths(score)) if draw(st.integers(0, 3)) == 0 else None
    return Binary(old, score, draw(truths(score)), answer)


Binary.strategy = binary
Binary.examples = 420


@dataclass(frozen=True, eq=False)
class Multiclass(Classes):
    """A model of several classes; the baseline's labels, then current shares and labels."""

    old: list[str]
    shares: Any
    label: list[str | None]
    prediction: list[str | None] | None
    classes: list[str]

    average = "macro"

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        columns = [
            Column(f"score_{c}", ColumnType.NUMERIC, Role.SCORE, class_=c) for c in self.classes
        ]
        columns.append(Column("label", ColumnType.CATEGORICAL, Role.LABEL))
        flat = pa.array(np.full(len(self.old), 1 / len(self.classes)))
        old = {f"score_{c}": flat for c in self.classes} | {"label": pa.array(self.old)}
        new = {f"score_{c}": pa.array(self.shares[:, j]) for j, c in enumerate(self.classes)}
        new["label"] = pa.array(self.label, pa.string())
        if self.prediction is not None:
            columns.append(Column("prediction", ColumnType.CATEGORICAL, Role.PREDICTION))
            old["prediction"] = old["label"]
            new["prediction"] = pa.array(self.prediction, pa.string())
        return Schema(tuple(columns), Task.MULTICLASS), old, new

    @cached_property
    def said(self) -> list[str | None]:
        """The prediction, or the likeliest class."""
        if self.prediction is not None:
            return self.prediction
        return [self.classes[row.argmax()] if np.isfinite(row).all() else None
                for row in self.shares]  # fmt: skip

    @property
    def calibrated(self) -> tuple[Any, Any]:
        """Whether the likeliest class was right, and its probability."""
        true, shares = self.scored
        return (shares.argmax(axis=1) == true).astype(int), shares.max(axis=1)


@st.composite
def multiclass(draw: st.DrawFn) -> Multiclass:
    classes = list("abcdef")[: draw(st.sampled_from((2, 3, 3, 6)))]
    rng = np.random.default_rng(draw(SEEDS))
    n = draw(st.one_of(st.integers(1, 60), st.sampled_from((60, 300, 1_000))))
    weights = rng.uniform(0.1, draw(st.sampled_from((1, 10))), len(classes))
    shares = rng.dirichlet(weights, n)
    if draw(st.integers(0, 5)) == 0:
        shares = np.round(shares, 1) + 0.01
        shares /= shares.sum(axis=1, keepdims=True)
    if draw(st.integers(0, 3)):
        places = (rng.uniform(size=(n, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
        label = [classes[k] for k in places]
    else:
        some = st.sampled_from(classes[: draw(st.integers(1, len(classes)))])
        label = draw(st.lists(some, min_size=n, max_size=n)) if n <= 60 else [classes[0]] * n
    old = [*classes[: draw(st.integers(1, len(classes)))], "old"]
    prediction = None
    if draw(st.integers(0, 3)) == 0:
        prediction = [str(k) for k in rng.choice([*classes, "old"], n)]
    odd = rng.uniform(size=n) < draw(st.sampled_from((0.0, 0.2)))
    shares[odd, rng.integers(len(classes))] = NAN
    strange = rng.choice(np.array([None, "new", "newer", "old"]), n)
    lost = rng.uniform(size=n) < draw(st.sampled_from((0.0, 0.0, 0.2)))
    label = [s if k else t for t, s, k in zip(label, strange, lost, strict=True)]
    return Multiclass(old, shares, label, prediction, classes)


Multiclass.strategy = multiclass
Multiclass.examples = 320


@dataclass(frozen=True, eq=False)
class Regression(Pair):
    """A model of numbers: the baseline's labels, then what was predicted and what happened."""

    old: Any
    said: Any
    label: Any

    column = None

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        schema = Schema(
            (
                Column("prediction", ColumnType.NUMERIC, Role.PREDICTION),
                Column("label", ColumnType.NUMERIC, Role.LABEL),
            ),
            Task.REGRESSION,
        )
        old = {"prediction": pa.array(self.old), "label": pa.array(self.old)}
        return schema, old, {"prediction": pa.array(self.said), "label": pa.array(self.label)}

    @cached_property
    def both(self) -> tuple[Any, Any]:
        """Labels and predictions, where both are finite."""
        rows = np.isfinite(self.label) & np.isfinite(self.said)
        return self.label[rows], self.said[rows]

    @property
    def scale(self) -> float:
        """The largest absolute label or prediction."""
        return float(max(np.abs(part).max() for part in self.both))


@st.composite
def regression(draw: st.DrawFn) -> Regression:
    label = draw(values())
    rng = np.random.default_rng(draw(SEEDS))
    how = draw(st.sampled_from(("near", "right", "mean", "anything")))
    spread = np.nanstd(np.where(np.isfinite(label), label, 0.0)) + 0.1
    if how == "near":
        said = label + rng.normal(size=len(label)) * spread * 0.3
    elif how == "right":
        said = label.copy()
    elif how == "mean":
        said = np.full(len(label), 1.5)
    else:
        said = np.resize(draw(values()), len(label))
    old = label if draw(st.booleans()) else draw(values())
    scale = 10.0 ** draw(st.sampled_from((0, 0, 0, -60, -6, 6, 60)))
    return Regression(old * scale, said * scale, label * scale)


Regression.strategy = regression
Regression.examples = 380


@dataclass(frozen=True, eq=False)
class Service(Pair):
    """Times (seconds, some null), statuses and latencies of requests."""

    old: Any
    new: Any
    times: list[int | None]
    status: list[str | None]

    column = "x"

    def records(self) -> tuple[Schema, Arrays, Arrays]:
        """See `Pair`."""
        schema = Schema(
            (
                Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
                Column("x", ColumnType.NUMERIC, Role.LATENCY, unit="ms"),
                Column("status", ColumnType.CATEGORICAL, Role.STATUS),
            )
        )
        kind = pa.timestamp("us", "UTC")
        n = len(self.old)
        old = {
            "when": pa.array(np.arange(n) * 1_000_000, kind),
            "x": pa.array(self.old),
            "status": pa.array(["200"] * n),
        }
        new = {
            "when": pa.array(self.times, kind),
            "x": pa.array(self.new),
            "status": pa.array(self.status, pa.string()),
        }
        return schema, old, new

    @cached_property
    def now(self) -> Any:
        """Finite current latencies."""
        return self.new[np.isfinite(self.new)]

    @property
    def edges(self) -> Any:
        """Edges of the column's bins."""
        return self.made[0].bins["x"].edges

    @property
    def scale(self) -> float:
        """The largest absolute value."""
        return float(np.abs(np.append(self.now, 0.0)).max())


@st.composite
def service(draw: st.DrawFn) -> Service:
    old, new = (np.abs(draw(values())) for _ in range(2))
    if draw(st.booleans()):
        new = np.random.default_rng(draw(SEEDS)).permutation(old) * 1.1
    rng = np.random.default_rng(draw(SEEDS))
    span = draw(st.sampled_from((1, 10**3, 10**7, 10**7, 10**11)))
    times = [int(t) for t in 1_700_000_000_000_000 + rng.integers(0, span, len(new))]
    words = ("200", "404", "500", "503", "599.0", "ok", "OK", "error", "timeout", None)
    return Service(old, new, times, [words[k] for k in rng.integers(0, len(words), len(new))])


Service.strategy = service
Service.examples = 420

KINDS: tuple[type[Pair], ...] = (Numbers, Words, Binary, Multiclass, Regression, Service)
