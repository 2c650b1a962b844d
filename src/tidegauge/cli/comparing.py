"""Commands that look at files: compare, schema, detect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegauge.cli.app import app, console_of


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
        list[str] | None,
        typer.Option(
            help="Look at each value of this column too; a combination is carrier+origin, numbers "
            "in bins age:18,30,50; repeatable."
        ),
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
    with progress(console_of(quiet, stderr=True), quiet) as advance:
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
    console = console_of(quiet)
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
        console_of().print(f"written: {output}", soft_wrap=True)


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
    console = console_of()
    print_changes(changes, console, name=name, unit=unit)
    if json_file is not None:
        json_file.write_text(told + "\n", encoding="utf-8")
        console.print(f"written: {json_file}", soft_wrap=True)
    raise typer.Exit(1 if changes else 0)
