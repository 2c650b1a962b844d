"""The command line: reads arguments, calls the parts, says what came out. Holds no logic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegauge.errors import TidegaugeError
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
baseline_app = typer.Typer(help="What a model is compared with.", no_args_is_help=True)
app.add_typer(baseline_app, name="baseline")


def main() -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    try:
        app()
    except TidegaugeError as error:
        print(f"tidegauge: error: {error.message}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


def _console(quiet: bool = False, *, stderr: bool = False) -> Console:
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


@app.command()
def compare(
    reference: Annotated[str, typer.Argument(help="What was: a file, folder or Delta table.")],
    current: Annotated[str, typer.Argument(help="What is now: likewise.")],
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML; else inferred.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report here.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results here; - prints them.")
    ] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Look at each value of this column too; repeatable.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Width of windows of event time: 1d, 6h, 30m.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Show this metric too, such as mmd; repeatable, all for all."),
    ] = None,
    monitors: Annotated[
        Path | None, typer.Option(help="Budget of false alarms and monitors, as YAML.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show the arithmetic of each metric's strongest alarm."
        ),
    ] = False,
) -> None:
    """Compare records with a reference. Exit code 0: no alarm, 1: alarm, 2: bad input."""
    import json

    from tidegauge.comparison import compare as run
    from tidegauge.comparison.report import check_targets
    from tidegauge.engine.startup import only_files
    from tidegauge.report.terminal import print_report, progress

    only_files()
    printed = json_file == Path("-")
    check_targets((html, None if printed else json_file), (reference, current))
    with progress(_console(quiet, stderr=True), quiet) as advance:
        report = run(
            reference,
            current,
            schema,
            tuple(segment or ()),
            window,
            metrics=tuple(metric or ()),
            monitors=monitors,
            progress=advance,
        )
    if html is not None:
        report.save_html(html)
    if printed:
        print(json.dumps(report.to_json(), allow_nan=False))
        raise typer.Exit(1 if report.alarms else 0)
    if json_file is not None:
        report.save_json(json_file)
    console = _console(quiet)
    print_report(report.data, console, verbose=verbose)
    for target in (html, json_file):
        if target is not None:
            console.print(f"written: {target}", soft_wrap=True)
    raise typer.Exit(1 if report.alarms else 0)


@app.command()
def schema(
    source: Annotated[str, typer.Argument(help="A file, folder or Delta table.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here, else print it.")
    ] = None,
) -> None:
    """Infer a schema, to be looked at, edited and handed to the other commands."""
    from tidegauge.comparison.fit import schema_of
    from tidegauge.comparison.report import check_target
    from tidegauge.engine import open_source
    from tidegauge.schema import dump_schema

    if output is not None:
        check_target(output)
    text = dump_schema(schema_of(None, open_source(source)))
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")
        _console().print(f"written: {output}", soft_wrap=True)


@app.command()
def detect(
    source: Annotated[
        str | None, typer.Argument(help="A file, folder or Delta table with the series.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The file's column; with --model the metric's, if any.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="The file's column of times, to order by.")
    ] = None,
    detector: Annotated[str, typer.Option(help="adwin, page_hinkley or ddm.")] = "adwin",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter: delta=0.002; repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Or: a model of a running server,")] = None,
    metric: Annotated[str | None, typer.Option(help="and which of its stored metrics.")] = None,
    version: Annotated[str | None, typer.Option(help="Only of this version of the model.")] = None,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "http://localhost:8420",
    project: Annotated[str, typer.Option(help="Project of the model.")] = "default",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the changes here; - prints them.")
    ] = None,
) -> None:
    """Find where the level of a series of errors or scores changed.

    For looking at a series: how often these detectors are wrong is not known,
    so they are no part of a model's budget of false alarms.
    Exit code 0: no change, 1: changes, 2: bad input.
    """
    import json

    from tidegauge.comparison.report import check_targets
    from tidegauge.engine import open_source
    from tidegauge.engine.series import read_series
    from tidegauge.errors import BadInput
    from tidegauge.monitor.online import detect_changes, read_parameters
    from tidegauge.remote import RemoteModel
    from tidegauge.report.changes import changes_to_json, print_changes

    parameters = read_parameters(settings or ())
    printed = json_file == Path("-")
    check_targets((None if printed else json_file,), (source,) if source else ())
    values: Any
    times: Any
    if source and column and not (model or metric or version):
        values, times = read_series(open_source(source), column, time)
        name, unit = column, None
    elif model and metric and not (source or time):
        with RemoteModel(url, project, model) as remote:
            points = remote.series(metric, column, version)
        values, times = ([point[key] for point in points] for key in ("value", "window_start"))
        name, unit = f"{model} {metric}" + (f" of {column}" if column else ""), points[-1]["unit"]
    else:
        raise BadInput("give either a file and --column, or --model and --metric")
    changes = detect_changes(values, times, detector, **parameters)
    told = json.dumps(changes_to_json(changes, series=name, unit=unit), indent=2)
    if printed:
        print(told)
        raise typer.Exit(1 if changes else 0)
    console = _console()
    print_changes(changes, console, name=name, unit=unit)
    if json_file is not None:
        json_file.write_text(told + "\n", encoding="utf-8")
        console.print(f"written: {json_file}", soft_wrap=True)
    raise typer.Exit(1 if changes else 0)


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

    raise typer.Exit(run_demo(data, port=port, serve=serve, console=_console()))


@app.command()
def apply(
    files: Annotated[
        list[Path], typer.Argument(help="YAML: model, columns, false_alarms, monitors.")
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

    console = _console()
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
            applying.carry_out(changes, remote)
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
    print_backtest(model, tried, _console())


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
    _console().print(
        f"baseline {answer['id']} of {model}: {answer['rows']:,} records in "
        f"{answer['windows']} windows"
    )


if __name__ == "__main__":
    main()
