"""Commands that tell a running server how to watch a model: apply, backtest, baseline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of

baseline_app = typer.Typer(help="What a model is compared with.", no_args_is_help=True)
app.add_typer(baseline_app, name="baseline")


@app.command()
def apply(
    files: Annotated[
        list[Path], typer.Argument(help="YAML: model, columns, false_alarms, monitors, retention.")
    ],
    server: Annotated[
        str, typer.Option("--server", "--url", help="Address of the server.")
    ] = "http://localhost:8420",
    project: Annotated[str, typer.Option(help="Project of the models.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
) -> None:
    """Make models, schemas and monitors on a server what files say; shows the plan first."""
    from tidegauge import apply as applying
    from tidegauge.errors import BadInput
    from tidegauge.remote import RemoteModel

    console = console_of()
    plans = []
    for document in applying.read(files):
        with RemoteModel(server, project, document.model or "") as remote:
            plans.append(applying.plan(document, remote))
    if not any(plans):
        console.print("nothing to do")
        return
    for changes in plans:
        applying.show(changes, console)
    if dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("nothing was changed: nobody is here to be asked; add --yes")
        typer.confirm("Do this?", abort=True)
    for changes in filter(None, plans):
        with RemoteModel(server, project, changes[0].model) as remote:
            for warning in applying.carry_out(changes, remote):
                console.print(f"note: {warning}", soft_wrap=True)
        console.print(f"done: {changes[0].model}", soft_wrap=True)


@app.command()
def backtest(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    monitors: Annotated[
        Path | None, typer.Option(help="Try these too: budget and monitors, as YAML.")
    ] = None,
    server: Annotated[
        str, typer.Option("--server", "--url", help="Address of the server.")
    ] = "http://localhost:8420",
    project: Annotated[str, typer.Option(help="Project of the model.")] = "default",
    days: Annotated[
        int, typer.Option(min=1, max=3660, help="How far back from the newest closed window.")
    ] = 90,
) -> None:
    """Show what would have fired over a model's stored windows; changes nothing."""
    from tidegauge.monitor.document import load_policies, policies_to_json
    from tidegauge.remote import RemoteModel
    from tidegauge.report.backtest import print_backtest
    from tidegauge.schema import schema_from_json

    with RemoteModel(server, project, model) as remote:
        tried = [("as it is", remote.backtest(None, days))]
        if monitors is not None:
            schema = schema_from_json(remote.find("schema") or {})
            policies = policies_to_json(load_policies(monitors, schema))
            tried.append((monitors.name, remote.backtest(policies, days)))
    print_backtest(model, tried, console_of())


@baseline_app.command("set")
def baseline_set(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    source: Annotated[
        str | None, typer.Argument(help="A file, folder or Delta table with the records.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Or: stored records from here,")] = None,
    end: Annotated[str | None, typer.Option(help="to here (ISO 8601 with a zone).")] = None,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://localhost:8420",
    project: Annotated[str, typer.Option(help="Project of the model.")] = "default",
) -> None:
    """Set what a model is compared with, from a file or from its own stored records."""
    from tidegauge.engine import open_source
    from tidegauge.errors import BadInput
    from tidegauge.remote import RemoteModel

    with RemoteModel(url, project, model) as remote:
        if source is not None and start is None and end is None:
            answer = remote.upload_baseline(open_source(source))
        elif source is None and start is not None and end is not None:
            answer = remote.set_baseline(start, end)
        else:
            raise BadInput("give either a file, or both --start and --end")
    console_of().print(
        f"baseline {answer['id']} of {model}: {answer['rows']:,} records in "
        f"{answer['windows']} windows"
    )
