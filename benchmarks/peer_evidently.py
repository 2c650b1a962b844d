"""Evidently's `DataDriftPreset` on two Parquet files, in Evidently's own environment.

`python benchmarks/peer_evidently.py REFERENCE CURRENT OUT.html`, started and timed by `peers.py`.
"""

import sys

import pandas as pd  # type: ignore[import-untyped, unused-ignore]
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found, unused-ignore]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found, unused-ignore]


def main(reference_path: str, current_path: str, html: str) -> None:
    """Read, compare with the preset's defaults, write the report.

    Evidently is told what the columns are, and spared the timestamp, which it would not judge but
    plot over. Left to guess, it takes the strings of many values for text and needs a tenth more
    processor time.
    """
    reference = pd.read_parquet(reference_path).drop(columns="timestamp")
    current = pd.read_parquet(current_path).drop(columns="timestamp")
    columns = DataDefinition(
        numerical_columns=list(reference.select_dtypes("number").columns.drop("label")),
        categorical_columns=[*reference.select_dtypes("object").columns, "label"],
    )
    result = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, data_definition=columns),
        Dataset.from_pandas(reference, data_definition=columns),
    )
    result.save_html(html)


if __name__ == "__main__":
    main(*sys.argv[1:4])
