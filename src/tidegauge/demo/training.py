"""The demo's model of whether a departure will arrive more than 15 minutes late.

Gradient-boosted trees, trained on January to March. The same three months are the baseline, so
their scores must not come from a model that has seen them: they are out of fold, by whole weeks
(flights of one day share their weather and their delays, and so do neighbouring days).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.demo.flights import CATEGORICAL, FEATURES
from tidegauge.errors import MissingExtra

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

REPLAY_START = datetime(2013, 4, 1, tzinfo=UTC)
FOLDS = 5

# Small trees and large leaves: chosen by the week-blocked folds, where twice as many and twice as
# large trees were no better. No early stopping, as its validation rows would be of the same days.
_PARAMETERS = {
    "max_iter": 100,
    "learning_rate": 0.06,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 200,
    "l2_regularization": 5.0,
    "early_stopping": False,
    "random_state": 0,
}


@dataclass(frozen=True)
class LatenessModel:
    """A fitted classifier with what it needs to read a table of flights.

    Parameters
    ----------
    estimator : HistGradientBoostingClassifier
    categories : dict of str to list of str
        The values of each categorical feature at training; any other is treated as missing.
    threshold : float
        The score from which a flight is called late.
    """

    estimator: "HistGradientBoostingClassifier"
    categories: dict[str, list[str]]
    threshold: float

    @classmethod
    def fit(cls, flights: pa.Table, threshold: float = 0.5) -> Self:
        """Train on the flights whose outcome is known."""
        known = flights.filter(flights["label"].is_valid())
        categories = {
            name: sorted(str(value) for value in known[name].unique().to_pylist())
            for name in CATEGORICAL
        }
        estimator = _new_estimator()
        with _one_thread():
            estimator.fit(_matrix(known, categories), known["label"].to_numpy())
        return cls(estimator, categories, threshold)

    def scores(self, flights: pa.Table) -> NDArray[np.float64]:
        """Return the probability of arriving late, one a flight."""
        matrix = _matrix(flights, self.categories)
        with _one_thread():
            scores: NDArray[np.float64] = self.estimator.predict_proba(matrix)[:, 1]
        return scores

    def predict(self, flights: pa.Table) -> pa.Table:
        """Return the flights with the columns ``score`` and ``prediction`` (bool) added."""
        return _with_scores(flights, self.scores(flights), self.threshold)


@dataclass(frozen=True)
class HoldOut:
    """How good the model was on weeks that it had not seen; flights without an outcome left out."""

    flights: int
    late_share: float
    mean_score: float
    roc_auc: float
    log_loss: float
    brier: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Training:
    """What training gives: the model, the baseline with honest scores, and how good it was."""

    model: LatenessModel
    baseline: pa.Table
    hold_out: HoldOut


def split(flights: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Split flights into baseline (January to March) and replay (from April).

    The cut is at midnight UTC, so that daily windows lie wholly on one side of it.
    """
    before = pc.field("timestamp") < pa.scalar(REPLAY_START)
    return flights.filter(before), flights.filter(~before)


def train(flights: pa.Table) -> Training:
    """Train the model on these flights and score them out of fold.

    The threshold is set where as many flights are called late as were late. The model is the one
    trained on all of them; every score in the baseline is from a model that had not seen its week.

    Parameters
    ----------
    flights : pyarrow.Table
        As from `load_flights`; the baseline's part from `split`.

    Returns
    -------
    Training
        Its baseline has the columns of ``flights``, then ``score`` and ``prediction``.
    """
    scores = _out_of_fold_scores(flights)
    known = flights["label"].is_valid().to_numpy()
    late = flights["label"].drop_null().to_numpy()
    threshold = float(np.quantile(scores[known], 1 - late.mean()))
    return Training(
        model=LatenessModel.fit(flights, threshold),
        baseline=_with_scores(flights, scores, threshold),
        hold_out=_hold_out(late, scores[known], threshold),
    )


def _out_of_fold_scores(flights: pa.Table) -> NDArray[np.float64]:
    """Score each week with a model trained on the other folds; fold k holds every fifth week."""
    days = flights["timestamp"].cast(pa.int64()).to_numpy() // (24 * 3600 * 1_000_000)
    fold = (days - days.min()) // 7 % FOLDS
    scores = np.empty(flights.num_rows)
    for k in np.unique(fold):
        held_out = fold == k
        model = LatenessModel.fit(flights.filter(pa.array(~held_out)))
        scores[held_out] = model.scores(flights.filter(pa.array(held_out)))
    return scores


def _hold_out(late: NDArray[np.bool_], scores: NDArray[np.float64], threshold: float) -> HoldOut:
    from sklearn.metrics import log_loss, roc_auc_score

    called = scores >= threshold
    hits = float(np.sum(called & late))
    return HoldOut(
        flights=late.size,
        late_share=float(late.mean()),
        mean_score=float(scores.mean()),
        roc_auc=float(roc_auc_score(late, scores)),
        log_loss=float(log_loss(late, scores)),
        brier=float(np.mean((scores - late) ** 2)),
        precision=hits / float(called.sum()),
        recall=hits / float(late.sum()),
    )


def _new_estimator() -> "HistGradientBoostingClassifier":
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ModuleNotFoundError as error:
        raise MissingExtra("the demo needs scikit-learn: pip install 'tidegauge[demo]'") from error
    categorical = [FEATURES.index(name) for name in CATEGORICAL]
    return HistGradientBoostingClassifier(categorical_features=categorical, **_PARAMETERS)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep scikit-learn's OpenMP to one thread.

    Its threads wait for each other by spinning. On two cores with anything else running (the
    demo's own server) two threads were measured at 76 to 118 s for a training of 5 to 9 s with one.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp"):
        yield


def _matrix(flights: pa.Table, categories: dict[str, list[str]]) -> NDArray[np.float64]:
    """Return the features as columns of doubles; categories as their index, missing as NaN."""
    matrix = np.empty((flights.num_rows, len(FEATURES)), order="F")
    for position, name in enumerate(FEATURES):
        column = flights[name].combine_chunks()
        if name in categories:
            column = pc.index_in(column, value_set=pa.array(categories[name], pa.string()))
        matrix[:, position] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return matrix


def _with_scores(flights: pa.Table, scores: NDArray[np.float64], threshold: float) -> pa.Table:
    return flights.append_column("score", pa.array(scores)).append_column(
        "prediction", pa.array(scores >= threshold)
    )
