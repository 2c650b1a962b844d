"""Commands that say why: explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of


@app.command()
def explain(
    reference: Annotated[str, typer.Argument(help="What was, with labels: a file or folder.")],
    current: Annotated[str, typer.Argument(help="What is now: likewise.")],
    metric: Annotated[
        str | None, typer.Option(help="A performance metric, such as roc_auc, f1 or mae.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML; else inferred.")] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Split by the values of this column; repeatable.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the parts here; - prints them.")
    ] = None,
) -> None:
    """Say why performance changed: changed inputs, by column, or a changed relation.

    Exit code 0: told, 2: bad input.
    """
    import json

    from tidegauge.comparison.explaining import explain_change
    from tidegauge.comparison.report import check_targets
    from tidegauge.report.decomposition import print_decomposition

    printed = json_file == Path("-")
    check_targets((None if printed else json_file,), (reference, current))
    change = explain_change(reference, current, metric, schema, tuple(segment or ()))
    told = json.dumps(change.to_json(), allow_nan=False, indent=2)
    if printed:
        print(told)
        return
    console = console_of()
    print_decomposition(change, console)
    if json_file is not None:
        json_file.write_text(told + "\n", encoding="utf-8")
        console.print(f"written: {json_file}", soft_wrap=True)
