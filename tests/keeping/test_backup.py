"""Back-ups of folders that stand still: what is in them, what is copied twice, what is refused."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kept_folders import named, place
from object_store import Store
from typer.testing import CliRunner

from tidegauge.catalog import Catalog
from tidegauge.cli import app
from tidegauge.errors import BadInput, Conflict, NotFound, TidegaugeError
from tidegauge.keeping import backup as backing_up
from tidegauge.keeping.backup import take_backup
from tidegauge.keeping.installation import Installation
from tidegauge.keeping.lakefiles import LakeFiles
from tidegauge.keeping.restore import restore
from tidegauge.keeping.shelf import PART, Shelf, damaged_files
from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.flusher import Flusher
from tidegauge.lake.journal import Journal
from tidegauge.lake.tables import Lake
from tidegauge.lake.upkeep import compact
from tidegauge.server.serve import serve
from tidegauge.server.settings import Settings

KINDS = ("records", "labels", "quarantine", "profiles", "points", "samples")


def rows(installation: Installation, model: str = "churn") -> dict[str, Any]:
    """Return what the lake's tables hold."""
    found = {}
    with closing(Lake(installation.lake, installation.lake_options)) as lake:
        for kind in KINDS:
            files = lake.files("default", model, kind)
            found[kind] = sum(pq.read_metadata(file).num_rows for file in files)
    return found


def told(url: str) -> dict[str, Any]:
    """Return what a catalog says of its model."""
    with Catalog(url) as catalog:
        model = catalog.models.get("default", "churn")
        active = catalog.baselines.active(model.id)
        incidents = catalog.incidents.all()
        return {
            "schema": model.schema,
            "progress": model.progress,
            "baseline": active.id if active else None,
            "windows": [
                (w.start, w.version, w.n_records) for w in catalog.windows.between(model.id)
            ],
            "incidents": [(i.title, i.state, i.evidence, i.opened_at) for i in incidents],
            "alarms": [len(catalog.incidents.alarms(i.id)) for i in incidents],
        }


def test_what_is_restored_is_what_was_backed_up(
    data: Path, journalled: Callable[..., None], tmp_path: Path
) -> None:
    journalled(3)
    before, told_before = rows(place(data)), told(place(data).catalog)
    assert before["profiles"] and before["points"] and told_before["incidents"]
    taken = take_backup(place(data), tmp_path / "shelf")
    assert taken.backup.manifest.missing == ()
    target = place(tmp_path / "new")
    restore(tmp_path / "shelf", target)
    assert (rows(target), told(target.catalog)) == (before, told_before)
    with Journal(tmp_path / "new/journal") as journal:
        assert journal.depth() == 3
        assert journal.answer_for("default", "churn", "key-2") == b"{}"
        with closing(Lake(target.lake)) as lake:
            Flusher(journal, lake).flush_now()
    assert rows(target)["records"] == before["records"] + 60
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "catalog.sqlite",
        "journal",
        "lake",
    ]


def test_a_second_backup_copies_only_what_is_new_and_leaves_the_first_one_whole(
    data: Path, tmp_path: Path
) -> None:
    shelf, installation = tmp_path / "shelf", place(data)
    first = take_backup(installation, shelf)
    assert first.copied == len([f for f in first.backup.manifest.files if f.shared])
    assert take_backup(installation, shelf).copied == 0
    before = rows(installation)
    with closing(Lake(installation.lake)) as lake:
        lake.append("default", "churn", "records", named(5, 0))
    third = take_backup(installation, shelf)
    assert (third.copied, [damaged_files(one) for one in Shelf(shelf).backups()]) == (1, [[]] * 3)
    restore(first.backup.folder, place(tmp_path / "old"))
    assert rows(place(tmp_path / "old")) == before


def test_older_backups_make_room_with_the_files_that_only_they_had(
    data: Path, tmp_path: Path
) -> None:
    shelf, installation = tmp_path / "shelf", place(data)
    first = take_backup(installation, shelf).backup
    # The clock was ahead then; the newest is the newest nevertheless.
    first.folder.rename(shelf / "20991231T000000.000Z")
    folder = installation.lake + "/default/churn/records"
    with closing(Lake(installation.lake)) as lake:
        for at in range(20):
            lake.append("default", "churn", "records", named(5, at))
        assert compact(lake, "default", "churn", "records").compacted
    taken = take_backup(installation, shelf, keep=1)
    assert len(taken.removed) == 1 and len(Shelf(shelf).names()) == 1
    on_shelf = {path.name for path in (shelf / "files").rglob("*.parquet")}
    in_lake = {Path(f).name for k in KINDS for f in _files(installation, k)}
    assert on_shelf == in_lake and Path(folder).is_dir()
    restore(shelf, place(tmp_path / "new"))
    assert rows(place(tmp_path / "new")) == rows(installation)


