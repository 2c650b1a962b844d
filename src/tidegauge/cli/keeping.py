"""Commands that keep what a server holds: backup, backups, restore, doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegauge.cli.app import app, console_of

if TYPE_CHECKING:
    from rich.console import Console

    from tidegauge.keeping.installation import Installation

_Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Data folder; repeat it for several servers on this machine.  "
        "\\[default: tidegauge-data]",
    ),
]
_Lake = Annotated[
    str | None, typer.Option("--lake", help="Folder or URL of the lake.  \\[default: lake in data]")
]
_Database = Annotated[
    str | None,
    typer.Option(
        "--database-url", help="Catalog as an SQLAlchemy URL.  \\[default: catalog.sqlite in data]"
    ),
]


@app.command()
def backup(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder for back-ups; best on another disk.")
    ],
    data: _Data = None,
    lake: _Lake = None,
    database_url: _Database = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Keep so many back-ups, remove older ones.")
    ] = None,
    journal_only: Annotated[
        bool,
        typer.Option(
            "--journal-only",
            help="Only the journal: of each further server, whose lake and "
            "catalog another back-up has.",
        ),
    ] = False,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy the lake's files even where a hard link would do."),
    ] = False,
) -> None:
    """Back up journal, lake and catalog of a server, while it runs or after it stopped.

    Everything that was acknowledged before this began is in it. What an earlier back-up in DEST
    has already is not copied again. Exit code 0: whole; 1: whole but for files that the lake
    itself does not have; 2: nothing was backed up.
    """
    from tidegauge.keeping.backup import take_backup
    from tidegauge.report.format import size

    installation = _installation(data, lake, database_url)
    console = console_of()
    with _steps(console) as step:
        taken = take_backup(
            installation,
            destination,
            keep=keep,
            journal_only=journal_only,
            link=not copy,
            on_step=step,
        )
    manifest = taken.backup.manifest
    console.print(
        f"backed up to {taken.backup.folder}: {len(manifest.files):,} files, "
        f"{size(manifest.size)}, of which {taken.copied:,} of the lake "
        f"({size(taken.copied_bytes)}) are new",
        soft_wrap=True,
    )
    for name in taken.removed:
        console.print(f"removed: {name}", soft_wrap=True)
    if manifest.missing:
        console.print("not in it, since the lake does not have it (see tidegauge doctor):")
        for line in manifest.missing:
            console.print(f"  {line}", soft_wrap=True, markup=False)
        raise typer.Exit(1)


@app.command()
def backups(
    source: Annotated[Path, typer.Argument(metavar="DEST", help="Folder with back-ups.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files and hold them to their checksums.")
    ] = False,
) -> None:
    """List back-ups, and tell whether they are whole.

    Exit code 0: all are, 1: one is damaged, 2: no back-ups here.
    """
    from rich.table import Table

    from tidegauge.keeping.shelf import PART, Shelf, damaged_files
    from tidegauge.report.format import size

    shelf = Shelf(source)
    shelf.require()
    console = console_of()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("began", "name", "files", "size", "holds", "state"):
        table.add_column(title, justify="right" if title in ("files", "size") else "left")
    found: list[tuple[str, str, str]] = []
    for one in shelf.backups():
        manifest = one.manifest
        state = "finished"
        if verify:
            with console.status(f"reading {one.name}"):
                damaged = damaged_files(one)
            found += [(one.name, path, how) for path, how in damaged]
            state = f"{len(damaged)} files damaged" if damaged else "whole"
        table.add_row(
            manifest.began_at[:16].replace("T", " "),
            one.name,
            f"{len(manifest.files):,}",
            size(manifest.size),
            "all" if manifest.has_lake else "journal",
            state,
        )
    for part in shelf.unfinished():
        table.add_row("", part.name.removesuffix(PART), "", "", "", "not finished")
    console.print(table)
    for name, path, how in found:
        console.print(f"{name}: {path} {how}", soft_wrap=True, markup=False)
    raise typer.Exit(1 if found else 0)


@app.command()
def restore(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A back-up, or the folder with them: then the newest."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data folder, empty or new.  \\[default: tidegauge-data]")
    ] = None,
    lake: _Lake = None,
    database_url: _Database = None,
) -> None:
    """Put a back-up back where nothing is yet; then start the server on it.

    Lake and catalog may be of another kind than those backed up: SQLite or PostgreSQL, a folder or
    an object store.
    """
    from tidegauge.keeping.restore import restore as run
    from tidegauge.report.format import size

    installation = _installation(None if data is None else [data], lake, database_url)
    console = console_of()
    with _steps(console) as step:
        done = run(source, installation, on_step=step)
    manifest = done.backup.manifest
    console.print(
        f"restored {done.backup.name} to {installation.folders[0]}: {done.files:,} files, "
        f"{size(done.bytes)}, as of {manifest.began_at[:19].replace('T', ' ')} UTC",
        soft_wrap=True,
    )
    for line in manifest.missing:
        console.print(f"it was backed up without {line}", soft_wrap=True, markup=False)


@contextmanager
def _steps(console: Console) -> Iterator[Callable[[str], None]]:
    """Show what is being done, where somebody looks."""
    with console.status("") as status:
        yield lambda step: status.update(step)


def _installation(
    data: list[Path] | None, lake: str | None, database_url: str | None
) -> Installation:
    """Return what settings and arguments name, as ``serve`` reads them."""
    from tidegauge.keeping.installation import Installation
    from tidegauge.server.settings import Settings

    first = data[0] if data else None
    settings = Settings.load(data=first, lake=lake, database_url=database_url)
    return Installation(
        tuple(data or [settings.data]),
        settings.lake_root,
        settings.catalog_url,
        settings.lake_options,
    )
