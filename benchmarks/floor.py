"""The floor: one DuckDB process that reads every column of the given Parquet files and sums it.

No comparison that looks at every value can be expected to be quicker than this. It is a program of
its own, timed from outside with its start-up: `python benchmarks/floor.py REFERENCE CURRENT`.
"""

import sys

import duckdb


def summed(name: str, kind: str) -> str:
    """SQL that cannot be answered from the file's statistics: it has to read each value."""
    quoted = '"' + name.replace('"', '""') + '"'
    if kind == "VARCHAR":
        return f"sum(strlen({quoted}))"
    if kind.startswith("TIMESTAMP"):
        return f"sum(epoch_us({quoted}))"
    return f"sum({quoted})"


def read_and_sum(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[object, ...]:
    """Aggregate every column of one file in one query; one value a column."""
    file = "'" + path.replace("'", "''") + "'"
    relation = connection.sql(f"FROM {file}")
    columns = zip(relation.columns, relation.types, strict=True)
    sums = ", ".join(summed(name, str(kind)) for name, kind in columns)
    row = connection.execute(f"SELECT {sums} FROM {file}").fetchone()
    assert row is not None
    return tuple(row)


if __name__ == "__main__":
    with duckdb.connect() as opened:
        for file in sys.argv[1:]:
            read_and_sum(opened, file)
