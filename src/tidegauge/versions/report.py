"""What a comparison of versions found: shows itself, and saves itself whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegauge.comparison.report import check_target
from tidegauge.errors import BadInput, MissingExtra
from tidegauge.metrics.result import plain
from tidegauge.version import __version__
from tidegauge.versions.contrast import Contrast, Standing
from tidegauge.versions.decision import Decision, Verdict
from tidegauge.versions.rule import Rule

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Version:
    """One of the two versions.

    Parameters
    ----------
    name : str
    records, labelled : int
    compared : int
        Records that are held against the other version's.
    effective : float or None
        What those are worth in records of equal weight, where the traffic was adjusted for.
    """

    name: str
    records: int
    labelled: int
    compared: int
    effective: float | None = None


@dataclass(frozen=True)
class Traffic:
    """How the two versions' traffic was made comparable.

    Parameters
    ----------
    kind : str
        ``paired``, ``unpaired`` or ``none``.
    pairs : int
        Records that both scored.
    adjusted : bool
    overlap : float or None
        Share of the traffic that is common.
    apart : str or None
        The input that the two differ in most.
    before, after : float or None
        By how many standard deviations it does; how far the worst input is left apart.
    sentence : str
    """

    kind: str
    pairs: int
    adjusted: bool
    overlap: float | None
    apart: str | None
    before: float | None
    after: float | None
    sentence: str


@dataclass(frozen=True, eq=False)
class VersionReport:
    """Champion against challenger; shows itself in a notebook.

    Parameters
    ----------
    champion, challenger : Version
    traffic : Traffic
    rule : Rule
    verdict : Verdict
    contrasts : tuple of Contrast
        What the verdict rests on first.
    notes : tuple of str
    method : tuple of str
        How far the verdict holds, a sentence each.
    """

    champion: Version
    challenger: Version
    traffic: Traffic
    rule: Rule
    verdict: Verdict
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...]
    method: tuple[str, ...]

    @property
    def decision(self) -> str:
        """``ship``, ``do_not_ship`` or ``not_enough_data``."""
        return self.verdict.decision.value

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        return self.verdict.sentence

    @property
    def needed(self) -> int | None:
        """Records more until it can be told; 0 once it is, None where that is not known."""
        return self.verdict.needed

    @property
    def gates(self) -> tuple[Contrast, ...]:
        """What the verdict rests on."""
        return tuple(one for one in self.contrasts if one.gate)

    @property
    def state(self) -> str:
        """The state that views show: ``ok``, ``alarm`` or ``too_few``."""
        states = {Decision.SHIP: "ok", Decision.DO_NOT_SHIP: "alarm"}
        return states.get(self.verdict.decision, "too_few")

    def __getitem__(self, metric: str) -> Contrast:
        """Return the contrast of a metric, or of a column where only one metric is of it.

        Raises
        ------
        KeyError
        """
        for one in self.contrasts:
            if metric in (one.metric, one.column, f"{one.metric}:{one.column}"):
                return one
        raise KeyError(metric)

    def to_frame(self) -> pandas.DataFrame:
        """Return every contrast as a tidy pandas frame, one row each."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra(
                "pandas is not installed: pip install pandas, or use report.to_json()"
            ) from error
        return pandas.DataFrame([_row(one) for one in self.contrasts])

    def to_json(self) -> dict[str, Any]:
        """Return the verdict, both versions, and every contrast, as JSON holds them."""
        verdict = self.verdict
        return {
            "tidegauge": __version__,
            "decision": verdict.decision.value,
            "sentence": verdict.sentence,
            "needed": verdict.needed,
            "total": verdict.total,
            "needed_as_observed": verdict.as_observed,
            "gates": list(verdict.gates),
            "missing": list(verdict.missing),
            "level": self.rule.level,
            "power": self.rule.power,
            "anytime": self.rule.planned,
            "champion": _plain(asdict(self.champion)),
            "challenger": _plain(asdict(self.challenger)),
            "traffic": _plain(asdict(self.traffic)),
            "comparisons": [_row(one) for one in self.contrasts],
            "notes": list(self.notes),
            "method": list(self.method),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as ``.html`` or ``.json``; whole, or not at all.

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
            f"{target}: a comparison of versions is saved as .html or .json, not "
            f"{kind or 'without an ending'}; give one of these endings",
            code="unknown_format",
        )

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one HTML file that works offline."""
        from tidegauge.versions.view import page

        return _write(Path(path), page(self))

    def save_json(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON."""
        return _write(Path(path), json.dumps(self.to_json(), allow_nan=False))

    def _repr_html_(self) -> str:
        from tidegauge.versions.view import notebook

        return notebook(self)

    def __repr__(self) -> str:
        return f"<tidegauge versions: {self.sentence}>"


def by_standing(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Return contrasts with the gates first, what failed before what passed."""
    order = {Standing.BEYOND: 0, Standing.UNKNOWN: 1, Standing.OPEN: 2, Standing.WITHIN: 3}
    return sorted(contrasts, key=lambda one: (not one.gate, one.gate and order[one.standing]))


def _row(one: Contrast) -> dict[str, Any]:
    told = _plain(asdict(one))
    told["standing"] = one.standing.value
    return told


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in values.items()}


def _write(path: Path, text: str) -> Path:
    check_target(path)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path