def _files(installation: Installation, kind: Any) -> list[str]:
    with closing(Lake(installation.lake)) as lake:
        return lake.files("default", "churn", kind)


@pytest.mark.parametrize("link", [True, False])
def test_what_happens_to_the_lake_later_does_not_reach_a_backup(
    data: Path, tmp_path: Path, link: bool
) -> None:
    installation = place(data)
    taken = take_backup(installation, tmp_path / "shelf", link=link)
    (file,) = [f for f in taken.backup.manifest.files if f.shared and "/records/" in f.path][:1]
    same = taken.backup.place(file).samefile(data / file.path)
    assert same is link
    shutil.rmtree(data)
    assert damaged_files(taken.backup) == []


def test_files_that_are_deleted_while_a_table_is_copied_are_taken_from_a_newer_version(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = place(data)
    with closing(Lake(installation.lake)) as lake:
        for at in range(20):
            lake.append("default", "churn", "records", named(5, at))
    before = rows(installation)
    log, tidied = LakeFiles.log, list[str]()

    def log_and_tidy(files: LakeFiles, folder: Any) -> Any:
        found = log(files, folder)
        if folder.kind == "records" and not tidied:
            with closing(Lake(installation.lake)) as lake:
                compact(lake, "default", "churn", "records")
                table = lake.open_table("default", "churn", "records")
                assert table is not None
                tidied.extend(table.vacuum(0, dry_run=False, enforce_retention_duration=False))
        return found

    monkeypatch.setattr(LakeFiles, "log", log_and_tidy)
    taken = take_backup(installation, tmp_path / "shelf")
    assert tidied and taken.backup.manifest.missing == ()
    restore(tmp_path / "shelf", place(tmp_path / "new"))
    assert rows(place(tmp_path / "new")) == before


def test_entries_that_move_to_the_lake_meanwhile_are_there_once_and_are_told_to_the_scheduler(
    data: Path, journalled: Callable[..., None], tmp_path: Path
) -> None:
    journalled(4)
    installation, target = place(data), place(tmp_path / "new")
    before = rows(installation)["records"]

    with Journal(data / "journal") as journal, closing(Lake(installation.lake)) as lake:

        def step(name: str) -> None:
            if name == "catalog":  # The journal is copied; now a server brings more.
                entry = Entry("default", "churn", "records", named(7, 99))
                journal.append(JournalRequest("default", "churn", (entry,))).result()
            if name == "default/churn/records":  # And the catalog is.
                Flusher(journal, lake).flush_now()

        take_backup(installation, tmp_path / "shelf", on_step=step)
        assert journal.depth() == 0
    restore(tmp_path / "shelf", target)
    assert rows(target)["records"] == before + 87
    with Journal(tmp_path / "new/journal") as journal, closing(Lake(target.lake)) as lake:
        assert journal.depth() == 4
        Flusher(journal, lake).flush_now()
    assert rows(target)["records"] == before + 87
    with Catalog(target.catalog) as catalog:
        news = catalog.news.read()
    assert sum(one.records for one in news) == 87 and all(one.first_event for one in news)


def test_journals_of_several_servers_are_restored_as_one(
    data: Path, journalled: Callable[..., None], tmp_path: Path
) -> None:
    journalled(2)
    for name in ("second", "third"):
        with Journal(tmp_path / name / "journal") as journal:
            entry = Entry("default", "churn", "records", named(1, 50))
            request = JournalRequest("default", "churn", (entry,), {name: b"{}"})
            journal.append(request).result()
    folders = (data, tmp_path / "second")
    installation = Installation(folders, place(data).lake, place(data).catalog)
    take_backup(installation, tmp_path / "shelf")
    third = Installation.of([tmp_path / "third"])
    take_backup(third, tmp_path / "shelf-3", journal_only=True)
    restore(tmp_path / "shelf", place(tmp_path / "new"))
    restore(tmp_path / "shelf-3", place(tmp_path / "new-3"))
    with Journal(tmp_path / "new/journal") as journal:
        assert journal.depth() == 3
        assert journal.answer_for("default", "churn", "second") == b"{}"
    with Journal(tmp_path / "new-3/journal") as journal:
        assert journal.depth() == 1
    assert [path.name for path in (tmp_path / "new-3").iterdir()] == ["journal"]


def test_a_backup_that_was_cut_off_is_seen_as_such_and_never_restored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    whole = take_backup(place(data), shelf)

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(backing_up, "finish", cut)
        with pytest.raises(KeyboardInterrupt):
            take_backup(place(data), shelf)
    (part,) = Shelf(shelf).unfinished()
    assert part.name.endswith(PART)
    with pytest.raises(NotFound, match="not finished"):
        restore(part, place(tmp_path / "new"))
    shown = CliRunner().invoke(app, ["backups", str(shelf)])
    assert shown.exit_code == 0 and "not finished" in shown.stdout
    done = restore(shelf, place(tmp_path / "new"))
    assert done.backup.name == whole.backup.name
    take_backup(place(data), shelf)
    assert Shelf(shelf).unfinished() == []


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_backup_is_told_and_not_restored(data: Path, tmp_path: Path, harm: str) -> None:
    taken = take_backup(place(data), tmp_path / "shelf", link=False)
    (file,) = [f for f in taken.backup.manifest.files if f.path.endswith(".parquet")][:1]
    path = taken.backup.place(file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content if harm == "flip" else content[:-1])
    shown = CliRunner().invoke(app, ["backups", str(tmp_path / "shelf"), "--verify"])
    assert shown.exit_code == 1 and file.path in shown.stdout.replace("\n", "")
    with pytest.raises(BadInput, match=r"is damaged: lake/.*nothing was restored"):
        restore(tmp_path / "shelf", place(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing_to_be_restored(
    data: Path, tmp_path: Path
) -> None:
    def run(most: int, *arguments: Any) -> tuple[int, str]:
        """Run a command that can write no larger file than so many bytes."""
        done = subprocess.run(
            [sys.executable, "-m", "tidegauge.cli", *map(str, arguments)],
            capture_output=True, text=True, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        )  # fmt: skip
        return done.returncode, done.stderr

    for most, words in ((20_000, "cannot be copied"), (250_000, "was not finished")):
        code, said = run(most, "backup", tmp_path / "shelf", "--data", data, "--copy")
        assert code == 2 and len(said.splitlines()) == 1 and words in said, said
    assert Shelf(tmp_path / "shelf").names() == []
    take_backup(place(data), tmp_path / "shelf")
    code, said = run(20_000, "restore", tmp_path / "shelf", "--data", tmp_path / "new")
    assert code == 2 and len(said.splitlines()) == 1 and "cannot be restored" in said
    assert list((tmp_path / "new").iterdir()) == []
    restore(tmp_path / "shelf", place(tmp_path / "new"))


def test_nothing_is_restored_over_what_is_there(data: Path, tmp_path: Path) -> None:
    take_backup(place(data), tmp_path / "shelf")
    with pytest.raises(Conflict, match=r"is not empty \(.*journal"):
        restore(tmp_path / "shelf", place(data))
    with pytest.raises(Conflict, match=r"lake .* is not empty: it has projects \(default\)"):
        restore(tmp_path / "shelf", place(tmp_path / "new", lake=str(data / "lake")))
    catalog = f"sqlite:///{data / 'catalog.sqlite'}"
    with pytest.raises(Conflict, match=r"catalog.sqlite is there already"):
        restore(tmp_path / "shelf", place(tmp_path / "new", catalog=catalog))
    assert not (tmp_path / "new").exists()


def test_an_empty_folder_is_restored_into_as_a_mount_is(data: Path, tmp_path: Path) -> None:
    take_backup(place(data), tmp_path / "shelf")
    for name in ("new", "lake"):
        (tmp_path / name).mkdir()
    (tmp_path / "new/lost+found").mkdir()
    target = place(tmp_path / "new", lake=str(tmp_path / "lake"))
    restore(tmp_path / "shelf", target)
    assert rows(target) == rows(place(data))


def test_a_restore_that_was_killed_is_seen_by_whoever_comes_next(
    data: Path, tmp_path: Path
) -> None:
    take_backup(place(data), tmp_path / "shelf", link=False)
    killed = (
        "import os, sys; from tidegauge.keeping import restore; from tidegauge.cli import main;"
        "restore.copy_in = restore._into_place = lambda *_: os.kill(os.getpid(), 9); main()"
    )
    asked = ["restore", tmp_path / "shelf", "--data", tmp_path / "new"]
    done = subprocess.run([sys.executable, "-c", killed, *map(str, asked)], timeout=60)
    assert done.returncode == -9
    for work in (
        lambda: serve(Settings(data=tmp_path / "new")),
        lambda: restore(tmp_path / "shelf", place(tmp_path / "new")),
        lambda: take_backup(place(tmp_path / "new"), tmp_path / "other"),
    ):
        with pytest.raises(Conflict, match="was cut off; delete what is in it"):
            work()
    shutil.rmtree(tmp_path / "new")
    restore(tmp_path / "shelf", place(tmp_path / "new"))


def test_a_missing_file_of_the_lake_is_told_and_the_rest_is_kept(
    data: Path, tmp_path: Path
) -> None:
    gone = _files(place(data), "points")[0]
    Path(gone).unlink()
    baseline = next((data / "lake/default/churn/baselines").iterdir())
    baseline.unlink()
    (data / "journal/answers.sqlite").write_bytes(b"no database" * 1000)
    (data / "lake/default/churn/profiles/_delta_log/00000000000000000000.json").write_text("{oops")
    arguments = ["backup", str(tmp_path / "shelf"), "--data", str(data)]
    shown = CliRunner().invoke(app, arguments)
    said = shown.stdout.replace("\n", "")
    assert shown.exit_code == 1 and Path(gone).name in said and baseline.name in said
    assert "journal/answers.sqlite, the answers to keys" in said
    assert "lake/default/churn/profiles: " in said
    restore(tmp_path / "shelf", place(tmp_path / "new"))
    with closing(Lake(str(tmp_path / "new/lake"))) as lake:
        assert lake.table("default", "churn", "records") is not None


def test_bad_places_are_refused_with_what_to_do(data: Path, tmp_path: Path) -> None:
    cases: list[tuple[Installation, Path, type[TidegaugeError], str]] = [
        (place(tmp_path / "nowhere"), tmp_path / "s", BadInput, "there is no data folder"),
        (place(data), data / "backups", BadInput, "would be lost with it"),
        (place(data), data.parent, BadInput, r"holds other things \(data\)"),
    ]
    for installation, shelf, kind, said in cases:
        with pytest.raises(kind, match=said):
            take_backup(installation, shelf)
    take_backup(place(data), tmp_path / "held")
    with Shelf(tmp_path / "held").held():
        for work in (
            lambda: take_backup(place(data), tmp_path / "held"),
            lambda: restore(tmp_path / "held", place(tmp_path / "new")),
        ):
            with pytest.raises(Conflict, match="is under way; wait for its end"):
                work()
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no folder with back-ups"):
        restore(tmp_path / "empty", place(tmp_path / "new"))
    with pytest.raises(BadInput, match="there is no catalog"):
        take_backup(place(tmp_path / "empty"), tmp_path / "shelf")


def test_a_backup_goes_from_sqlite_to_postgresql_and_back(
    data: Path, tmp_path: Path, postgres: Any
) -> None:
    url = postgres.database()
    take_backup(place(data), tmp_path / "first")
    there = place(tmp_path / "there", catalog=url)
    restore(tmp_path / "first", there)
    assert told(url) == told(place(data).catalog)
    with Catalog(url) as catalog:  # Numbers go on after those that were copied.
        catalog.projects.ensure("another")
    with pytest.raises(Conflict, match=r"is not empty: 1 models in 2 projects"):
        restore(tmp_path / "first", place(tmp_path / "again", catalog=url))
    take_backup(there, tmp_path / "second")
    restore(tmp_path / "second", place(tmp_path / "back"))
    assert told(place(tmp_path / "back").catalog) == told(place(data).catalog)
    assert rows(place(tmp_path / "back")) == rows(place(data))


def test_a_backup_goes_from_a_folder_to_an_object_store_and_back(
    data: Path, tmp_path: Path, bucket: Store
) -> None:
    take_backup(place(data), tmp_path / "first")
    there = place(tmp_path / "there", lake=f"{bucket.url}/lake", lake_options=bucket.options)
    restore(tmp_path / "first", there)
    assert rows(there) == rows(place(data))
    with pytest.raises(Conflict, match="is not empty"):
        restore(
            tmp_path / "first",
            place(tmp_path / "again", lake=f"{bucket.url}/lake", lake_options=bucket.options),
        )
    with closing(Lake(there.lake, bucket.options)) as lake:
        lake.append("default", "churn", "records", pa.table({"prediction_id": ["late"]}))
    assert take_backup(there, tmp_path / "second").backup.manifest.missing == ()
    restore(tmp_path / "second", place(tmp_path / "back"))
    assert rows(place(tmp_path / "back")) == rows(there)
