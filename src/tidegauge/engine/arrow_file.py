"""Arrow IPC files and streams (also called Feather)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tidegauge.engine.source import rebatch, refuse_duplicates
from tidegauge.errors import UnreadableSource


class ArrowSource:
    """One Arrow IPC file, memory-mapped, or one Arrow IPC stream.

    Parameters
    ----------
    path : Path
    name : str

    Raises
    ------
    UnreadableSource
        If the file is neither.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.path = path
        self.rows: int | None = None
        with self._open() as reader:
            self._schema = reader.schema
            if isinstance(reader, pa.RecordBatchFileReader):
                self.rows = sum(
                    reader.get_batch(i).num_rows for i in range(reader.num_record_batches)
                )
        refuse_duplicates(self._schema.names, str(path))

    def _open(self) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
        try:
            file = pa.memory_map(str(self.path))
            try:
                return pa.ipc.open_file(file)
            except pa.ArrowInvalid:
                file.seek(0)
                return pa.ipc.open_stream(file)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableSource(
                f"{self.path} is neither an Arrow file nor an Arrow stream ({error})"
            ) from error

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        return self._schema

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows."""
        with self._open() as reader:
            if isinstance(reader, pa.RecordBatchFileReader):
                parts = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                parts = iter(reader)
            try:
                for batch in parts:
                    part = batch if columns is None else batch.select(columns)
                    yield from rebatch(pa.Table.from_batches([part]))
            except (pa.ArrowException, OSError) as error:
                raise UnreadableSource(f"{self.path} is damaged: {error}") from error
