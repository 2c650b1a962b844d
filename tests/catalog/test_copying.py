"""Every row of every table goes from SQLite to PostgreSQL and back as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidegauge.catalog import Catalog
from tidegauge.catalog.copying import copy_in, copy_out, known_revisions
from tidegauge.catalog.tables import Base
from tidegauge.errors import BadInput, Conflict

RELEASED = Path(__file__).parent / "released"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A catalog with two rows in every table."""
    path = tmp_path / "source.sqlite"
    with closing(sqlite3.connect(path)) as database:
        script = RELEASED / f"{known_revisions()[-1]}.sqlite.sql"
        database.executescript(script.read_text())
    return path


def rows(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as database:
        return {
            name: database.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
            for name in Base.metadata.tables
        }


def test_a_catalog_is_the_same_after_postgresql(
    source: Path, tmp_path: Path, postgres: Any
) -> None:
    url, back = postgres.database(), tmp_path / "back.sqlite"
    before = rows(source)
    assert all(len(held) == 2 for held in before.values())
    copy_in(source, url)
    assert copy_out(url, back) == known_revisions()[-1]
    assert rows(back) == before
    with Catalog(url) as catalog:
        project = catalog.projects.ensure("further")
    assert project.id not in {row[0] for row in before["projects"]}


def test_nothing_is_copied_over_what_is_there_or_of_what_is_not(
    source: Path, tmp_path: Path, url: str
) -> None:
    with Catalog(url) as catalog:
        catalog.projects.ensure("mine")
    with pytest.raises(Conflict, match="0 models in 1 projects"):
        copy_in(source, url)
    (tmp_path / "text").write_text("no database at all" * 100)
    with pytest.raises(BadInput, match="is damaged"):
        copy_out(f"sqlite:///{tmp_path / 'text'}", tmp_path / "copy")
    with pytest.raises(BadInput, match="there is no catalog"):
        copy_out(f"sqlite:///{tmp_path / 'nowhere'}", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_catalog_of_before_is_copied_from_sqlite_and_refused_on_postgresql(
    tmp_path: Path, postgres: Any
) -> None:
    import psycopg

    old, url = tmp_path / "old.sqlite", postgres.database()
    with closing(sqlite3.connect(old)) as database:
        database.executescript((RELEASED / "0002.sqlite.sql").read_text())
    assert copy_out(f"sqlite:///{old}", tmp_path / "copy.sqlite") == "0002"
    with pytest.raises(BadInput, match="there is no catalog at"):
        copy_out(url, tmp_path / "nothing.sqlite")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((RELEASED / "0002.postgresql.sql").read_bytes())
    with pytest.raises(Conflict, match="of revision 0002, and this Tidegauge knows them as"):
        copy_out(url, tmp_path / "refused.sqlite")
