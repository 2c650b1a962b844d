"""The command that holds two versions of a model against each other: versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.app import app, console_of


@app.command()
def versions(
    champion: Annotated[str, typer.Argument(help="Records of the version in use, with labels.")],
    challenger: Annotated[str, typer.Argument(help="Records of the version that may ship.")],
    margin: Annotated[
        list[str] | None,
        typer.Option(
            help="How much worse is no worse: roc_auc=0.01, latency_p95=20%, f1=off; repeatable."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="What decides, such as f1; repeatable.")
    ] = None,
    level: Annotated[float, typer.Option(help="Of the two-sided intervals.")] = 0.95,
    power: Annotated[
        float, typer.Option(help="Chance of ship for equal versions that records are asked for.")
    ] = 0.8,
    anytime: Annotated[
        float | None,
        typer.Option(help="Intervals that hold however often one looks; about after how many."),
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Its groups are to be treated alike: fairness decides too; repeatable."),
    ] = None,
    pairing: Annotated[str, typer.Option(help="auto, paired or unpaired.")] = "auto",
    resource: Annotated[
        list[str] | None, typer.Option(help="A column of what an answer used; repeatable.")
    ] = None,
    cost: Annotated[
        list[str] | None, typer.Option(help="An outcome of which less is better; repeatable.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="Schema as YAML; else inferred.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison here.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it here as JSON; - prints it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Say whether a challenger may ship.

    Exit code 0: ship, 1: do not ship, 2: bad input, 3: not enough data yet.

    Records that both versions scored, by prediction_id, are compared pair by
    pair; others are weighted to the mix of traffic that both serve.
    """
    import json

    from tidegauge.comparison.report import check_targets
    from tidegauge.engine.startup import only_files
    from tidegauge.versions import compare_versions
    from tidegauge.versions.margins import parse_margins
    from tidegauge.versions.view import print_versions

    only_files()
    printed = json_file == Path("-")
    check_targets((html, None if printed else json_file), (champion, challenger))
    report = compare_versions(
        champion,
        challenger,
        schema,
        metric or None,
        parse_margins(margin or ()),
        level,
        tuple(segment or ()),
        power=power,
        anytime=anytime,
        pairing=pairing,
        resources=tuple(resource or ()),
        costs=tuple(cost or ()),
        names=_names(champion, challenger),
    )
    if html is not None:
        report.save_html(html)
    if printed:
        print(json.dumps(report.to_json(), allow_nan=False))
    else:
        if json_file is not None:
            report.save_json(json_file)
        console = console_of(quiet)
        print_versions(report, console)
        for target in (html, json_file):
            if target is not None:
                console.print(f"written: {target}", soft_wrap=True)
    raise typer.Exit({"ship": 0, "do_not_ship": 1}.get(report.decision, 3))


def _names(champion: str, challenger: str) -> tuple[str, str]:
    """Return what the two are called: their files' names, where these tell them apart."""
    first, second = (Path(path).name.split(".")[0] for path in (champion, challenger))
    return (first, second) if first and second and first != second else ("champion", "challenger")
