"""Delta Lake tables that anybody wrote, through ``deltalake``'s own scan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import deltalake
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from tidegauge.engine.source import plain_texts, rebatch, refuse_duplicates
from tidegauge.errors import UnreadableSource


class DeltaSource:
    """One Delta table.

    Parameters
    ----------
    path : Path
        The folder that holds ``_delta_log``.
    name : str

    Raises
    ------
    UnreadableSource
        If the table cannot be opened, or uses a feature that is not supported.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.path = path
        self.rows: int | None = None
        try:
            self._table = DeltaTable(str(path))
            self._schema = pa.schema(self._table.schema().to_arrow())
        except (deltalake.exceptions.DeltaError, OSError, ValueError) as error:
            raise UnreadableSource(
                f"{path} cannot be read as a Delta table: {_reason(error)}"
            ) from error
        refuse_duplicates(self._schema.names, str(path))

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        return self._schema

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows."""
        wanted = "*"
        if columns is not None:
            wanted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        try:
            reader = QueryBuilder().register("t", self._table).execute(f"SELECT {wanted} FROM t")
            for batch in pa.RecordBatchReader.from_stream(reader):
                yield from rebatch(plain_texts(pa.Table.from_batches([batch])))
        except (deltalake.exceptions.DeltaError, pa.ArrowException, OSError) as error:
            raise UnreadableSource(f"{self.path} cannot be scanned: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line; a backtrace may follow it."""
    return next(iter(str(error).splitlines()), type(error).__name__)
