"""One column of a source as a whole, with the times beside it."""

from __future__ import annotations

from difflib import get_close_matches

import pyarrow as pa

from tidegauge.engine.source import Source
from tidegauge.errors import BadInput


def read_series(
    source: Source, column: str, time: str | None = None
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Read one column, and one of times if it is named; in memory.

    Raises
    ------
    BadInput
        If the source has no such column.

    Examples
    --------
    >>> from tidegauge.engine.frame import FrameSource
    >>> source = FrameSource(pa.table({"error": [0, 1], "other": [5, 6]}), "frame")
    >>> read_series(source, "error")[0].to_pylist()
    [0, 1]
    """
    names = source.arrow_schema().names
    wanted = list(dict.fromkeys([column] if time is None else [column, time]))
    for name in wanted:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise BadInput(f"{source.name} has no column {name!r}{hint}", code="unknown_column")
    batches = list(source.batches(wanted))
    table = pa.Table.from_batches(batches, None if batches else source.arrow_schema())
    return table[column], None if time is None else table[time]
