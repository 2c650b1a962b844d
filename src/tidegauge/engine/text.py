"""CSV files, compressed or not, by DuckDB's reader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from tidegauge.engine.source import BATCH_ROWS, rebatch, refuse_duplicates
from tidegauge.errors import BadInput, EmptyInput, UnreadableSource

#: A text column in which this share of values are numbers is taken for a damaged numeric one.
_NEARLY_NUMERIC = 0.9


class CsvSource:
    """One CSV file; delimiter, header and types are detected.

    Parameters
    ----------
    path : Path
    name : str

    Raises
    ------
    UnreadableSource
        If the file cannot be read as CSV.
    BadInput
        If a column mixes numbers with texts.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.path = path
        self.rows: int | None = None
        if path.stat().st_size == 0:
            raise EmptyInput(f"{path} is empty; it needs a header and at least one row")
        header = _header(path)
        refuse_duplicates(header, str(path))
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")
        self._query = f"FROM read_csv({_quoted(path)}, sample_size = 200000)"
        self._schema = self._read("LIMIT 0").schema
        if len(self._schema) == 1 < len(header) and self._schema.names[0] not in header:
            raise UnreadableSource(
                f"{path} cannot be read as CSV: its header names {len(header)} columns, but its "
                "lines have other numbers of values; mend the file or save it as Parquet"
            )
        self._refuse_mixed()

    def _read(self, tail: str = "", columns: str = "*") -> pa.RecordBatchReader:
        try:
            relation = self._connection.cursor().sql(f"SELECT {columns} {self._query} {tail}")
            return relation.to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UnreadableSource:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = re.sub(r"^\w[\w ]* Error: ", "", lines[0]) if lines else "unknown reason"
        where = next((line for line in lines[1:] if "line" in line.lower()), "")
        return UnreadableSource(
            f"{self.path} cannot be read as CSV: {reason} {where}".strip()
            + "; mend the file or save it as Parquet"
        )

    def _refuse_mixed(self) -> None:
        texts = [f.name for f in self._schema if pa.types.is_string(f.type)]
        for name in texts:
            column = '"' + name.replace('"', '""') + '"'
            row = self._connection.execute(
                f"SELECT count(try_cast(v AS DOUBLE)) / count(v), count(DISTINCT v), "
                f"first(v ORDER BY i) FILTER (try_cast(v AS DOUBLE) IS NULL), "
                f"min(i) FILTER (v IS NOT NULL AND try_cast(v AS DOUBLE) IS NULL) "
                f"FROM (SELECT {column} AS v, row_number() OVER () AS i {self._query} "
                f"LIMIT 50000)"
            ).fetchone()
            if row and row[0] is not None and _NEARLY_NUMERIC <= row[0] < 1 and row[1] > 20:
                raise BadInput(
                    f"{self.path}: column {name!r} mixes numbers with text: {row[2]!r} in line "
                    f"{row[3] + 1}; mend the file, or save it as Parquet with the type you mean",
                    code="mixed_types",
                )

    def arrow_schema(self) -> pa.Schema:
        """Return names and Arrow types of the columns."""
        return self._schema

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the rows."""
        wanted = "*"
        if columns is not None:
            wanted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        reader = self._read(columns=wanted)
        try:
            for batch in reader:
                yield from rebatch(pa.Table.from_batches([batch]))
        except (duckdb.Error, pa.ArrowException) as error:
            raise self._unreadable(error) from error


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _header(path: Path) -> list[str]:
    """Names in the first line, as far as a plain look can tell."""
    if path.suffix in (".gz", ".zst", ".bz2"):
        return []
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline().rstrip("\r\n")
    except (UnicodeDecodeError, OSError) as error:
        raise UnreadableSource(
            f"{path} cannot be read as CSV: it is no UTF-8 text ({error})"
        ) from error
    delimiter = max(",;\t|", key=line.count)
    names = [name.strip().strip('"') for name in line.split(delimiter)]
    return [name for name in names if name]
