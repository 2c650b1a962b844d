"""What the doctor says: findings, each with where, how bad, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How bad a finding is."""

    #: Worth knowing; goes by itself.
    NOTE = 0
    #: Something is not as it should be; nothing acknowledged is lost or wrong by it.
    WARNING = 1
    #: Records are lost, doubled or cannot be read, or the server cannot work.
    ERROR = 2

    @property
    def word(self) -> str:
        """Its name for people."""
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Parameters
    ----------
    code : str
        Its kind; stable, for machines.
    severity : Severity
    where : str
        The table, file or model.
    what : str
        What is wrong, with figures.
    remedy : str
        What is to be done, or what will happen by itself.
    mend : callable, optional
        Does what ``remedy`` says, where that is safe, and says what it did.

    Examples
    --------
    >>> finding = Finding("file_missing", Severity.ERROR, "default/demo/records", "…", "…")
    >>> finding.to_json()["severity"], finding.to_json()["mendable"]
    ('error', False)
    """

    code: str
    severity: Severity
    where: str
    what: str
    remedy: str
    mend: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "code": self.code,
            "severity": self.severity.word,
            "where": self.where,
            "what": self.what,
            "remedy": self.remedy,
            "mendable": self.mend is not None,
        }


@dataclass
class Examination:
    """What was looked at, and what was found.

    Parameters
    ----------
    findings : list of Finding
    facts : list of str
        What was looked at, with figures.
    unchecked : list of str
        What could not be looked at, and why.
    """

    findings: list[Finding] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def add(
        self,
        code: str,
        severity: Severity,
        where: str,
        what: str,
        remedy: str,
        mend: Callable[[], str] | None = None,
    ) -> None:
        """Note a finding."""
        self.findings.append(Finding(code, severity, where, what, remedy, mend))

    def sorted(self) -> list[Finding]:
        """Return the findings, the worst first, those of a kind together."""
        return sorted(self.findings, key=lambda one: (-one.severity, one.code, one.where))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "findings": [one.to_json() for one in self.sorted()],
            "looked_at": self.facts,
            "not_looked_at": self.unchecked,
        }
