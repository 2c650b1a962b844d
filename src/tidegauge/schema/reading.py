"""Reading a document place by place, whatever it is written in: what may stand where, said once.

Nodes come from ``yaml.py`` (YAML with line and column, plain JSON values with their path); what
they mean is said where it is read: schemas in ``document.py``, monitors in ``monitor/document.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import Protocol, TypeVar

from tidegauge.errors import SchemaError


class Kind(StrEnum):
    """What stands at one place of a document."""

    TEXT = "text"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    NOTHING = "nothing"
    LIST = "a list"
    MAPPING = "a mapping"


class Node(Protocol):
    """One place of a document: what is there, and how to call the place in an error."""

    @property
    def where(self) -> str:
        """The place, as ``schema.yaml:7:12``."""

    @property
    def kind(self) -> Kind:
        """What stands here."""

    @property
    def text(self) -> str:
        """A scalar as text; ``"true"`` and ``"false"`` for truth values."""

    def items(self) -> Iterable[Node]:
        """Return the members of a list."""

    def pairs(self) -> Iterable[tuple[Node, Node]]:
        """Return the keys and values of a mapping."""


Word = TypeVar("Word", bound=StrEnum)


def problem(node: Node, message: str, code: str | None = None) -> SchemaError:
    """Return the error that something is wrong at a place."""
    return SchemaError(f"{node.where}: {message}", code=code)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean …?)"`` for what is almost a known word, or ``""``.

    Examples
    --------
    >>> did_you_mean("numerc", ["numeric", "text"])
    " (did you mean 'numeric'?)"
    """
    close = get_close_matches(word, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def mapping(
    node: Node, what: str, known: tuple[str, ...], also: tuple[str, ...] = (), form: str = ""
) -> dict[str, Node]:
    """Return the values of a mapping by key.

    Parameters
    ----------
    node : Node
    what : str
        What the mapping is, for errors.
    known, also : tuple of str
        Keys that may stand there; those of ``also`` are not told.
    form : str
        How it is written, for whoever wrote no mapping.
    """
    if node.kind is not Kind.MAPPING:
        hint = f"; write {form}" if form else ""
        raise problem(node, f"{what} must be a mapping, not {node.kind.value}{hint}")
    parts: dict[str, Node] = {}
    for key, value in node.pairs():
        if key.kind in (Kind.LIST, Kind.MAPPING):
            raise problem(key, f"a key of {what} must be text, not {key.kind.value}")
        if key.text in parts:
            raise problem(key, f"{key.text!r} stands twice in {what}; keep one")
        if key.text not in known and key.text not in also:
            hint = did_you_mean(key.text, known)
            raise problem(
                key, f"unknown key {key.text!r} in {what}{hint}; one of {', '.join(known)}"
            )
        parts[key.text] = value
    return parts


def word(node: Node, words: type[Word], what: str, column: str | None = None) -> Word:
    """Return one of some words."""
    of = f" for column {column!r}" if column is not None else ""
    allowed = ", ".join(words)
    if node.kind in (Kind.LIST, Kind.MAPPING, Kind.NOTHING):
        raise problem(node, f"{what}{of} must be a word, not {node.kind.value}; one of {allowed}")
    try:
        return words(node.text)
    except ValueError:
        hint = did_you_mean(node.text, words)
        raise problem(node, f"unknown {what} {node.text!r}{of}{hint}; one of {allowed}") from None


def text(node: Node, what: str) -> str:
    """Return a scalar as text."""
    if node.kind in (Kind.LIST, Kind.MAPPING, Kind.NOTHING):
        raise problem(node, f"{what} must be text, not {node.kind.value}")
    return node.text


def finite(node: Node, what: str) -> float:
    """Return a finite number; text that is one counts."""
    if node.kind in (Kind.NUMBER, Kind.TEXT):
        try:
            value = float(node.text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        raise problem(node, f"{what}, not {node.text!r}")
    raise problem(node, f"{what}, not {node.kind.value}")
