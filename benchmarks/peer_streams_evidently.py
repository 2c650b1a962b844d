"""Evidently's `DataDriftPreset` on simulated months, each daily window against the baseline's rows.

`python benchmarks/peer_streams_evidently.py OUT.json FOLDER…`, in Evidently's own environment,
started by `peers_detection.py`, which tells what is in a folder. The preset keeps its defaults: a
window is alarmed when any column has drifted; a dataset drifts when half of its columns have. Only
the preset's count of drifted columns is run, which takes a quarter of the time; that it is the same
is held against the whole preset on one window.
"""

import json
import sys
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped, unused-ignore]
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found, unused-ignore]
from evidently.metrics import DriftedColumnsCount  # type: ignore[import-not-found, unused-ignore]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found, unused-ignore]

DRIFT_SHARE = DataDriftPreset().drift_share


def counted(current: pd.DataFrame, reference: pd.DataFrame, metric: object) -> tuple[float, float]:
    """How many columns have drifted, and what share of them."""
    held = current.drop(columns="timestamp")
    columns = DataDefinition(
        numerical_columns=list(held.select_dtypes("number").columns),
        categorical_columns=list(held.select_dtypes("object").columns),
    )
    report = Report([metric]).run(
        Dataset.from_pandas(held, data_definition=columns),
        Dataset.from_pandas(reference[list(held)], data_definition=columns),
    )
    value = report.dict()["metrics"][0]["value"]
    return value["count"], value["share"]


def drifted(current: pd.DataFrame, reference: pd.DataFrame) -> tuple[bool, bool]:
    """Whether any column has drifted, and whether the dataset has."""
    count, share = counted(current, reference, DriftedColumnsCount())
    return count >= 1, share >= DRIFT_SHARE


def days(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The windows in order."""
    return [window for _, window in frame.groupby(frame["timestamp"].dt.floor("D"))]


def main(out: str, *folders: str) -> None:
    """Run every month; write what was found."""
    months = []
    for folder in map(Path, folders):
        reference = pd.read_parquet(folder / "baseline.parquet")
        watched = days(pd.read_parquet(folder / "watched.parquet"))
        if not months:
            whole = counted(watched[0], reference, DataDriftPreset())
            assert whole == counted(watched[0], reference, DriftedColumnsCount())
        found = [drifted(window, reference) for window in watched]
        changes = {
            path.stem: any(drifted(day, reference)[0] for day in days(pd.read_parquet(path)))
            for path in sorted((folder / "changes").glob("*.parquet"))
        }
        alarmed = {
            "any column": sum(one for one, _ in found),
            "dataset": sum(whole for _, whole in found),
        }
        months.append(
            {"month": folder.name, "windows": len(found), "alarmed": alarmed, "found": changes}
        )
        print(months[-1], file=sys.stderr, flush=True)
    Path(out).write_text(json.dumps(months))


if __name__ == "__main__":
    main(*sys.argv[1:])
