"""``tidegauge demo``: train, serve, replay nine months, and show what was found."""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from tidegauge.comparison import compare
from tidegauge.demo import flights, training
from tidegauge.demo.findings import missed, print_findings
from tidegauge.demo.replay import LABEL, Step, send
from tidegauge.demo.server import running
from tidegauge.errors import TidegaugeError
from tidegauge.remote import RemoteModel
from tidegauge.schema import Schema, dump_schema, infer_schema
from tidegauge_client import Client

PROJECT = "default"
MODEL = "flight-delay"
SEGMENTS = ("origin", "carrier")


def run_demo(folder: Path, *, port: int, serve: bool, console: Console) -> int:
    """Run the demo.

    Parameters
    ----------
    folder : Path
        Emptied if it is an earlier demo's; holds the server's data and the report.
    port : int
        0 for any free one.
    serve : bool
        Keep the pages up until Ctrl-C.
    console : Console

    Returns
    -------
    int
        0 only if everything that is promised was found.
    """
    started = time.monotonic()
    data = _fresh(folder)
    with _bar(console) as bar:
        task = bar.add_task("reading the flights of 2013", total=None)
        baseline_flights, later = training.split(flights.load_flights())
        bar.update(task, description="training on January to March")
        trained = training.train(baseline_flights)
        bar.update(task, description="scoring April to December")
        replay = _named(trained.model.predict(later))
        bar.update(task, total=1, completed=1, description="trained on January to March")
    good = trained.hold_out
    console.print(
        f"The model, on weeks it had not seen: {good.flights:,} flights, {good.late_share:.1%} "
        f"late, {good.mean_score:.1%} predicted, ROC AUC {good.roc_auc:.3f}",
        style="dim",
    )
    inferred = infer_schema(trained.baseline.drop_columns(["observed_at"]), segments=SEGMENTS)
    baseline = _named(trained.baseline.drop_columns(["observed_at"]))
    schema = _with_label(inferred)
    with (
        running(data, port or _free_port()) as address,
        RemoteModel(address, PROJECT, MODEL) as api,
    ):
        api.put_schema(dump_schema(schema))
        with Client(address, project=PROJECT, model=MODEL, version="1") as client:
            client.baseline(baseline)
            _replay(client, api, replay, console)
        incidents = api.incidents()
        report = _report(folder, baseline, replay, schema)
        console.print()
        console.rule("[bold]What was found, most harmful first", align="left", style="dim")
        print_findings(incidents, console)
        lacking = missed(incidents)
        for line in lacking:
            console.print(f"✗ not as promised: {line}", style="bold red")
        console.print()
        took = time.monotonic() - started
        console.print(
            f"{len(replay):,} predictions watched in {took:.0f} s. Report: {report}", style="dim"
        )
        if serve:
            _stay(f"{address}/", console)
    return 1 if lacking else 0


def _named(table: pa.Table) -> pa.Table:
    """Call the outcome what it is."""
    return table.rename_columns([LABEL if n == "label" else n for n in table.column_names])


def _with_label(schema: Schema) -> Schema:
    columns = tuple(replace(c, name=LABEL) if c.name == "label" else c for c in schema)
    return replace(schema, columns=columns)


def _fresh(folder: Path) -> Path:
    """Empty an earlier demo's folder; leave any other alone."""
    mark = folder / ".tidegauge-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise TidegaugeError(
            f"{folder} is not empty and no earlier demo's; name another with --data"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()
    return folder / "data"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _replay(client: Client, api: RemoteModel, replay: pa.Table, console: Console) -> None:
    with _bar(console) as bar:
        task = bar.add_task("replaying", total=len(replay))

        def advance(step: Step) -> None:
            day = step.end.strftime("%d %b")
            bar.update(task, advance=len(step.predictions), description=f"replaying: {day}")

        send(client, replay, advance)
        bar.update(task, description="replayed April to December")
        _settle(api, bar)


def _settle(api: RemoteModel, bar: Progress, patience: float = 120.0) -> None:
    """Wait until the server has closed every window that it can, and restated what it must."""
    task = bar.add_task("closing windows", total=None)
    until = time.monotonic() + patience
    calm = 0
    while calm < 2:
        lag = api.model()["lag"]
        waiting = lag["windows"] + lag["restatements"] + lag["records"]
        bar.update(task, total=lag["closed"] + lag["windows"], completed=lag["closed"])
        calm = calm + 1 if waiting == 0 else 0
        if time.monotonic() > until:
            raise TidegaugeError(f"after {patience:.0f} s the server still has work: {lag}")
        time.sleep(0.5)
    bar.update(task, description="windows closed")


def _report(folder: Path, baseline: pa.Table, replay: pa.Table, schema: Schema) -> Path:
    later = replay.select(baseline.column_names)
    report = compare(baseline, later, replace(schema, segments=()), window="7d")
    return report.save(folder / "report.html")


def _stay(address: str, console: Console) -> None:
    console.print(f"\nThe pages: [bold]{address}[/bold]   (Ctrl-C ends them)")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("\nstopping")
