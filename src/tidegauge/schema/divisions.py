"""Segments beyond the values of one column: combinations of columns, and numbers in bins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tidegauge.errors import SchemaError

#: Columns of one combination, bins of one column, and divisions of one model, at most.
MOST_COLUMNS, MOST_BINS, MOST_DIVISIONS = 3, 20, 20
#: What stands between the columns, and between the values, of a combination.
CROSS = " × "


@dataclass(frozen=True)
class Part:
    """One column of a division.

    Parameters
    ----------
    column : str
    bins : tuple of float
        Where a number's bins begin and end, each with its lower edge; empty for a column whose
        values are told apart as they are.

    Raises
    ------
    SchemaError
        If the bins do not increase, or are too many.

    Examples
    --------
    >>> Part("age", (18, 30)).labels
    ('<18', '18..30', '>=30')
    """

    column: str
    bins: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "bins", tuple(float(one) for one in self.bins))
        if any(not low < high for low, high in pairwise(self.bins)):
            raise SchemaError(
                f"bins of segment column {self.column!r} must increase, each once, as [18, 30, 50]",
                code="bad_bins",
            )
        if any(abs(one) == float("inf") for one in self.bins):
            raise SchemaError(
                f"bins of segment column {self.column!r} must be finite; what lies outside them "
                "has a bin at either end by itself",
                code="bad_bins",
            )
        if len(self.bins) > MOST_BINS:
            raise SchemaError(
                f"segment column {self.column!r} has {len(self.bins)} bins; {MOST_BINS} is the "
                "most",
                code="too_many_bins",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What the bins are called: below the first edge, between two, from the last one on."""
        if not self.bins:
            return ()
        edges = [_number(one) for one in self.bins]
        inner = [f"{low}..{high}" for low, high in pairwise(edges)]
        return f"<{edges[0]}", *inner, f">={edges[-1]}"


@dataclass(frozen=True)
class Division:
    """What records are divided by: a column's bins, or several columns at once.

    Parameters
    ----------
    parts : tuple of Part

    Raises
    ------
    SchemaError
        If it has no column, too many, or one twice.

    Examples
    --------
    >>> Division((Part("carrier"), Part("origin"))).name
    'carrier × origin'
    >>> Division((Part("age", (18, 30)),)).to_json()
    {'column': 'age', 'bins': [18, 30]}
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        names = self.columns
        if not 1 <= len(names) <= MOST_COLUMNS:
            raise SchemaError(
                f"a combination of segment columns has 1 to {MOST_COLUMNS} columns, not "
                f"{len(names)}",
                code="bad_combination",
            )
        if len(set(names)) < len(names):
            raise SchemaError(
                f"a combination names a column twice: {', '.join(names)}", code="bad_combination"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(part.column for part in self.parts)

    @property
    def name(self) -> str:
        """What it is called."""
        return CROSS.join(self.columns)

    @property
    def plain(self) -> bool:
        """Whether it is no more than the values of one column."""
        return len(self.parts) == 1 and not self.parts[0].bins

    def to_json(self) -> Any:
        """Return it as a schema's document has it."""
        told = [
            {"column": part.column, "bins": [_plain(one) for one in part.bins]}
            if part.bins
            else part.column
            for part in self.parts
        ]
        return told[0] if len(told) == 1 else told


def division_of(given: Any, known: Iterable[str] = ()) -> Division:
    """Read what somebody wants to divide by.

    Parameters
    ----------
    given : str, mapping, sequence or Division
        ``"carrier"``; ``["carrier", "origin"]`` or ``"carrier+origin"``; ``{"column": "age",
        "bins": [18, 30]}`` or ``"age:18,30"``; and combinations of these.
    known : iterable of str
        Names of columns: a text that is one of them is nothing else.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> division_of("age:18,30+carrier").name
    'age × carrier'
    >>> division_of("a+b", ["a+b"]).columns
    ('a+b',)
    """
    if isinstance(given, Division):
        return given
    names = set(known)
    if isinstance(given, str):
        if given in names or given == "":
            return Division((Part(given),))
        return Division(tuple(_part_of(text, names) for text in given.split("+")))
    if isinstance(given, Mapping):
        return Division((_part_of(given, names),))
    if isinstance(given, Sequence):
        return Division(tuple(_part_of(one, names) for one in given))
    raise SchemaError(
        f"segments: {given!r} is nothing to divide by; give a column's name, a list of names, or "
        "{'column': …, 'bins': […]}",
        code="bad_segment",
    )


def _part_of(given: Any, known: set[str]) -> Part:
    if isinstance(given, Mapping):
        if set(given) - {"column", "bins"} or not isinstance(given.get("column"), str):
            raise SchemaError(
                "segments: a column in bins is {'column': name, 'bins': [edge, …]}",
                code="bad_segment",
            )
        return Part(given["column"], _edges(given["column"], given.get("bins") or ()))
    if not isinstance(given, str):
        raise SchemaError(f"segments: {given!r} is no column's name", code="bad_segment")
    column, colon, edges = given.rpartition(":")
    if given in known or not colon:
        return Part(given)
    return Part(column, _edges(column, edges.split(",")))


def _edges(column: str, given: Iterable[Any]) -> tuple[float, ...]:
    try:
        edges = tuple(float(one) for one in given)
    except (TypeError, ValueError):
        edges = (float("nan"),)
    if any(one != one for one in edges):
        raise SchemaError(
            f"bins of segment column {column!r} must be numbers, as [18, 30, 50]", code="bad_bins"
        )
    return edges


def _plain(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _number(value: float) -> str:
    return str(_plain(value))
