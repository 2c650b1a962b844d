"""What an engine must offer: a named source of Arrow batches that can be read more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from tidegauge.errors import BadInput

#: Rows of a batch: large enough for two threads to work side by side, small enough to stay in
#: little memory (122,880 is also what many writers take for a row group).
BATCH_ROWS = 122_880


class Source(Protocol):
    """Rows from somewhere.

    Attributes
    ----------
    name : str
        What a person would call it; stands in messages.
    rows : int or None
        Number of rows, where it is known without reading.
    """

    name: str
    rows: int | None

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        ...

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows, all columns or some, from the start."""
        ...


def head(source: Source, rows: int) -> pa.Table:
    """Return the first rows of a source; one that can read few rows alone has ``first``.

    Examples
    --------
    >>> from tidegauge.engine.frame import FrameSource
    >>> len(head(FrameSource(pa.table({"x": [1, 2, 3]}), "frame"), 2))
    2
    """
    parts: list[pa.RecordBatch] = []
    held = 0
    quick = getattr(source, "first", None)
    for batch in source.batches() if quick is None else quick(rows):
        parts.append(batch.slice(0, rows - held))
        held += parts[-1].num_rows
        if held >= rows:
            break
    return pa.Table.from_batches(parts, source.arrow_schema() if not parts else None)


def refuse_duplicates(names: Iterable[str], where: str) -> None:
    """Raise where a column name stands twice.

    Raises
    ------
    BadInput
        With the names.
    """
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        listed = ", ".join(repr(name) for name in twice[:5])
        raise BadInput(
            f"{where}: column name {listed} stands more than once; rename or drop one",
            code="duplicate_column",
        )


def rebatch(table: pa.Table, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Cut a table into contiguous batches of at most ``rows``."""
    for at in range(0, len(table), rows):
        part = table.slice(at, rows).combine_chunks()
        yield from part.to_batches()


def plain_texts(table: pa.Table) -> pa.Table:
    """Return a table whose texts are plain strings; some libraries hand out views of them.

    Examples
    --------
    >>> plain_texts(pa.table({"x": pa.array(["a"], pa.string_view())})).schema.field("x").type
    DataType(string)
    """
    # Column by column: cast as a whole, a table with lists of nulls alone is refused.
    for at, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type) or pa.types.is_large_string(field.type):
            plain = table.column(at).cast(pa.string())
            table = table.set_column(at, field.with_type(pa.string()), plain)
    return table
