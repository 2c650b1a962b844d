"""Commands about a model's columns: columns new, accept, history.

``tidegauge schema`` looks at a file; these ask a server what a model's records consist of.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegauge.cli.app import app, console_of

columns_app = typer.Typer(
    help="Columns that records brought and the schema did not know; the schema's history.",
    no_args_is_help=True,
)
app.add_typer(columns_app, name="columns")

Model = Annotated[str, typer.Argument(help="Name of the model.")]
Server = Annotated[str, typer.Option("--server", "--url", help="Address of the server.")]
Project = Annotated[str, typer.Option(help="Project of the model.")]
_SERVER = "http://localhost:8420"


@columns_app.command("new")
def new_columns(model: Model, server: Server = _SERVER, project: Project = "default") -> None:
    """Show columns that records brought and the schema does not know."""
    from tidegauge.remote import RemoteModel
    from tidegauge.report.quarantine import print_new_columns

    with RemoteModel(server, project, model) as remote:
        print_new_columns(model, remote.new_columns(), console_of())


@columns_app.command("accept")
def accept(
    model: Model,
    columns: Annotated[
        list[str], typer.Argument(help="Names, each alone or with its type: gate, price=numeric.")
    ],
    by: Annotated[str, typer.Option(help="Who does it, for the schema's history.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    server: Server = _SERVER,
    project: Project = "default",
) -> None:
    """Take new columns into the schema; what came before is read under their names, too."""
    import getpass

    from tidegauge.remote import RemoteModel

    wanted: dict[str, Any] = {}
    for text in columns:
        name, _, kind = text.rpartition("=") if "=" in text else (text, "", "")
        wanted[name] = kind or None
    with RemoteModel(server, project, model) as remote:
        remote.accept(wanted, by=by or getpass.getuser(), reason=reason)
    console_of().print(
        f"{model}: {', '.join(wanted)} accepted; a new baseline has them judged: "
        f"tidegauge baseline set {model} …",
        soft_wrap=True,
        markup=False,
    )


@columns_app.command("history")
def history(model: Model, server: Server = _SERVER, project: Project = "default") -> None:
    """Show how the schema changed: when, by whom, why, and in what."""
    from tidegauge.remote import RemoteModel
    from tidegauge.report.quarantine import print_history

    with RemoteModel(server, project, model) as remote:
        print_history(remote.schema_history(), console_of())
