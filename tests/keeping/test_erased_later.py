"""A back-up from before an erasure brings records back: whoever restores it is told, or helped."""

from __future__ import annotations

from pathlib import Path

import pytest
from kept_folders import place
from typer.testing import CliRunner

from tidegauge.catalog import Catalog
from tidegauge.catalog.erasures import digest_of
from tidegauge.cli import app
from tidegauge.errors import BadInput
from tidegauge.keeping.backup import take_backup
from tidegauge.keeping.erased import read_ids
from tidegauge.keeping.restore import restore


def erase(data: Path, ids: list[str], *, done: bool) -> str:
    """Ask for an erasure; have it done, as far as the catalog tells."""
    with Catalog(place(data).catalog) as catalog:
        model = catalog.models.get("default", "churn")
        row = catalog.erasures.ask(model.id, ids, actor="somebody")
        if done:
            catalog.erasures.forget_ids(row.id, {})
            catalog.erasures.finish(row.id)
        return row.id


def asked(data: Path) -> dict[str, tuple[str, list[str] | None]]:
    with Catalog(place(data).catalog) as catalog:
        rows = catalog.erasures.of_model(catalog.models.get("default", "churn").id)
        return {row.requested_by: (row.state, row.ids) for row in rows}


@pytest.mark.parametrize("told_by", ["newer back-up", "catalog of today"])
def test_erasures_that_came_later_are_listed_or_asked_for_again(
    data: Path, tmp_path: Path, told_by: str
) -> None:
    first = take_backup(place(data), tmp_path / "shelf").backup
    erase(data, ["p1", "p2"], done=True)
    erase(data, ["p3"], done=False)
    arguments = ["restore", str(first.folder), "--data"]
    if told_by == "newer back-up":
        take_backup(place(data), tmp_path / "shelf")
    else:
        arguments = [*arguments[:-1], "--erasures", str(data / "catalog.sqlite"), "--data"]
    run = CliRunner().invoke(app, [*arguments, str(tmp_path / "one")])
    said = " ".join(run.stdout.split())
    assert run.exit_code == 1 and "THEIR RECORDS ARE BACK" in said
    assert "default/churn: 2 ids, asked for at 20" in said
    assert digest_of(["p1", "p2"])[:16] in said and "erase again: 1 requests" in said
    assert asked(tmp_path / "one") == {"restore": ("open", ["p3"])}
    (tmp_path / "ids.txt").write_text("p2\np1\n")
    more = ["--erase", f"churn={tmp_path / 'ids.txt'}"]
    run = CliRunner().invoke(app, [*arguments, str(tmp_path / "two"), *more])
    assert run.exit_code == 0 and "erase again: 2 requests" in run.stdout


def test_an_erasure_that_went_on_when_it_was_backed_up_begins_again_without_servers_of_before(
    data: Path, tmp_path: Path
) -> None:
    number = erase(data, ["p1"], done=False)
    with Catalog(place(data).catalog) as catalog:
        catalog.erasures.join("server-of-before", "gone")
        catalog.erasures.emptied(number, "server-of-before", {})
    take_backup(place(data), tmp_path / "shelf")
    done = restore(tmp_path / "shelf", place(tmp_path / "new"))
    assert not done.erased.known
    with Catalog(place(tmp_path / "new").catalog) as catalog:
        assert catalog.erasures.servers() == {} and catalog.erasures.parts(number) == {}
        ((row, *_),) = catalog.erasures.unfinished()
    assert (row.state, row.ids) == ("open", ["p1"])


def test_ids_that_cannot_be_used_are_refused_before_anything_is_made(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    for argument in ("churn", f"churn={tmp_path / 'nowhere'}", f"churn={tmp_path / 'empty'}"):
        with pytest.raises(BadInput):
            read_ids([argument])
    take_backup(place(data), tmp_path / "shelf")
    with pytest.raises(BadInput, match="no model default/ghost"):
        restore(tmp_path / "shelf", place(tmp_path / "new"), erase=[("default", "ghost", ["a"])])
    assert list((tmp_path / "new").iterdir()) == []
