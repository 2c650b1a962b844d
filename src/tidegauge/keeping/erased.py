"""Erasures of after a back-up: whoever restores it brings erased records back, and has to know."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegauge.catalog import Catalog
from tidegauge.catalog.copying import copy_out
from tidegauge.catalog.erasures import digest_of
from tidegauge.errors import BadInput
from tidegauge.keeping.shelf import Backup, Shelf

#: Who asked for the erasures that a restore asks for.
ACTOR = "restore"


@dataclass(frozen=True)
class LaterErasure:
    """An erasure that a catalog tells of.

    Parameters
    ----------
    id, project, model : str
    requested_at : datetime
    asked : int
        How many ids.
    digest : str
        Of the ids.
    ids : tuple of str or None
        None once it was done.
    """

    id: str
    project: str
    model: str
    requested_at: datetime
    asked: int
    digest: str
    ids: tuple[str, ...] | None

    def __str__(self) -> str:
        return (
            f"{self.project}/{self.model}: {self.asked} ids, asked for at "
            f"{self.requested_at:%Y-%m-%d %H:%M} UTC (digest {self.digest[:16]}…)"
        )


@dataclass(frozen=True)
class ErasedLater:
    """What became of the erasures that came after a back-up.

    Parameters
    ----------
    known : bool
        Whether anything could tell of them.
    asked : int
        How many the restored server will carry out first.
    left : tuple of LaterErasure
        Those whose ids nobody has: they have to be asked for again.
    """

    known: bool = False
    asked: int = 0
    left: tuple[LaterErasure, ...] = ()


def read_ids(arguments: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    r"""Read what ``--erase`` names: project, model and ids.

    Raises
    ------
    BadInput

    Examples
    --------
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "ids.txt"
    >>> count = path.write_text("a1\na2\n")
    >>> [(project, model, ids) for project, model, ids in read_ids([f"churn={path}"])]
    [('default', 'churn', ['a1', 'a2'])]
    >>> folder.cleanup()
    """
    found = []
    for argument in arguments:
        name, equals, file = argument.partition("=")
        project, slash, model = name.rpartition("/")
        if not equals or not model:
            raise BadInput(
                f"--erase {argument!r}: write MODEL=FILE or PROJECT/MODEL=FILE, the file with one "
                "id a line",
                code="bad_erase",
            )
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"the ids in {file} cannot be read: {error}", code="bad_erase") from None
        ids = sorted({line.strip() for line in lines} - {""})
        if not ids:
            raise BadInput(f"{file} holds no ids; write one a line", code="bad_erase")
        found.append((project if slash else "default", model, ids))
    return found


def later_erasures(backup: Backup, today: str | None) -> dict[str, LaterErasure] | None:
    """Return what newer catalogs tell of erasures, by id; None where there is no newer one.

    Parameters
    ----------
    today : str, optional
        The catalog of today: a file or URL.

    Raises
    ------
    BadInput, Unavailable
        If it cannot be read.
    """
    found: dict[str, LaterErasure] = {}
    known = False
    if (backup.shelf / backup.name).is_dir():
        shelf = Shelf(backup.shelf)
        newer = [name for name in shelf.names() if name > backup.name]
        for name in reversed(newer):
            path = backup.shelf / name / "catalog.sqlite"
            if path.is_file():
                found |= _told(path)
                known = True
                break
    if today is not None:
        with tempfile.TemporaryDirectory(prefix="tidegauge-") as folder:
            copy = Path(folder) / "catalog.sqlite"
            url = today if "://" in today else f"sqlite:///{Path(today).absolute()}"
            copy_out(url, copy)
            found |= _told(copy)
        known = True
    return found if known else None


def erase_again(
    catalog: Catalog,
    later: Mapping[str, LaterErasure] | None,
    wanted: Sequence[tuple[str, str, list[str]]],
) -> ErasedLater:
    """Ask for erasures that a restored catalog does not know of.

    Parameters
    ----------
    catalog : Catalog
        The restored one.
    later : mapping of str to LaterErasure, optional
        What newer catalogs tell.
    wanted : sequence of (project, model, ids)
        What was named besides.

    Raises
    ------
    BadInput
        If a model that was named is not in the back-up.
    """
    models = {(project.name, model.name): model.id for project, model in catalog.models.all()}
    known = {one.id for model_id in models.values() for one in catalog.erasures.of_model(model_id)}
    asked, digests = 0, set()
    for project, model, ids in wanted:
        if (project, model) not in models:
            raise BadInput(
                f"--erase: the back-up has no model {project}/{model}", code="unknown_model"
            )
        catalog.erasures.ask(models[project, model], ids, actor=ACTOR)
        digests.add((project, model, digest_of(ids)))
        asked += 1
    left = []
    for one in (later or {}).values():
        key = one.project, one.model
        if one.id in known or key not in models or (*key, one.digest) in digests:
            continue
        if one.ids is None:
            left.append(one)
            continue
        catalog.erasures.ask(models[key], one.ids, actor=ACTOR)
        asked += 1
    left.sort(key=lambda one: (one.requested_at, one.id))
    return ErasedLater(later is not None or bool(wanted), asked, tuple(left))


def begin_again(database: sqlite3.Connection) -> None:
    """Have a restored catalog's unfinished erasures begin again, without the servers of before."""
    database.execute("DELETE FROM servers")
    database.execute(
        "DELETE FROM erasure_parts WHERE erasure_id IN (SELECT id FROM erasures"
        " WHERE ids IS NOT NULL)"
    )
    database.execute("UPDATE erasures SET state = 'open' WHERE ids IS NOT NULL")


def _told(path: Path) -> dict[str, LaterErasure]:
    query = (
        "SELECT e.id, p.name, m.name, e.requested_at, e.asked, e.digest, e.ids FROM erasures e"
        " JOIN models m ON m.id = e.model_id JOIN projects p ON p.id = m.project_id"
    )
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if "erasures" not in tables:
            return {}
        rows: list[Any] = database.execute(query).fetchall()
    return {
        row[0]: LaterErasure(
            row[0],
            row[1],
            row[2],
            datetime.fromisoformat(row[3]).replace(tzinfo=UTC),
            row[4],
            row[5],
            None if row[6] is None else tuple(json.loads(row[6])),
        )
        for row in rows
    }
