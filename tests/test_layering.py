"""The layers are code: a part may import what stands below it in this list, never above."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ORDER = [
    "cli",
    "demo",
    "apply",
    "remote",
    "server",
    "versions",
    "comparison",
    "report",
    "alert",
    "monitor",
    "explain",
    "keeping",
    "ingest",
    "catalog",
    "engine",
    "lake",
    "estimation",
    "metrics",
    "profile",
    "schema",
    "errors",
    "version",
]
#: The package's own front door hands on public names, lazily.
FRONT = "__init__"
ROOT = Path(__file__).parents[1] / "src" / "tidegauge"
FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("tidegauge.")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_only_downwards(path: Path) -> None:
    part = part_of(path)
    if part == FRONT:
        return
    assert part in ORDER, f"{part} has no place in the order of layers"
    above = {name for name in imports(path) & set(ORDER) if ORDER.index(name) < ORDER.index(part)}
    assert not above, f"{path.relative_to(ROOT)} imports upwards: {sorted(above)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_relative_imports_and_at_most_two_levels(path: Path) -> None:
    tree = ast.parse(path.read_text())
    relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert not relative
    # Alembic wants its revisions in a folder of their own.
    deepest = 4 if "migrations" in path.parts else 3
    assert len(path.relative_to(ROOT).parts) <= deepest


def test_metrics_and_profiles_do_no_input_or_output() -> None:
    for path in FILES:
        if part_of(path) in ("metrics", "profile"):
            names = {
                node.func.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert "open" not in names, f"{path} opens a file"
