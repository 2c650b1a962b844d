"""The report that ``compare`` returns: shows itself, and saves itself whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidegauge.errors import BadInput, MissingExtra
from tidegauge.metrics.result import plain
from tidegauge.report.data import ReportData
from tidegauge.version import __version__

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Report:
    """A judged comparison; shows itself in a notebook.

    Examples
    --------
    >>> from tidegauge.comparison import compare
    >>> reference = pa.table({"x": [float(i % 10) for i in range(500)]})
    >>> report = compare(reference, reference)
    >>> report.alarms
    0
    """

    data: ReportData

    @property
    def alarms(self) -> int:
        """Number of alarms."""
        return self.data.alarms

    @property
    def verdict(self) -> str:
        """One sentence that says whether anything is wrong."""
        return self.data.verdict

    @property
    def results(self) -> pa.Table:
        """Every result as an Arrow table."""
        return self.data.results

    def to_frame(self) -> pandas.DataFrame:
        """Return every result as a tidy pandas frame, one row a result."""
        try:
            frame: pandas.DataFrame = self.data.results.to_pandas()
        except ImportError as error:
            raise MissingExtra(
                "pandas is not installed: pip install pandas, or use report.results (Arrow)"
            ) from error
        return frame

    def to_json(self) -> dict[str, Any]:
        """Return ``{"tidegauge": version, "alarms": N, "results": [...]}``."""
        return {
            "tidegauge": __version__,
            "alarms": self.alarms,
            "results": [row_to_json(row) for row in self.data.results.to_pylist()],
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as ``.html`` or ``.json``; whole, or not at all.

        Raises
        ------
        BadInput
            On any other ending, or a folder that is not there.
        """
        target = Path(path)
        kind = target.suffix.lower()
        if kind in (".html", ".htm"):
            return self.save_html(target)
        if kind == ".json":
            return self.save_json(target)
        raise BadInput(
            f"{target}: a report is saved as .html or .json, not "
            f"{kind or 'without an ending'}; give one of these endings",
            code="unknown_format",
        )

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file that works offline."""
        from tidegauge.report.html import render_report

        return _write(Path(path), render_report(self.data))

    def save_json(self, path: str | os.PathLike[str]) -> Path:
        """Write the results as JSON."""
        return _write(Path(path), json.dumps(self.to_json(), allow_nan=False))

    def _repr_html_(self) -> str:
        from tidegauge.report.notebook import notebook_html

        return notebook_html(self.data)

    def __repr__(self) -> str:
        return f"<tidegauge report: {self.verdict}>"


def check_targets(targets: Sequence[Path | None], sources: Sequence[str]) -> None:
    """Refuse files to write before any work is done.

    Raises
    ------
    BadInput
        If one's folder is not there, if two are the same, or if one is a source.
    """
    taken = {Path(source).resolve() for source in sources}
    for target in targets:
        if target is None:
            continue
        check_target(target)
        if target.resolve() in taken:
            raise BadInput(f"{target} is named twice; write to a file of its own", code="same_file")
        taken.add(target.resolve())


def check_target(path: Path) -> None:
    """Refuse a file to write whose folder is not there.

    Raises
    ------
    BadInput
        With the folder.
    """
    if not path.parent.is_dir():
        raise BadInput(
            f"{path}: the folder {path.parent} does not exist; create it first", code="no_folder"
        )
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file in it", code="no_file")


def _write(path: Path, text: str) -> Path:
    check_target(path)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path


def row_to_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return one row of a results table in the form of a result.

    Examples
    --------
    >>> row_to_json({"metric": "psi", "segment": '{"carrier": "UA"}'})["segment"]
    {'carrier': 'UA'}
    """
    out = {name: plain(value) for name, value in row.items()}
    if out.get("segment") is not None:
        out["segment"] = json.loads(out["segment"])
    return out
