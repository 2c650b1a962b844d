"""Parquet files: one row group at a time, so memory does not grow with rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tidegauge.engine.source import BATCH_ROWS, rebatch, refuse_duplicates
from tidegauge.errors import SchemaMismatch, UnreadableSource


class ParquetSource:
    """One Parquet file, or several of one schema; numbers of different widths are widened.

    Parameters
    ----------
    paths : list of Path
    name : str

    Raises
    ------
    UnreadableSource
        If a file is no Parquet file, or is truncated.
    SchemaMismatch
        If a file lacks a column of the first, or holds values of another kind in it.
    """

    def __init__(self, paths: list[Path], name: str) -> None:
        self.name = name
        self.paths = paths
        self.rows: int | None = 0
        held: dict[Path, pa.Schema] = {}
        for path in paths:
            file = self._open(path)
            held[path] = file.schema_arrow
            self.rows += file.metadata.num_rows
        refuse_duplicates(held[paths[0]].names, name)
        self._schema = _common(held)
        self._differing = {path for path, own in held.items() if not own.equals(self._schema)}
        self._words = [
            field.name
            for field in self._schema
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]

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
            for batch in self._open(self.paths[0]).iter_batches(rows):
                yield self._fitted(self.paths[0], batch)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableSource(f"{self.paths[0]} is damaged: {error}") from error

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows, texts as dictionaries."""
        for path in self.paths:
            file = self._open(path, self._words)
            try:
                for batch in _groups(file, columns):
                    yield self._fitted(path, batch)
            except (pa.ArrowException, OSError) as error:
                raise UnreadableSource(f"{path} is damaged: {error}") from error

    def _fitted(self, path: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Bring a batch into the order and types of the first file, where its own has others."""
        if path not in self._differing:
            return batch
        fields = [field for field in self._schema if field.name in batch.schema.names]
        values = [_cast(batch.column(field.name), field.type) for field in fields]
        return pa.RecordBatch.from_arrays(values, [field.name for field in fields])


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    words = pa.types.is_dictionary(values.type) and not pa.types.is_dictionary(kind)
    if (values.type.value_type if words else values.type) == kind:
        return values
    if words:
        return values.dictionary_decode().cast(kind).dictionary_encode()
    return values.cast(kind)


def _common(held: dict[Path, pa.Schema]) -> pa.Schema:
    """The columns of the first file, each of a type that holds its values in all files."""
    (first, schema), *others = held.items()
    for path, own in others:
        for at, field in enumerate(schema):
            if field.name not in own.names:
                raise SchemaMismatch(
                    f"{path} lacks column {field.name!r}, which {first} has; "
                    "give files of one schema",
                    code="missing_column",
                )
            kind = own.field(field.name).type
            if kind == field.type:
                continue
            try:
                both = [pa.schema([(field.name, t)]) for t in (field.type, kind)]
                widened = pa.unify_schemas(both, promote_options="permissive").field(0)
            except pa.ArrowException:
                raise SchemaMismatch(
                    f"{path}: column {field.name!r} is {kind}, but {field.type} in {first}; "
                    "give files of one schema",
                    code="mixed_types",
                ) from None
            schema = schema.set(at, widened)
    return schema


def _groups(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    for index in range(file.num_row_groups):
        if file.metadata.row_group(index).num_rows > 3 * BATCH_ROWS:
            yield from file.iter_batches(BATCH_ROWS, row_groups=[index], columns=columns)
        else:
            yield from rebatch(file.read_row_group(index, columns=columns), 2 * BATCH_ROWS)
