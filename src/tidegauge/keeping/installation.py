"""What is kept: the data folders of servers, their lake and their catalog, by where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegauge.errors import BadInput, Conflict

#: In a data folder: what a restore has made so far.
UNFINISHED = ".restore-unfinished"


def refuse_unfinished(data: Path) -> None:
    """Refuse a data folder into which a restore was cut off.

    Raises
    ------
    Conflict
    """
    if (data / UNFINISHED).exists():
        raise Conflict(
            f"a restore into {data} was cut off; delete what is in it, and what it has written to "
            "a lake or catalog elsewhere, then restore again",
            code="unfinished_restore",
        )


@dataclass(frozen=True)
class Installation:
    """Where the parts of one installation are.

    Parameters
    ----------
    folders : tuple of Path
        The data folders of its servers; the first one's name stands for defaults.
    lake : str
        Folder or URL of the lake.
    catalog : str
        SQLAlchemy URL of the catalog.
    lake_options : mapping of str to str
        Of the object store.

    Examples
    --------
    >>> Installation.of([Path("data")]).lake
    'data/lake'
    """

    folders: tuple[Path, ...]
    lake: str
    catalog: str
    lake_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        folders: list[Path],
        lake: str | None = None,
        catalog: str | None = None,
        lake_options: Mapping[str, str] | None = None,
    ) -> Installation:
        """Return the installation; lake and catalog are in its first folder unless told."""
        if not folders:
            raise BadInput("name a data folder")
        first = folders[0]
        return cls(
            tuple(folders),
            lake or str(first / "lake"),
            catalog or f"sqlite:///{(first / 'catalog.sqlite').absolute()}",
            dict(lake_options or {}),
        )

    def journals(self) -> list[Path]:
        """Return the folders of the journals that are there."""
        return [folder / "journal" for folder in self.folders if (folder / "journal").is_dir()]

    def require(self) -> None:
        """Refuse data folders that are not there.

        Raises
        ------
        BadInput
        """
        for folder in self.folders:
            refuse_unfinished(folder)
            if not folder.is_dir():
                raise BadInput(
                    f"there is no data folder {folder}; name the one that the server is started "
                    "with, with --data",
                    code="no_data_folder",
                )
