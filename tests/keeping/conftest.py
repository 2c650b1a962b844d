"""Folders as servers leave them: one small and watched, with windows, incidents and a journal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
sys.path.insert(0, str(Path(__file__).parent))

from kept_folders import named
from watched_model import make

from tidegauge.lake.entries import Entry, JournalRequest
from tidegauge.lake.journal import Journal


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a server left it; not to be changed."""
    return make(tmp_path_factory.mktemp("watched") / "data")


@pytest.fixture
def data(watched: Path, tmp_path: Path) -> Path:
    """A data folder of the test's own."""
    return Path(shutil.copytree(watched, tmp_path / "data"))


@pytest.fixture
def journalled(data: Path) -> Callable[..., None]:
    """Puts requests into the journal of the data folder, which no flusher sees."""

    def put(count: int = 3, rows: int = 20, model: str = "churn") -> None:
        with Journal(data / "journal") as journal:
            for at in range(count):
                entry = Entry("default", model, "records", named(rows, at))
                journal.append(
                    JournalRequest("default", model, (entry,), {f"key-{at}": b"{}"})
                ).result()

    return put
