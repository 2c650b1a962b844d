"""Frames in memory: anything that offers the Arrow capsule interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tidegauge.engine.source import plain_texts, rebatch, refuse_duplicates
from tidegauge.errors import BadInput


class FrameSource:
    """A pandas, Polars, PyArrow or DuckDB frame, or any other with ``__arrow_c_stream__``.

    Parameters
    ----------
    frame : object
    name : str

    Raises
    ------
    BadInput
        If it is no frame, or a column mixes types.

    Examples
    --------
    >>> FrameSource(pa.table({"x": [1, 2]}), "reference").rows
    2
    """

    def __init__(self, frame: Any, name: str) -> None:
        self.name = name
        self._table = plain_texts(_table(frame, name))
        refuse_duplicates(self._table.column_names, name)
        self.rows: int | None = len(self._table)

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        return self._table.schema

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows."""
        yield from rebatch(self._table if columns is None else self._table.select(columns))


def _table(frame: Any, name: str) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    names = getattr(frame, "columns", None)
    if names is not None and not callable(names):
        refuse_duplicates((str(column) for column in names), name)
    if not hasattr(frame, "__arrow_c_stream__"):
        raise BadInput(
            f"{name}: a {type(frame).__name__} is no frame; give a pandas, Polars, PyArrow or "
            "DuckDB frame (anything with __arrow_c_stream__), or the path of a file",
            code="not_a_frame",
        )
    try:
        return pa.table(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        reason = "; ".join(str(part) for part in error.args)
        raise BadInput(
            f"{name}: a column mixes types that no single Arrow type holds ({reason}); "
            "convert it to one type first",
            code="mixed_types",
        ) from error
