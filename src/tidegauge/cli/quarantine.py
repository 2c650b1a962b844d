"""Commands about what did not fit a model's schema: quarantine list, show, replay."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of

quarantine_app = typer.Typer(
    help="Records and labels that did not fit, and checking them again.", no_args_is_help=True
)
app.add_typer(quarantine_app, name="quarantine")

Model = Annotated[str, typer.Argument(help="Name of the model.")]
Server = Annotated[str, typer.Option("--server", "--url", help="Address of the server.")]
Project = Annotated[str, typer.Option(help="Project of the model.")]
Code = Annotated[str | None, typer.Option(help="Only those for this reason, as list names it.")]
Wrong = Annotated[str | None, typer.Option("--column", help="Only those with this column wrong.")]
Resource = Annotated[str | None, typer.Option(help="Only those sent as predictions, or labels.")]
_SERVER = "http://localhost:8420"


@quarantine_app.command("list")
def list_groups(model: Model, server: Server = _SERVER, project: Project = "default") -> None:
    """Show what is in quarantine, by reason and column; the largest group first."""
    from tidegauge.remote import RemoteModel
    from tidegauge.report.quarantine import print_groups

    with RemoteModel(server, project, model) as remote:
        print_groups(model, remote.quarantine(), console_of())


@quarantine_app.command("show")
def show_rows(
    model: Model,
    code: Code = None,
    column: Wrong = None,
    resource: Resource = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 10,
    server: Server = _SERVER,
    project: Project = "default",
) -> None:
    """Show quarantined rows as they were sent, the newest first, each with what is wrong."""
    from tidegauge.remote import RemoteModel
    from tidegauge.report.quarantine import print_rows

    with RemoteModel(server, project, model) as remote:
        found = remote.quarantined(limit, code=code, column=column, resource=resource)
    print_rows(found, console_of())


@quarantine_app.command("replay")
def replay(
    model: Model,
    code: Code = None,
    column: Wrong = None,
    resource: Resource = None,
    server: Server = _SERVER,
    project: Project = "default",
) -> None:
    """Check them against today's schema, and store those that fit, each once."""
    from tidegauge.remote import RemoteModel
    from tidegauge.report.quarantine import print_replayed

    with RemoteModel(server, project, model) as remote:
        done = remote.replay(code=code, column=column, resource=resource)
    print_replayed(model, done, console_of())
