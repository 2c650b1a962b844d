"""The command that searches for the worst segments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of


@app.command()
def segments(
    current: Annotated[str, typer.Argument(help="Records with labels: a file or folder.")],
    reference: Annotated[
        str | None, typer.Option(help="Search where it got worse, held against these.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="roc_auc, log_loss, brier, accuracy; mae or mse of a regression."),
    ] = None,
    depth: Annotated[int, typer.Option(help="Columns of a segment at most: 1 or 2.")] = 2,
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML; else inferred.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings here; - prints them.")
    ] = None,
) -> None:
    """Search for the segments in which a model works worst, up to two columns deep.

    The chance of any finding where no segment differs is at most 5 %.
    Exit code 0: none found, 1: found, 2: bad input.
    """
    import json

    from tidegauge.comparison.report import check_targets
    from tidegauge.explain.worst_segments import worst_segments
    from tidegauge.report.worst_segments import print_worst_segments

    printed = json_file == Path("-")
    sources = (current,) if reference is None else (current, reference)
    check_targets((None if printed else json_file,), sources)
    found = worst_segments(current, reference, schema, metric, depth)
    told = json.dumps(found.to_json(), allow_nan=False, indent=2)
    if printed:
        print(told)
        raise typer.Exit(1 if found.findings else 0)
    console = console_of()
    print_worst_segments(found, console)
    if json_file is not None:
        json_file.write_text(told + "\n", encoding="utf-8")
        console.print(f"written: {json_file}", soft_wrap=True)
    raise typer.Exit(1 if found.findings else 0)
