"""From what a person names, a path or a frame, to a source."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegauge.engine.source import Source
from tidegauge.errors import UnreadableSource


def _parquet(path: Path, name: str) -> Source:
    from tidegauge.engine.parquet import ParquetSource

    return ParquetSource([path], name)


def _csv(path: Path, name: str) -> Source:
    from tidegauge.engine.text import CsvSource

    return CsvSource(path, name)


def _arrow(path: Path, name: str) -> Source:
    from tidegauge.engine.arrow_file import ArrowSource

    return ArrowSource(path, name)


#: A new kind of file is one new module and its endings here.
FILES: dict[str, Callable[[Path, str], Source]] = {
    ".parquet": _parquet,
    ".pq": _parquet,
    ".csv": _csv,
    ".tsv": _csv,
    ".csv.gz": _csv,
    ".csv.zst": _csv,
    ".arrow": _arrow,
    ".arrows": _arrow,
    ".ipc": _arrow,
    ".feather": _arrow,
}


def open_source(what: Any, name: str | None = None) -> Source:
    """Open a path (file, folder of Parquet files, Delta table, glob) or a frame.

    Parameters
    ----------
    what : str, path or frame
    name : str, optional
        What messages call it; the path by default.

    Raises
    ------
    UnreadableSource
        If there is nothing, or nothing that can be read.
    """
    if not isinstance(what, str | os.PathLike):
        from tidegauge.engine.frame import FrameSource

        return FrameSource(what, name or "frame")
    path = Path(what)
    label = name or str(what)
    if path.is_dir():
        return _open_folder(path, label)
    if not path.exists():
        found = sorted(Path(p) for p in glob.glob(str(what)))  # noqa: PTH207 - absolute patterns
        if not found:
            raise UnreadableSource(f"{what}: no such file or folder", code="no_such_file")
        return _open_parquet(found, label)
    kind = next((ending for ending in sorted(FILES, key=len)[::-1] if _ends(path, ending)), None)
    if kind is not None:
        return FILES[kind](path, label)
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PAR1"):
        return _parquet(path, label)
    if start == b"ARROW1":
        return _arrow(path, label)
    raise UnreadableSource(
        f"{what}: unknown kind of file; give one that ends with {', '.join(sorted(FILES))}, or a "
        "Delta table",
        code="unknown_format",
    )


def _ends(path: Path, ending: str) -> bool:
    return path.name.lower().endswith(ending)


def _open_folder(path: Path, name: str) -> Source:
    if (path / "_delta_log").is_dir():
        from tidegauge.engine.delta import DeltaSource

        return DeltaSource(path, name)
    found = sorted(p for p in path.rglob("*.parquet") if not p.name.startswith(("_", ".")))
    if not found:
        raise UnreadableSource(
            f"{path} is neither a Delta table (it has no _delta_log) nor a folder with .parquet "
            "files",
            code="unknown_format",
        )
    return _open_parquet(found, name)


def _open_parquet(paths: list[Path], name: str) -> Source:
    from tidegauge.engine.parquet import ParquetSource

    return ParquetSource(paths, name)
