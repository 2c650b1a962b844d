"""What a hundred million stored records in fifty models cost: opening, and closing one window."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa

from benchmarks.datasets import CACHE
from benchmarks.ingest_server import PATH, Served, serving

if TYPE_CHECKING:
    from benchmarks.ingest import Report

MODELS = 50
RECORDS = 100_000_000
#: Days over which the stored records lie.
DAYS = 100
#: Records of one window whose closing is timed.
WINDOW_ROWS = 20_000
FEATURES = 20
#: Seconds within which a server over all of that listens.
OPENS = 3.0
#: How many times longer a window may take to close over all of that than over nothing.
GROWTH = 1.5
_REPEATS = 5


def stored(report: Report, scale: float) -> None:
    """Fill a lake, open a server over it, and close windows there and in an empty one."""
    folder = CACHE / "ingest" / "stored"
    each = int(RECORDS * scale) // MODELS
    marker = folder / "filled"
    if not marker.exists() or marker.read_text() != str(each):
        shutil.rmtree(folder, ignore_errors=True)
        _fill(folder, each)
        marker.write_text(str(each))
    opened = []
    for _ in range(3):
        with serving(folder, fresh=False, TIDEGAUGE_WINDOW="1d", TIDEGAUGE_LATENESS="1h") as served:
            opened.append(served.opened)
            served.settle()
    report.measured["opened"] = opened
    report.add(
        f"server over {each * MODELS:,} records in {MODELS} models: listens after",
        f"{sorted(opened)[1]:.2f} s",
        f"< {OPENS:g} s",
        sorted(opened)[1] < OPENS,
        "median of 3",
    )
    seconds = {}
    for name, path, fresh in (("empty", folder.with_name("alone"), True), ("full", folder, False)):
        settings = {"TIDEGAUGE_WINDOW": "1d", "TIDEGAUGE_LATENESS": "1h"}
        with serving(path, fresh=fresh, **settings) as served:
            if fresh:
                _baseline(served, "model-00", _day(DAYS - 20), rows=20 * 1_000)
            seconds[name] = [_close(served, "model-00", DAYS + turn) for turn in range(_REPEATS)]
        shutil.rmtree(folder.with_name("alone"), ignore_errors=True)
    report.measured["closing"] = seconds
    empty, full = (sorted(seconds[name])[_REPEATS // 2] for name in ("empty", "full"))
    report.add(
        f"    closing a window of {WINDOW_ROWS:,} records: there / in an empty lake",
        f"{full / empty:.2f} ×",
        f"≤ {GROWTH} ×",
        full <= GROWTH * empty,
        f"{full:.2f} s and {empty:.2f} s from the post to the closed window, medians",
    )


def _day(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


def _rows(start: datetime, days: int, rows: int, mark: str, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    first = int(start.timestamp() * 1e6)
    times = np.sort(random.integers(first, first + days * 86_400_000_000, rows))
    columns: dict[str, Any] = {
        "prediction_id": pa.array(np.char.add(f"{mark}-", np.arange(rows).astype(str))),
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
    }
    for i in range(FEATURES):
        columns[f"feature_{i:02d}"] = pa.array(np.round(random.normal(size=rows), 2))
    columns["score"] = pa.array(np.round(random.random(rows), 3))
    return pa.table(columns)


def _post(served: Served, model: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    path = f"{served.address}{PATH}/{model}/predictions?version=1"
    body = sink.getvalue().to_pybytes()
    with urlopen(Request(path, body, headers), timeout=60) as answer:
        assert json.loads(answer.read())["accepted"] == rows.num_rows


def _baseline(served: Served, model: str, start: datetime, rows: int) -> None:
    _post(served, model, _rows(start, 20, rows, "first", 1))
    served.drain()
    told = {"start": start.isoformat(), "end": (start + timedelta(days=20)).isoformat()}
    headers = {"Content-Type": "application/json"}
    address = f"{served.address}{PATH}/{model}/baselines"
    with urlopen(Request(address, json.dumps(told).encode(), headers), timeout=120):
        pass


def _fill(folder: Path, each: int) -> None:
    """Store the records: the models through a server, most records straight into the lake."""
    from tidegauge.lake.tables import Lake

    with serving(folder, TIDEGAUGE_WINDOW="1d", TIDEGAUGE_LATENESS="1h") as served:
        for number in range(MODELS):
            # That of the first is as large as that of the server it is compared with.
            rows = 20 * (1_000 if number == 0 else 100)
            _baseline(served, f"model-{number:02d}", _day(DAYS - 20), rows)
        served.settle()
    lake = Lake(folder / "lake")
    # The same records for all: what they hold is not looked at here.
    rows = _rows(_day(0), DAYS - 21, each, "old", 0)
    rows = rows.append_column("_version", pa.repeat(pa.scalar("1"), rows.num_rows))
    for number in range(MODELS):
        lake.append("default", f"model-{number:02d}", "records", rows)


def _close(served: Served, model: str, day: int) -> float:
    """Send a day's records, and one that closes it; return the seconds until it is closed."""
    began = time.perf_counter()
    _post(served, model, _rows(_day(day), 1, WINDOW_ROWS, f"day{day}", day))
    until = _day(day).isoformat().replace("+00:00", "Z")
    # The first record of the day after next closes the day; this is also the next one's beginning.
    last = _rows(_day(day + 1) + timedelta(hours=2), 1, 1, f"close{day}", day).slice(0, 1)
    _post(served, model, last)
    while (served.get(f"{PATH}/{model}").get("closed_until") or "") <= until:
        if time.perf_counter() - began > 300:
            raise TimeoutError(f"the window of {until} was not closed")
        time.sleep(0.02)
    return time.perf_counter() - began
