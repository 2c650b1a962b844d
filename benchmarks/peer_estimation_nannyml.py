"""NannyML's `CBPE` and `DLE` on streams of records without labels, chunked by day.

`python benchmarks/peer_estimation_nannyml.py OUT.json FOLDER…`, in NannyML's own environment,
started by `peers_estimation.py`, which tells what is in a folder. Both keep their defaults.
"""

import json
import sys
import time
from pathlib import Path

import nannyml  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import pandas as pd  # type: ignore[import-untyped, unused-ignore]

#: All that both estimate.
BINARY = ("roc_auc", "f1", "accuracy", "precision", "recall", "average_precision")
REGRESSION = ("mae", "rmse", "mse", "mape")
#: Records of a baseline above which times are kept.
LARGE = 500_000


def estimator(reference: pd.DataFrame) -> nannyml.CBPE | nannyml.DLE:
    """The estimator of the task that the columns tell of, before it is fitted."""
    about = {"timestamp_column_name": "timestamp", "chunk_period": "D", "y_true": "label"}
    if "score" in reference.columns:
        return nannyml.CBPE(
            y_pred_proba="score",
            y_pred="said",
            problem_type="classification_binary",
            metrics=list(BINARY),
            **about,
        )
    inputs = [name for name in reference.columns if name[0] == "x" or name == "region"]
    return nannyml.DLE(
        feature_column_names=inputs, y_pred="prediction", metrics=list(REGRESSION), **about
    )


def with_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with what the model said of each record."""
    if "score" in frame.columns:
        frame["said"] = (frame["score"] >= 0.5).astype(int)
    if "region" in frame.columns:
        frame["region"] = frame["region"].astype("category")
    return frame


def main(out: str, *folders: str) -> None:
    """Run every stream; write the estimates and what they took."""
    streams = []
    for folder in map(Path, folders):
        reference = with_answers(pd.read_parquet(folder / "baseline.parquet"))
        watched = with_answers(pd.read_parquet(folder / "watched.parquet"))
        large = len(reference) > LARGE
        started = time.process_time()
        fitted = estimator(reference).fit(reference)
        between = time.process_time()
        table = fitted.estimate(watched.drop(columns="label")).filter(period="analysis").to_df()
        ended = time.process_time()
        names = BINARY if "score" in reference.columns else REGRESSION
        estimates = {
            name: [None if np.isnan(v) else float(v) for v in table[(name, "value")]]
            for name in names
        }
        streams.append(
            {
                "stream": folder.name,
                "fitting": between - started if large else None,
                "estimating": ended - between if large else None,
                "estimates": estimates,
            }
        )
        print(folder.name, f"{ended - started:.1f} s", file=sys.stderr, flush=True)
    Path(out).write_text(json.dumps(streams))


if __name__ == "__main__":
    main(*sys.argv[1:])
