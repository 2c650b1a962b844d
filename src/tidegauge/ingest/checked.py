"""What checking a request leads to: the records that fit, and those that do not, with reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

#: How many errors a `Checked` names; the quarantined table holds every record.
MAX_ERRORS = 100

_FIELDS: dict[str, pa.DataType] = {
    "index": pa.int64(),
    "code": pa.string(),
    "column": pa.string(),
    "message": pa.string(),
    "record": pa.string(),
}
#: Columns of the quarantined table: one row a record, with the first thing that is wrong with it
#: and a message that tells all; ``record`` is the whole of it as JSON.
QUARANTINE = pa.schema(_FIELDS)


@dataclass(frozen=True)
class RecordError:
    """Why one record of a request does not fit.

    Parameters
    ----------
    index : int
        Its place in the request, from 0.
    column : str, optional
        The column that is wrong; None where it is the record as a whole.
    code : str
        Machine-readable: ``type_error``, ``missing_prediction_id``, ``missing_timestamp``,
        ``missing_label``, ``naive_timestamp``, ``future_timestamp``, ``not_an_object``,
        ``bad_ndjson``.
    message : str
        One line for a person.
    """

    index: int
    column: str | None
    code: str
    message: str


@dataclass(frozen=True)
class Checked:
    """The records of a request, sorted out.

    ``accepted.num_rows + repeated + quarantined.num_rows`` is what was sent.

    Parameters
    ----------
    accepted : pyarrow.Table
        The records that fit, in the order sent.
    quarantined : pyarrow.Table
        The others, as `QUARANTINE`.
    errors : tuple of RecordError
        The first `MAX_ERRORS` things that are wrong; a record may have several.
    repeated : int
        Records left out because an earlier one of the request has the same ``prediction_id``.
    """

    accepted: pa.Table
    quarantined: pa.Table
    errors: tuple[RecordError, ...]
    repeated: int


class Faults:
    """All that is wrong with the records of a request, gathered column by column."""

    def __init__(self, errors: Iterable[RecordError] = ()) -> None:
        self._by_index: dict[int, list[RecordError]] = {}
        for error in errors:
            self._by_index[error.index] = [error]
        self._unreadable = frozenset(self._by_index)

    def add(self, column: str, faults: Iterable[tuple[int, str, str]]) -> None:
        """Note (index, code, message) for a column; of an unreadable record nothing more."""
        for index, code, message in faults:
            if index not in self._unreadable:
                error = RecordError(index, column, code, message)
                self._by_index.setdefault(index, []).append(error)

    def of(self, column: str) -> list[RecordError]:
        """Return the faults of one column."""
        return [e for errors in self._by_index.values() for e in errors if e.column == column]

    @property
    def indices(self) -> list[int]:
        """The places of the records that do not fit, in order."""
        return sorted(self._by_index)

    @property
    def errors(self) -> tuple[RecordError, ...]:
        """The first faults, in the order of the records."""
        ordered = (error for index in self.indices for error in self._by_index[index])
        return tuple(error for error, _ in zip(ordered, range(MAX_ERRORS), strict=False))

    def table(self, records: list[str]) -> pa.Table:
        """Return the quarantined table; ``records`` are the records of `indices` as JSON."""
        firsts = [self._by_index[index][0] for index in self.indices]
        messages = ["; ".join(e.message for e in self._by_index[index]) for index in self.indices]
        return pa.table(
            [
                [error.index for error in firsts],
                [error.code for error in firsts],
                [error.column for error in firsts],
                messages,
                records,
            ],
            schema=QUARANTINE,
        )
