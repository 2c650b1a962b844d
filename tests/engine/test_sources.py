"""Sources: the same rows whatever they come in, and one clear line where they cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tidegauge.engine import open_source
from tidegauge.engine.source import head
from tidegauge.errors import BadInput, UnreadableSource

ROWS = pa.table(
    {
        "id": [f"r{i}" for i in range(500)],
        "x": pa.array([None if i % 50 == 0 else i / 7 for i in range(500)], pa.float64()),
        "n": list(range(500)),
        "word": ["left", "right"] * 250,
    }
)


def rows(what: Any) -> list[dict[str, Any]]:
    source = open_source(what)
    table = pa.Table.from_batches(source.batches(["id", "x", "n", "word"]))
    kinds = [("id", pa.string()), ("x", pa.float64()), ("n", pa.int64()), ("word", pa.string())]
    found: list[dict[str, Any]] = table.cast(pa.schema(kinds)).to_pylist()
    return found


@pytest.fixture(
    params=["parquet", "folder", "glob", "csv", "csv.gz", "arrow", "stream", "feather", "delta"]
)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    kind = request.param
    if kind == "parquet":
        pq.write_table(ROWS, tmp_path / "t.parquet", row_group_size=90)
        return tmp_path / "t.parquet"
    if kind in ("folder", "glob"):
        pq.write_table(ROWS.slice(0, 200), tmp_path / "a.parquet")
        pq.write_table(ROWS.slice(200), tmp_path / "b.parquet")
        return tmp_path if kind == "folder" else str(tmp_path / "*.parquet")
    if kind == "csv":
        pa_csv.write_csv(ROWS, tmp_path / "t.csv")
        return tmp_path / "t.csv"
    if kind == "csv.gz":
        pa_csv.write_csv(ROWS, tmp_path / "t.csv")
        (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
        return tmp_path / "t.csv.gz"
    if kind in ("arrow", "stream"):
        maker = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with maker(str(tmp_path / "t.arrow"), ROWS.schema) as writer:
            writer.write_table(ROWS, max_chunksize=120)
        return tmp_path / "t.arrow"
    if kind == "feather":
        feather.write_feather(ROWS, str(tmp_path / "t.feather"))
        return tmp_path / "t.feather"
    deltalake.write_deltalake(str(tmp_path / "d"), ROWS.slice(0, 300))
    deltalake.write_deltalake(str(tmp_path / "d"), ROWS.slice(300), mode="append")
    return tmp_path / "d"


def test_every_kind_of_file_gives_the_same_rows(path: Any) -> None:
    assert sorted(rows(path), key=lambda r: r["n"]) == ROWS.to_pylist()


def test_every_kind_of_file_can_be_read_again(path: Any) -> None:
    source = open_source(path)
    assert sum(b.num_rows for b in source.batches()) == sum(b.num_rows for b in source.batches())
    assert len(head(source, 20)) == 20


@pytest.mark.parametrize(
    "frame",
    [
        ROWS,
        ROWS.to_pandas(),
        pl.from_arrow(ROWS),
        duckdb.sql("SELECT * FROM ROWS"),
        ROWS.to_batches()[0],
    ],
    ids=["pyarrow", "pandas", "polars", "duckdb", "batch"],
)
def test_every_frame_gives_the_same_rows(frame: Any) -> None:
    assert rows(frame) == ROWS.to_pylist()


def test_lists_of_nothing_beside_texts_are_read() -> None:
    frame = pd.DataFrame({"vector": [[float("nan")] * 4] * 3, "w": ["a", "b", "c"]})
    read = pa.Table.from_batches(open_source(frame).batches())
    assert read["vector"].to_pylist() == [[None] * 4] * 3


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match=r"nothing\.parquet: no such file"):
        open_source(tmp_path / "nothing.parquet")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "t.parquet")
    body = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(body[:-200])
    with pytest.raises(UnreadableSource, match="cannot be read as Parquet"):
        open_source(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.arrow", "t.csv", "t.parquet"])
def test_garbage_under_any_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(128, 256)) * 20)
    with pytest.raises(BadInput, match=name):
        list(open_source(tmp_path / name).batches())


def test_an_unknown_kind_of_file_lists_those_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(UnreadableSource, match=r"\.parquet"):
        open_source(tmp_path / "t.xlsx")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(BadInput, match="is empty"):
        open_source(tmp_path / "t.csv")


def test_a_column_named_twice_is_refused_in_files_and_frames(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(BadInput, match="'a' stands more than once"):
        open_source(tmp_path / "t.csv")
    with pytest.raises(BadInput, match="'a' stands more than once"):
        open_source(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_numbers_mixed_with_text_are_refused_with_line_and_value(tmp_path: Path) -> None:
    lines = ["id,age", *[f"r{i},{i % 80}" for i in range(200)]]
    lines[151] = "r150,unknown"
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(BadInput, match="'age' mixes numbers with text: 'unknown' in line 152"):
        open_source(tmp_path / "t.csv")


def test_a_frame_that_mixes_types_is_refused() -> None:
    with pytest.raises(BadInput, match="mixes types"):
        open_source(pd.DataFrame({"age": [1, "two", 3.0]}))


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(BadInput, match="a list is no frame"):
        open_source([1, 2, 3])


def test_lines_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n" + "1,2\n1,2,3,4\n" * 50)
    with pytest.raises(UnreadableSource, match="header names 3 columns"):
        open_source(tmp_path / "t.csv")


def test_a_header_of_one_quoted_name_may_hold_commas(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a b"\n1\n2\n')
    assert open_source(tmp_path / "t.csv").arrow_schema().names == ["a b"]


def test_files_of_a_folder_may_differ_in_order_width_and_more_columns(tmp_path: Path) -> None:
    words = ["u", "v", "u"]
    pq.write_table(
        pa.table({"n": pa.array([1, 2, 3], pa.int32()), "w": words, "e": pa.nulls(3)}),
        tmp_path / "a.parquet",
    )
    more = {"more": [0, 0], "e": [1.5, 2.5], "w": pa.array(["w", None], pa.large_string())}
    pq.write_table(pa.table({**more, "n": [0.5, 9.0]}), tmp_path / "b.parquet")
    source = open_source(tmp_path)
    assert source.rows == 5
    assert source.arrow_schema().field("n").type == pa.float64()
    for asked in (None, ["w", "n"]):
        table = pa.concat_tables(
            pa.Table.from_batches([batch]).cast(
                pa.schema([f for f in source.arrow_schema() if f.name in batch.schema.names])
            )
            for batch in source.batches(asked)
        )
        assert table["n"].to_pylist() == [1, 2, 3, 0.5, 9.0]
        assert table["w"].to_pylist() == [*words, "w", None]
    assert head(source, 2)["e"].type == pa.float64()


def test_files_of_a_folder_with_other_kinds_of_values_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["one"]}), tmp_path / "b.parquet")
    with pytest.raises(BadInput, match=r"b\.parquet: column 'x' is string, but double in .*a\.par"):
        open_source(tmp_path)
    pq.write_table(pa.table({"y": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(BadInput, match=r"b\.parquet lacks column 'x'"):
        open_source(tmp_path)


def test_a_damaged_delta_table_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUST_BACKTRACE", "1")
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / f"{0:020}.json").write_text("garbage")
    with pytest.raises(UnreadableSource, match="cannot be read as a Delta table") as raised:
        open_source(tmp_path)
    assert "\n" not in raised.value.message
