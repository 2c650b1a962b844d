"""NannyML's `UnivariateDriftCalculator` on simulated months, chunked by day.

`python benchmarks/peer_streams_nannyml.py OUT.json FOLDER…`, in NannyML's own environment, started
by `peers_detection.py`, which tells what is in a folder. The calculator is fitted on the baseline
and keeps its defaults (Jensen–Shannon distance, alert above three standard deviations of the
baseline's chunks): a window is alarmed when any column has an alert.
"""

import json
import sys
from pathlib import Path

import nannyml  # type: ignore[import-not-found, unused-ignore]
import pandas as pd  # type: ignore[import-untyped, unused-ignore]


def fitted(reference: pd.DataFrame, columns: list[str]) -> nannyml.UnivariateDriftCalculator:
    """The calculator, knowing the baseline."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=columns, timestamp_column_name="timestamp", chunk_period="D"
    )
    return calculator.fit(reference)


def alerts(calculator: nannyml.UnivariateDriftCalculator, frame: pd.DataFrame) -> list[bool]:
    """Whether any column has an alert, for every chunk."""
    table = calculator.calculate(frame).filter(period="analysis").to_df()
    found = table.loc[:, [name for name in table.columns if name[-1] == "alert"]]
    return [bool(one) for one in found.any(axis=1)]


def main(out: str, *folders: str) -> None:
    """Run every month; write what was found."""
    months = []
    for folder in map(Path, folders):
        reference = pd.read_parquet(folder / "baseline.parquet")
        columns = [name for name in reference.columns if name != "timestamp"]
        found = alerts(fitted(reference, columns), pd.read_parquet(folder / "watched.parquet"))
        changes = {}
        for path in sorted((folder / "changes").glob("*.parquet")):
            frame = pd.read_parquet(path)
            own = [name for name in frame.columns if name != "timestamp"]
            changes[path.stem] = any(alerts(fitted(reference, own), frame))
        months.append(
            {
                "month": folder.name,
                "windows": len(found),
                "alarmed": {"any column": sum(found)},
                "found": changes,
            }
        )
        print(months[-1], file=sys.stderr, flush=True)
    Path(out).write_text(json.dumps(months))


if __name__ == "__main__":
    main(*sys.argv[1:])
