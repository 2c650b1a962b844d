"""What the documents say holds: pages from the registry, links, layers, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import settings_page
from scripts.metrics_page import page

from tidegauge.server.settings import Settings, variable

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_metrics_is_what_the_registry_says() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page(), "run: make docs"


def test_the_page_of_settings_is_what_the_class_says() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == settings_page.page(), "run: make docs"
    for name in Settings.model_fields:
        assert f"`{variable(name)}`" in written


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", path.read_text()):
        name = target[0] or target[1]
        if "://" not in name:
            assert (path.parent / name).exists(), f"{path.name} links to {name}"


def test_the_map_names_every_part() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for part in (ROOT / "src" / "tidegauge").iterdir():
        if part.is_dir() and (part / "__init__.py").exists():
            assert f"`{part.name}/`" in text, f"docs/architecture.md does not name {part.name}/"


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    for path in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", path.read_text(), re.M))
        assert named <= targets, f"{path.name}: {named - targets}"
