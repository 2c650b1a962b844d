"""A request with records, and the account that its sender is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

from tidegauge.ingest import Checked, gives_rows

Resource = Literal["predictions", "labels"]
#: Project, model, resource, version.
Lane = tuple[str, str, Resource, str | None]

#: A body up to this size may be worked on together with others, in bytes.
SMALL = 16 << 10


@dataclass(frozen=True, slots=True)
class Post:
    """One request with records.

    Parameters
    ----------
    project, model : str
        Where it was sent.
    resource : {"predictions", "labels"}
    body : bytes
        As sent.
    content_type, encoding : str or None
        Its headers ``Content-Type`` and ``Content-Encoding``.
    version : str or None
        The model's version, for records that do not name it.
    key : str or None
        The header ``Idempotency-Key``.
    """

    project: str
    model: str
    resource: Resource
    body: bytes
    content_type: str | None
    encoding: str | None = None
    version: str | None = None
    key: str | None = None

    @property
    def journal_key(self) -> str | None:
        """The key as the journal keeps it: one for predictions does not answer labels."""
        return None if self.key is None else f"{self.resource}:{self.key}"

    @property
    def is_small(self) -> bool:
        """Whether it may be worked on together with others of its `lane`.

        Examples
        --------
        >>> Post("default", "demo", "predictions", b"{}", "application/json").is_small
        True
        """
        return len(self.body) <= SMALL and self.encoding is None and gives_rows(self.content_type)

    @property
    def lane(self) -> Lane:
        """What requests that are worked on together have in common."""
        return self.project, self.model, self.resource, self.version


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a request's records.

    Parameters
    ----------
    answer : bytes
        What its sender is told.
    accepted, repeated, quarantined : int
        All 0 where an earlier request with the same key had this answer.
    """

    answer: bytes
    accepted: int = 0
    repeated: int = 0
    quarantined: int = 0


def account_of(checked: Checked) -> Account:
    """Return the account of a request from what checking it came to."""
    counts = checked.accepted.num_rows, checked.repeated, checked.quarantined.num_rows
    errors = [
        {"index": e.index, "column": e.column, "code": e.code, "message": e.message}
        for e in checked.errors
    ]
    return Account(_answer(*counts, errors), *counts)


@lru_cache(maxsize=256)
def account_of_all(accepted: int) -> Account:
    """Return the account of a request all of whose records were accepted.

    Examples
    --------
    >>> account_of_all(1).answer
    b'{"accepted":1,"repeated":0,"quarantined":0,"errors":[]}'
    """
    return Account(_answer(accepted, 0, 0, []), accepted)


def _answer(accepted: int, repeated: int, quarantined: int, errors: list[Any]) -> bytes:
    return orjson.dumps(
        {
            "accepted": accepted,
            "repeated": repeated,
            "quarantined": quarantined,
            "errors": errors,
        }
    )
