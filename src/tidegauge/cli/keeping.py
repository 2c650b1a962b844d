"""Commands that keep what a server holds: backup, backups, restore, doctor."""

from __future__ import annotations

import sys
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
        console.print("not in it, since it cannot be read where it belongs (see tidegauge doctor):")
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
    erasures: Annotated[
        str | None,
        typer.Option(help="The catalog of today, file or URL: it knows what was erased since."),
    ] = None,
    erase: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=FILE",
            help="Ids (one a line) whose records are erased again; repeatable.",
        ),
    ] = None,
) -> None:
    """Put a back-up back where nothing is yet; then start the server on it.

    Lake and catalog may be of another kind than those backed up: SQLite or PostgreSQL, a folder or
    an object store. Exit code 0: restored; 1: restored, with records that had been erased;
    2: nothing was restored.
    """
    from tidegauge.keeping.erased import read_ids
    from tidegauge.keeping.restore import restore as run
    from tidegauge.report.format import size

    installation = _installation(None if data is None else [data], lake, database_url)
    console = console_of()
    with _steps(console) as step:
        done = run(
            source, installation, erasures=erasures, erase=read_ids(erase or ()), on_step=step
        )
    manifest = done.backup.manifest
    console.print(
        f"restored {done.backup.name} to {installation.folders[0]}: {done.files:,} files, "
        f"{size(done.bytes)}, as of {manifest.began_at[:19].replace('T', ' ')} UTC",
        soft_wrap=True,
    )
    for line in manifest.missing:
        console.print(f"it was backed up without {line}", soft_wrap=True, markup=False)
    if not manifest.has_lake:
        return
    if done.erased.asked:
        console.print(f"the server will first erase again: {done.erased.asked} requests")
    if done.erased.left:
        count = len(done.erased.left)
        console.print(f"{count} erasures came later: THEIR RECORDS ARE BACK.", style="bold red")
        for one in done.erased.left:
            console.print(f"  {one}", soft_wrap=True, markup=False)
        console.print("Ask for them again before anybody reads the records (tidegauge erase).")
        raise typer.Exit(1)
    if not done.erased.known:
        console.print(
            "What was erased after this back-up is back, and nothing here tells what that is: "
            "ask for it again (tidegauge erase).",
            style="yellow",
        )


@app.command()
def doctor(
    data: _Data = None,
    lake: _Lake = None,
    database_url: _Database = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what is safe to mend, after showing it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Mend without asking.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what reads the lake's files.")
    ] = False,
    all_findings: Annotated[
        bool, typer.Option("--all", help="Show each finding, however many are of a kind.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here; - prints them.")
    ] = None,
) -> None:
    """Look whether journal, lake and catalog are whole and agree; changes nothing by itself.

    Servers may run meanwhile. Exit code 0: nothing found, 1: findings, 2: bad input.
    """
    import json

    from tidegauge.errors import BadInput
    from tidegauge.keeping.doctor import examine
    from tidegauge.report.findings import print_examination
    from tidegauge.server.settings import Settings

    installation = _installation(data, lake, database_url)
    console = console_of()
    with _steps(console_of(stderr=True)) as step:
        found = examine(installation, quick=quick, min_free=Settings.load().min_free, on_step=step)
    mendable = [one for one in found.sorted() if one.mend is not None]
    told = found.to_json()
    printed = json_file == Path("-")
    if not printed:
        print_examination(found, console, every=all_findings)
    mended: list[str] = []
    if mend and mendable:
        if not yes:
            if printed or not sys.stdin.isatty():
                raise BadInput("nothing was mended: nobody is here to be asked; add --yes")
            typer.confirm(f"Mend the {len(mendable)} marked findings?", abort=True)
        for one in mendable:
            assert one.mend is not None
            mended.append(one.mend())
            if not printed:
                console.print(f"mended: {mended[-1]}", soft_wrap=True, markup=False)
    if json_file is not None:
        text = json.dumps({**told, "mended": mended}, indent=2)
        if printed:
            print(text)
        else:
            json_file.write_text(text + "\n", encoding="utf-8")
            console.print(f"written: {json_file}", soft_wrap=True)
    raise typer.Exit(1 if found.findings else 0)


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
