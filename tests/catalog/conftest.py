"""A catalog on SQLite, and one on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegauge.catalog import Catalog


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new catalog may be."""
    if request.param == "sqlite":
        return str(tmp_path / "catalog.db")
    made: str = request.getfixturevalue("postgres").database()
    return made


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog(url) as opened:
        opened.projects.ensure("default")
        yield opened
