"""The doctor has nothing to say of a healthy folder, and finds what is broken for what it is."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import Api, Process, records
from kept_folders import named, place
from object_store import Store
from rich.console import Console
from typer.testing import CliRunner

from tidegauge.catalog import Catalog
from tidegauge.cli import app
from tidegauge.keeping import doctor as doctoring
from tidegauge.keeping.backup import take_backup
from tidegauge.keeping.doctor import examine
from tidegauge.keeping.findings import Examination, Severity
from tidegauge.keeping.installation import Installation
from tidegauge.keeping.restore import restore
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.flusher import Flusher
from tidegauge.lake.journal import Journal
from tidegauge.lake.segments import read_segments
from tidegauge.lake.tables import Lake
from tidegauge.report.findings import print_examination
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings

CHURN = "lake/default/churn"
OLD = time.time() - 3 * 86_400


def files(data: Path, kind: str) -> list[Path]:
    return sorted((data / CHURN / kind).rglob("*.parquet"))


def fill(data: Path, count: int = 3, *, flush: bool = False) -> None:
    """Put requests into the journal, and have the lake take them where that is asked."""
    with Journal(data / "journal") as journal, closing(Lake(str(data / "lake"))) as lake:
        for at in range(count):
            entry = Entry("default", "churn", "records", named(20, at))
            journal.append(JournalRequest("default", "churn", (entry,))).result()
        if flush:
            Flusher(journal, lake).flush_now()


def sql(data: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data / "catalog.sqlite")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


# What may be broken: each does it, and the codes that are to be found, with how often.


def bit_in_journal(data: Path) -> None:
    fill(data)
    (segment,) = read_segments(data / "journal")
    flip(segment, segment.stat().st_size // 2)


def journal_cut_off(data: Path) -> None:
    fill(data)
    (segment,) = read_segments(data / "journal")
    os.truncate(segment, segment.stat().st_size - 100)


def piece_set_aside(data: Path) -> None:
    (data / "journal/damaged").mkdir(parents=True)
    (data / "journal/damaged/000000000001-64.bytes").write_bytes(b"x")
    (data / "journal/damaged/000000000001-640-torn.bytes").write_bytes(b"x")


def answers_overwritten(data: Path) -> None:
    (data / "journal/answers.sqlite").write_bytes(b"no database" * 1000)


def journal_of_unknown_model(data: Path) -> None:
    with Journal(data / "journal") as journal:
        entry = Entry("default", "ghost", "records", named(5, 0))
        journal.append(JournalRequest("default", "ghost", (entry,))).result()


def journal_of_before(data: Path) -> None:
    with closing(sqlite3.connect(data / "journal.sqlite")) as old:
        old.execute("CREATE TABLE entries (offset INTEGER)")
        old.execute("INSERT INTO entries VALUES (1)")
        old.commit()


def log_overwritten(data: Path) -> None:
    (data / CHURN / "profiles/_delta_log/00000000000000000000.json").write_text("{oops")


def file_removed(data: Path) -> None:
    files(data, "points")[0].unlink()


def file_cut_off(data: Path) -> None:
    path = files(data, "records")[0]
    os.truncate(path, path.stat().st_size - 1)


def footer_flipped(data: Path) -> None:
    path = files(data, "records")[0]
    flip(path, path.stat().st_size - 2)


def page_overwritten(data: Path) -> None:
    path = files(data, "records")[0]
    group = pq.read_metadata(path).row_group(0)
    column = next(
        group.column(at)
        for at in range(group.num_columns)
        if group.column(at).path_in_schema == "_row"
    )
    with path.open("rb+") as file:
        file.seek(column.data_page_offset)
        file.write(b"\xff" * 16)


def rows_miscounted(data: Path) -> None:
    (log,) = [
        path
        for path in (data / CHURN / "points/_delta_log").glob("*.json")
        if '"add"' in path.read_text()
    ][:1]
    text = log.read_text()
    at = text.index('numRecords\\":') + len('numRecords\\":')
    log.write_text(f"{text[:at]}9{text[at:]}")


def files_left_by_a_crash(data: Path) -> None:
    path = files(data, "records")[0]
    for name in ("left.parquet", ".half.part"):
        left = Path(shutil.copy(path, path.with_name(name)))
        os.utime(left, (OLD, OLD))
    shutil.copy(path, path.with_name("just-now.parquet"))


def rows_doubled(data: Path) -> None:
    fill(data, 1, flush=True)
    with closing(Lake(str(data / "lake"))) as lake:
        for path in files(data, "records"):
            table = pq.read_table(path, partitioning=None)
            if table["_batch"].null_count == 0:
                days = pa.repeat(pa.scalar(table["timestamp"][0].as_py().date()), table.num_rows)
                lake.append("default", "churn", "records", table.append_column("_date", days))


def ingested_tomorrow(data: Path) -> None:
    with closing(Lake(str(data / "lake"))) as lake:
        from tidegauge.lake.columns import stamped

        table = stamped(named(3, 0), "records", datetime.now(UTC) + timedelta(days=1))
        lake.append("default", "churn", "records", table)


def table_of_no_model(data: Path) -> None:
    with closing(Lake(str(data / "lake"))) as lake:
        lake.append("default", "ghost", "records", named(3, 0))


def catalog_removed(data: Path) -> None:
    (data / "catalog.sqlite").unlink()


def catalog_overwritten(data: Path) -> None:
    path = data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096, 2):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(content)


def catalog_of_before(data: Path) -> None:
    sql(data, "UPDATE alembic_version SET version_num = 'from-tomorrow'")


def rows_of_nobody(data: Path) -> None:
    sql(data, "PRAGMA foreign_keys = OFF", "INSERT INTO versions SELECT 900, 77, 'x',"
        " first_seen, last_seen FROM versions LIMIT 1")  # fmt: skip


def records_removed(data: Path) -> None:
    shutil.rmtree(data / CHURN / "records")


def windows_unprofiled(data: Path) -> None:
    shutil.rmtree(data / CHURN / "profiles")


def points_gone(data: Path) -> None:
    shutil.rmtree(data / CHURN / "points")


def type_changed(data: Path) -> None:
    with closing(sqlite3.connect(data / "catalog.sqlite")) as database:
        (text,) = database.execute("SELECT schema FROM models").fetchone()
        told = json.loads(text)
        next(one for one in told["columns"] if one["name"] == "visits")["type"] = "text"
        database.execute("UPDATE models SET schema = ?", (json.dumps(told),))
        database.commit()


def baseline_removed(data: Path) -> None:
    next((data / CHURN / "baselines").iterdir()).unlink()


def baseline_flipped(data: Path) -> None:
    path = next((data / CHURN / "baselines").iterdir())
    path.write_bytes(path.read_bytes()[:-400])


def alarms_gone(data: Path) -> None:
    sql(data, "DELETE FROM incident_alarms WHERE incident_id = 1")


def erasure_forgotten(data: Path) -> None:
    with Catalog(f"sqlite:///{data / 'catalog.sqlite'}") as catalog:
        model = catalog.models.get("default", "churn")
        catalog.erasures.ask(model.id, ["p1"], actor="test")
    sql(data, "UPDATE erasures SET requested_at = '2026-01-01 00:00:00.000000'")


BROKEN: list[tuple[Callable[[Path], None], dict[str, int], str]] = [
    (bit_in_journal, {"journal_damaged": 1}, "20 records of default/churn"),
    (journal_cut_off, {"journal_torn": 1}, "were not acknowledged"),
    (piece_set_aside, {"journal_set_aside": 1}, "1 damaged pieces"),
    (answers_overwritten, {"answers_damaged": 1}, "not a database"),
    (journal_of_unknown_model, {"journal_of_unknown_model": 1}, "ghost"),
    (journal_of_before, {"journal_of_before": 1}, "1 entries"),
    (log_overwritten, {"table_unreadable": 1}, "default/churn/profiles"),
    (file_removed, {"file_missing": 1}, "is not there"),
    (file_cut_off, {"file_size": 1}, "the table's log says"),
    (footer_flipped, {"file_unreadable": 1}, "magic bytes"),
    (page_overwritten, {"file_unreadable": 1}, "cannot be read (200 rows)"),
    (rows_miscounted, {"row_count": 1}, "rows, and the table's log says"),
    (files_left_by_a_crash, {"unused_files": 1}, "2 files"),
    (rows_doubled, {"doubled_rows": 1}, "20 rows are there more than once"),
    (ingested_tomorrow, {"clock_behind": 1}, "its newest row came at"),
    (table_of_no_model, {"table_without_model": 1}, "records; 3 rows"),
    (catalog_removed, {"catalog_missing": 1}, "there is no catalog"),
    (catalog_overwritten, {"catalog_damaged": 1}, "is damaged"),
    (catalog_of_before, {"catalog_newer": 1}, "from-tomorrow"),
    (rows_of_nobody, {"catalog_dangling": 1}, "1 rows belong to rows that are not there"),
    (records_removed, {"model_without_table": 1}, "9000 records in closed windows"),
    (windows_unprofiled, {"window_without_profiles": 1}, "45 closed windows"),
    (points_gone, {"window_without_points": 1}, "45 closed windows"),
    (type_changed, {"type_differs": 1}, "is text (string) in the schema"),
    (baseline_removed, {"baseline_unreadable": 1}, "there is no default/churn/baselines"),
    (baseline_flipped, {"baseline_unreadable": 1}, "no stored baseline"),
    (alarms_gone, {"incident_without_alarms": 1}, "(numbers 1)"),
    (erasure_forgotten, {"erasure_unfinished": 1}, "is not done"),
]


def counted(found: Examination) -> dict[str, int]:
    codes = [one.code for one in found.findings]
    return {code: codes.count(code) for code in codes}


def content(data: Path) -> dict[str, bytes]:
    return {
        path.relative_to(data).as_posix(): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.suffix not in (".sqlite-shm", ".sqlite-wal")
    }


def test_nothing_is_found_in_a_healthy_folder_and_nothing_is_changed_there(data: Path) -> None:
    fill(data, flush=True)
    fill(data)
    before = content(data)
    found = examine(place(data))
    assert (found.findings, found.unchecked) == ([], [])
    assert "3 entries (60 rows) on their way to the lake" in found.facts[-1]
    assert content(data) == before


@pytest.mark.parametrize(
    ("harm", "codes", "said"), BROKEN, ids=lambda x: getattr(x, "__name__", "")
)
def test_what_is_broken_is_found_for_what_it_is(
    data: Path, harm: Callable[[Path], None], codes: dict[str, int], said: str
) -> None:
    harm(data)
    before = content(data)
    found = examine(place(data))
    assert counted(found) == codes, found.findings
    (finding,) = found.findings
    assert said in f"{finding.where}: {finding.what}" and finding.remedy
    assert content(data) == before


def test_every_finding_is_told_in_the_manual() -> None:
    package = Path(doctoring.__file__).parent
    sources = "".join(path.read_text() for path in package.glob("*.py"))
    codes = set(re.findall(r'found\.add\(\s*f?"([a-z_{}]+)"', sources))
    codes |= {"disk_full", "disk_filling", "catalog_unavailable", "catalog_missing"}
    codes = {one for code in codes for one in _spelled(code)}
    manual = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert {code for code in codes if f"`{code}`" not in manual} == set()


def _spelled(code: str) -> list[str]:
    return (
        [code.replace("{kind}", kind) for kind in ("profiles", "points")] if "{" in code else [code]
    )


def test_what_is_safe_to_mend_is_mended_and_only_that(data: Path) -> None:
    files_left_by_a_crash(data)
    windows_unprofiled(data)
    piece_set_aside(data)
    before = content(data)
    asked = ["doctor", "--data", str(data), "--mend"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 1 and "nobody is here to be asked" in str(refused.exception)
    assert content(data) == before
    done = CliRunner().invoke(app, [*asked, "--yes"])
    assert done.exit_code == 1 and "deleted 2 files" in done.stdout
    assert counted(examine(place(data))) == {
        "journal_set_aside": 1, "window_without_profiles": 1
    }  # fmt: skip
    runtime = Runtime(Settings(data=data))
    try:
        scheduler: Any = runtime.scheduler
        scheduler.tick()
    finally:
        runtime.stop()
    assert counted(examine(place(data))) == {"journal_set_aside": 1}


def test_nothing_is_found_beside_a_server_that_works_under_load(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Process(data, TIDEGAUGE_FLUSH_INTERVAL="0.2")
    try:
        with httpx.Client(base_url=server.address) as http:
            api = Api(http, "fares")
            sent = 0

            def step(_: str) -> None:
                nonlocal sent
                body = [
                    {**one, "prediction_id": f"r{sent}-{one['prediction_id']}"}
                    for one in records(300)
                ]
                api.post("predictions", json=body)
                sent += 1

            step("")
            time.sleep(0.5)
            for _ in range(2):
                found = examine(place(data), on_step=step)
                assert found.findings == []
            assert sent > 6 and "a server runs" in found.facts[-1]
            assert any("stopped server" in one for one in found.unchecked)
    finally:
        server.kill()
    assert set(counted(examine(place(data)))) <= {"journal_torn"}


def test_a_stopped_lease_and_old_news_are_found_beside_a_server(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.keeping import catalog_checks, journal_checks

    monkeypatch.setattr(catalog_checks, "PATIENCE_SECONDS", -2.5)
    monkeypatch.setattr(journal_checks, "STUCK_SECONDS", -1.0)
    fill(data, 2)
    with Catalog(f"sqlite:///{data / 'catalog.sqlite'}") as catalog:
        from tidegauge.lake.flusher import Flushed

        catalog.news.add([Flushed("default", "churn", records=1, journal="j")])
    sql(data, "UPDATE news SET at = '2026-01-01 00:00:00.000000'")
    with Journal(data / "journal"):  # As a server holds it that does nothing.
        found = examine(place(data))
    assert counted(found) == {"lease_stuck": 1, "news_stuck": 1, "journal_stuck": 1}


def test_windows_whose_results_were_kept_for_long_enough_are_not_missed(data: Path) -> None:
    windows_unprofiled(data)
    with Catalog(place(data).catalog) as catalog:
        model = catalog.models.get("default", "churn")
        catalog.models.configure(model.id, settings={"records_from": "2030-01-01T00:00:00+00:00"})
        (finding,) = examine(place(data)).findings
        assert finding.mend is None and "records are gone" in finding.remedy
        kept = {"retention": {"records": None, "profiles": "1d"}}
        catalog.models.configure(model.id, settings=kept)
    assert examine(place(data)).findings == []


def test_too_little_room_is_found(data: Path) -> None:
    free = shutil.disk_usage(data).free
    assert counted(examine(place(data), min_free=2 * free)) == {"disk_full": 1}
    assert counted(examine(place(data), min_free=int(0.7 * free))) == {"disk_filling": 1}


def test_a_lake_in_an_object_store_is_looked_at_too(
    data: Path, tmp_path: Path, bucket: Store
) -> None:
    take_backup(place(data), tmp_path / "shelf")
    there = place(tmp_path / "there", lake=f"{bucket.url}/lake", lake_options=bucket.options)
    restore(tmp_path / "shelf", there)
    assert examine(there).findings == []
    with closing(Lake(there.lake, bucket.options)) as lake:
        lake.store.delete(files(data, "points")[0].relative_to(data / "lake").as_posix())
    assert counted(examine(there)) == {"file_missing": 1}
    away = Installation(there.folders, there.lake, there.catalog, {
        **bucket.options, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "max_retries": "1",
    })  # fmt: skip
    assert counted(examine(away)) == {"lake_unavailable": 1}


def test_a_catalog_on_postgresql_is_looked_at_too(
    data: Path, tmp_path: Path, postgres: Any
) -> None:
    take_backup(place(data), tmp_path / "shelf")
    there = place(tmp_path / "there", catalog=postgres.database())
    restore(tmp_path / "shelf", there)
    assert examine(there).findings == []
    shutil.rmtree(tmp_path / "there" / CHURN / "profiles")
    assert counted(examine(there)) == {"window_without_profiles": 1}


def test_findings_are_told_to_machines_and_by_the_exit_code(data: Path, tmp_path: Path) -> None:
    file_removed(data)
    run = CliRunner().invoke(app, ["doctor", "--data", str(data), "--json", "-"])
    (finding,) = json.loads(run.stdout)["findings"]
    assert (run.exit_code, finding["code"], finding["severity"]) == (1, "file_missing", "error")
    assert finding["mendable"] is False and finding["where"] == "default/churn/points"
    missing = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path / "nowhere")])
    assert "there is no data folder" in str(missing.exception)


def test_five_hundred_findings_are_readable_in_eighty_columns() -> None:
    found = Examination(facts=["lake data/lake: 50 tables, 12,000 files, 1,000,000 rows"])
    for at in range(500):
        found.add("file_missing", Severity.ERROR, f"default/model-{at // 10:02d}/records",
                  f"_date=2026-01-{at % 28 + 1:02d}/{at:032x}.parquet is not there (1200 rows)",
                  "put the file back from a back-up (under files/lake there)")  # fmt: skip
    found.add("unused_files", Severity.WARNING, "default/m/records", "3 files", "delete them",
              lambda: "deleted")  # fmt: skip
    console = Console(width=80, file=io.StringIO())
    print_examination(found, console)
    shown = console.file.getvalue()
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) < 40
    assert "file_missing × 500" in shown and "… and 495 more" in shown
    assert "found: 500 errors, 1 warning; --mend mends 1 of them" in shown
