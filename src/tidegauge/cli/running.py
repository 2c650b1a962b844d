"""Commands that run a server: serve, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegauge.cli.app import app, console_of


@app.command()
def serve(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder for journal, lake and catalog.  \\[default: tidegauge-data]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 for any free one.  \\[default: 8420]")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.  \\[default: 127.0.0.1]")
    ] = None,
) -> None:
    """Run the server: API, pages, scheduler. Stops cleanly on Ctrl-C.

    Every setting is also an environment variable, such as TIDEGAUGE_WINDOW=6h.
    """
    from tidegauge.engine.startup import without_pandas

    without_pandas()

    from tidegauge.server.serve import serve as run
    from tidegauge.server.settings import Settings

    given: dict[str, Any] = {"data": data, "port": port, "host": host}
    run(Settings.load(**{name: value for name, value in given.items() if value is not None}))


@app.command()
def demo(
    data: Annotated[
        Path, typer.Option(help="Folder for the demo's data and report; made anew.")
    ] = Path("tidegauge-demo"),
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.")] = 8420,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Keep the pages up until Ctrl-C.")
    ] = True,
) -> None:
    """Watch a real model through nine months of real flights, in about two minutes."""
    from tidegauge.demo.run import run_demo

    raise typer.Exit(run_demo(data, port=port, serve=serve, console=console_of()))
