"""A process beside this one gives the profile that this one would have made."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegauge.engine import beside as beside_module
from tidegauge.engine import open_source, profile_source, survey_source
from tidegauge.engine.beside import Beside, beside
from tidegauge.errors import BadInput
from tidegauge.profile import Layout
from tidegauge.schema import infer_schema


def table(n: int = 3000) -> pa.Table:
    rng = np.random.default_rng(0)
    start = np.datetime64("2026-01-05", "us")
    return pa.table(
        {
            "timestamp": pa.array(start + np.arange(n) * 10**8, pa.timestamp("us", "UTC")),
            "x": rng.normal(size=n),
            "word": rng.choice(["a", "b", "c"], n),
            "score": rng.random(n),
            "label": rng.random(n) < 0.3,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(table(), tmp_path / "now.parquet")
    return tmp_path / "now.parquet"


def layout_of(path: Path) -> Layout:
    source = open_source(path)
    return survey_source(source, infer_schema(table()).with_segments(["word"])).layout("b")


@pytest.mark.parametrize("width", [None, timedelta(days=1)])
def test_the_profile_is_the_same(path: Path, width: timedelta | None) -> None:
    layout = layout_of(path)
    helper = Beside(str(path), "now")
    helper.begin(layout, width)
    found = helper.result(layout)
    expected = profile_source(open_source(path), layout, width)
    assert found is not None
    assert found.windows.tolist() == expected.windows.tolist()
    for group, arrays in expected.arrays.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.arrays[group][name], array, err_msg=group)
    assert found.sample is not None and expected.sample is not None
    assert found.sample["_hash"].to_pylist() == expected.sample["_hash"].to_pylist()


def test_what_is_wrong_with_the_file_is_said_as_if_it_were_read_here(path: Path) -> None:
    layout = layout_of(path)
    path.write_bytes(path.read_bytes()[:-300])
    helper = Beside(str(path), "now")
    helper.begin(layout, None)
    with pytest.raises(BadInput, match=r"now\.parquet cannot be read as Parquet"):
        helper.result(layout)


def test_a_process_that_fails_leaves_the_work_to_this_one(path: Path) -> None:
    helper = Beside(str(path), "now")
    assert helper._process is not None
    helper._process.kill()
    helper._process.wait()
    layout = layout_of(path)
    helper.begin(layout, None)
    assert helper.result(layout) is None


def test_it_is_started_only_where_it_is_worth_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside(path, open_source(path)) is None
    monkeypatch.setattr(beside_module, "WORTH_ROWS", 1000)
    helper = beside(path, open_source(path))
    assert helper is not None
    helper.end()
    assert beside(table(), open_source(table())) is None
