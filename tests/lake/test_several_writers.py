"""Several processes append to one new table while another joins its files: no row is lost."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

from deltalake import DeltaTable

from tidegauge.lake.swapping import Overtaken
from tidegauge.lake.tables import Lake
from tidegauge.lake.upkeep import compact

COMMITS, ROWS = 25, 4
#: All begin at once, so that they also make the tables at once; each learns a column of its own.
WRITER = """
import sys, time
import pyarrow as pa
from tidegauge.lake.tables import AppTransaction, Lake
folder, name, commits, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
lake = Lake(folder)
print("ready", flush=True)
sys.stdin.readline()
failed = 0
for commit in range(1, commits + 1):
    table = pa.table({"prediction_id": [f"{name}-{commit}-{row}" for row in range(rows)]})
    if commit > commits // 2:
        table = table.append_column(f"own_{name}", pa.array([1.0] * rows))
    while True:
        try:
            lake.append("p", "m", "records", table, app=AppTransaction(name, commit))
            break
        except Exception as error:
            failed += 1
            assert failed < 50, error
            time.sleep(0.05)
print(failed)
"""


def test_no_row_of_several_processes_is_lost_or_doubled(tmp_path: Path) -> None:
    sizes = [tmp_path, COMMITS, ROWS]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(sizes[0]), name, str(sizes[1]), str(sizes[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    lake = Lake(tmp_path)
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        compacted = 0
        while any(writer.poll() is None for writer in writers):
            with contextlib.suppress(Overtaken):  # The table has other columns by now.
                compacted += compact(lake, "p", "m", "records", small_files=4).compacted
        for writer in writers:
            out, err = writer.communicate(timeout=30)
            assert writer.returncode == 0, err
            print(f"tried again after {int(out)} failures")
    finally:
        for writer in writers:
            if writer.poll() is None:
                writer.kill()
                writer.communicate()
        lake.close()
    handle = DeltaTable(lake.uri("p", "m", "records"))
    rows = handle.to_pyarrow_table(columns=["prediction_id"])
    stored = Counter(rows["prediction_id"].to_pylist())
    wanted = [f"{n}-{c}-{r}" for n in "abc" for c in range(1, COMMITS + 1) for r in range(ROWS)]
    assert stored == Counter(wanted)
    assert [handle.transaction_version(name) for name in "abc"] == [COMMITS] * 3
    assert {"own_a", "own_b", "own_c"} <= {field.name for field in handle.schema().fields}
    assert compacted > 0
