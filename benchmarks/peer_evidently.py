"""Evidently's `DataDriftPreset` on two Parquet files, in Evidently's own environment.

`python benchmarks/peer_evidently.py REFERENCE CURRENT OUT.html`, started and timed by `peers.py`.
"""

import sys

import pandas as pd  # type: ignore[import-untyped, unused-ignore]
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found, unused-ignore]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found, unused-ignore]


def definition(frame: pd.DataFrame) -> DataDefinition:
    """Say what the columns are, so that nothing is guessed and no string is taken for text."""
    numeric = frame.select_dtypes("number").columns.drop("label")
    strings = frame.select_dtypes("object").columns
    return DataDefinition(
        timestamp="timestamp",
        numerical_columns=list(numeric),
        categorical_columns=[*strings, "label"],
    )


def main(reference_path: str, current_path: str, html: str) -> None:
    """Read, compare with the preset's defaults, write the report."""
    reference = pd.read_parquet(reference_path)
    current = pd.read_parquet(current_path)
    columns = definition(reference)
    result = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, data_definition=columns),
        Dataset.from_pandas(reference, data_definition=columns),
    )
    result.save_html(html)


if __name__ == "__main__":
    main(*sys.argv[1:4])
