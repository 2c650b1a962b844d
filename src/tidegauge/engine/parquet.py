"""Parquet files: one row group at a time, so memory does not grow with rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tidegauge.engine.source import BATCH_ROWS, rebatch, refuse_duplicates
from tidegauge.errors import SchemaMismatch, UnreadableSource


class ParquetSource:
    """One Parquet file, or several of one schema.

    Parameters
    ----------
    paths : list of Path
    name : str

    Raises
    ------
    UnreadableSource
        If a file is no Parquet file, or is truncated.
    """

    def __init__(self, paths: list[Path], name: str) -> None:
        self.name = name
        self.paths = paths
        first = self._open(paths[0])
        self._schema = first.schema_arrow
        refuse_duplicates(self._schema.names, name)
        self._words = [
            field.name
            for field in self._schema
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        self.rows: int | None = sum(
            (first if path == paths[0] else self._open(path)).metadata.num_rows for path in paths
        )

    def _open(self, path: Path, words: list[str] | None = None) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path, read_dictionary=words)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableSource(
                f"{path} cannot be read as Parquet ({error}); is it complete?"
            ) from error

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        return self._schema

    def first(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Read the first rows of the first file, and not the whole of its first row group."""
        try:
            yield from self._open(self.paths[0]).iter_batches(rows)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableSource(f"{self.paths[0]} is damaged: {error}") from error

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows, texts as dictionaries."""
        for path in self.paths:
            file = self._open(path, self._words)
            missing = set(columns or self._schema.names) - set(file.schema_arrow.names)
            if missing:
                raise SchemaMismatch(
                    f"{path} lacks column {sorted(missing)[0]!r}, which {self.paths[0]} has; "
                    "give files of one schema",
                    code="missing_column",
                )
            try:
                yield from _groups(file, columns)
            except (pa.ArrowException, OSError) as error:
                raise UnreadableSource(f"{path} is damaged: {error}") from error


def _groups(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    for index in range(file.num_row_groups):
        if file.metadata.row_group(index).num_rows > 3 * BATCH_ROWS:
            yield from file.iter_batches(BATCH_ROWS, row_groups=[index], columns=columns)
        else:
            yield from rebatch(file.read_row_group(index, columns=columns), 2 * BATCH_ROWS)
