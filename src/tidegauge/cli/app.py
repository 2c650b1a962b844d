"""The command itself: its name, its options, and the console that commands print to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tidegauge.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="tidegauge",
    help="Monitoring and observability for machine-learning models in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def console_of(quiet: bool = False, *, stderr: bool = False) -> Console:
    """Return the console that a command prints to."""
    from rich.console import Console

    return Console(quiet=quiet, stderr=stderr, highlight=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tidegauge {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    del version
