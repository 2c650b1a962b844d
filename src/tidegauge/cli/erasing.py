"""Commands that erase single records: erase, erasures."""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegauge.cli.app import app, console_of

if TYPE_CHECKING:
    from rich.console import Console

_Model = Annotated[str, typer.Argument(help="Name of the model.")]
_Url = Annotated[str, typer.Option("--url", "--server", help="Address of the server.")]
_Project = Annotated[str, typer.Option(help="Project of the model.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what became of it as JSON.")]
_LOCAL = "http://localhost:8420"


@app.command()
def erase(
    model: _Model,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="A prediction id; repeatable.")
    ] = None,
    ids_file: Annotated[
        Path | None, typer.Option(help="A file with one prediction id a line.")
    ] = None,
    url: _Url = _LOCAL,
    project: _Project = "default",
    by: Annotated[
        str | None, typer.Option(help="Who wants it, for the receipt.  \\[default: your login]")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until nothing of them is left.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    as_json: _Json = False,
) -> None:
    """Erase one person's records by their ids: from journal, lake, labels, quarantine and samples.

    It cannot be taken back. Old files wait for queries that may read them, so it takes minutes.
    Exit code 0: done (or asked for, with --no-wait), 1: a server has not done its part, 2: bad
    input.
    """
    import sys

    from tidegauge.errors import BadInput
    from tidegauge.remote import RemoteModel
    from tidegauge.report.erasures import print_erasure, read_ids

    wanted = read_ids(ids or (), ids_file)
    console = console_of(stderr=as_json)
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("nothing was erased: nobody is here to be asked; add --yes")
        typer.confirm(f"Erase the records of {len(wanted)} ids from {model} for good?", abort=True)
    with RemoteModel(url, project, model) as remote:
        told = [remote.erase(part, by=by or _login()) for part in _parts(wanted)]
        if wait:
            told = [_waited(remote, one, console) for one in told]
    if as_json:
        print(json.dumps(told if len(told) > 1 else told[0], indent=2))
    else:
        for one in told:
            print_erasure(one, console)
    raise typer.Exit(1 if wait and any(one["state"] != "done" for one in told) else 0)


@app.command()
def erasures(
    model: _Model,
    erasure: Annotated[str | None, typer.Argument(help="Show this one's receipt.")] = None,
    gone: Annotated[
        str | None,
        typer.Option(help="Go on without this server: its data folder is gone for good."),
    ] = None,
    url: _Url = _LOCAL,
    project: _Project = "default",
    as_json: _Json = False,
) -> None:
    """List a model's erasures, or show the receipt of one."""
    from tidegauge.errors import BadInput
    from tidegauge.remote import RemoteModel
    from tidegauge.report.erasures import print_erasure, print_erasures

    if gone is not None and erasure is None:
        raise BadInput("name the erasure that is to go on without a server")
    with RemoteModel(url, project, model) as remote:
        told: Any
        if erasure is None:
            told = remote.erasures()
        elif gone is None:
            told = remote.erasure(erasure)
        else:
            told = remote.without_server(erasure, gone)
    if as_json:
        print(json.dumps(told, indent=2))
    elif erasure is None:
        print_erasures(told, console_of())
    else:
        print_erasure(told, console_of())


def _parts(ids: list[str], most: int = 10_000) -> list[list[str]]:
    return [ids[first : first + most] for first in range(0, len(ids), most)]


def _waited(remote: Any, told: dict[str, Any], console: Console) -> dict[str, Any]:
    """Return an erasure once it is done, or waits for a server that does not answer."""
    from tidegauge.report.erasures import STATES

    with console.status(STATES["open"]) as status:
        while told["state"] not in ("done", "waiting"):
            status.update(STATES[told["state"]])
            time.sleep(0.5)
            told = remote.erasure(told["id"])
    return told


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
