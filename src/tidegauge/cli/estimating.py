"""The command that estimates performance before the labels: estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of


@app.command()
def estimate(
    reference: Annotated[str, typer.Argument(help="With labels: a file, folder or Delta table.")],
    current: Annotated[str, typer.Argument(help="Without labels, or with some: likewise.")],
    window: Annotated[
        str | None, typer.Option(help="Width of windows of event time: 1d, 6h, 30m.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML; else inferred.")] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Look at each value of this column too; repeatable.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the results here; - prints them.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Estimate how a model performs on records without labels. Exit code 2: bad input."""
    import json

    from tidegauge.comparison.estimating import estimate_performance
    from tidegauge.comparison.report import check_targets
    from tidegauge.engine.startup import only_files
    from tidegauge.report.estimated import print_estimates
    from tidegauge.report.terminal import progress

    only_files()
    printed = json_file == Path("-")
    check_targets((None if printed else json_file,), (reference, current))
    with progress(console_of(quiet, stderr=True), quiet) as advance:
        found = estimate_performance(
            reference, current, schema, window, tuple(segment or ()), progress=advance
        )
    told = json.dumps(found.to_json(), allow_nan=False)
    if printed:
        print(told)
        return
    console = console_of(quiet)
    print_estimates(found, console)
    if json_file is not None:
        json_file.write_text(told + "\n", encoding="utf-8")
        console.print(f"written: {json_file}", soft_wrap=True)
