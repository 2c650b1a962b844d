"""What columns are for, told by their names and confirmed by their content.

The names are tables at the top; each rule beneath says what the content must be like for a name
to count. A name of the wire contract (``prediction_id``, ``timestamp``, …) counts as soon as its
values could be that at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tidegauge.schema.content import ENOUGH, Content
from tidegauge.schema.types import ColumnType, Role

PREDICTION_IDS = (
    "prediction_id", "request_id", "event_id", "inference_id", "record_id", "uuid", "guid", "id",
    "row_id", "transaction_id",
)  # fmt: skip
TIMESTAMPS = (
    "timestamp", "ts", "event_time", "event_timestamp", "prediction_time", "datetime", "date_time",
    "time", "date", "created_at",
)  # fmt: skip
PREDICTIONS = (
    "prediction", "pred", "y_pred", "predicted", "y_hat", "yhat", "predicted_label",
    "predicted_class", "predicted_value",
)  # fmt: skip
LABELS = (
    "label", "target", "y_true", "actual", "ground_truth", "true_label", "y", "labels", "actuals",
)  # fmt: skip
SCORES = (
    "score", "proba", "probability", "y_score", "prediction_proba", "prediction_score", "prob",
    "y_proba", "predicted_proba", "predicted_probability", "pred_proba", "predict_proba",
)  # fmt: skip
LATENCIES = (
    "latency_ms", "latency_s", "latency_us", "latency", "latency_seconds", "latency_millis",
    "duration_ms", "response_time_ms", "response_time_s", "inference_time_ms", "inference_time_s",
    "inference_ms", "elapsed_ms",
)  # fmt: skip
STATUSES = ("status", "status_code", "http_status")
VERSIONS = ("model_version", "version")
TRACE_IDS = ("trace_id", "traceid", "otel_trace_id")
#: Not plain ``weight``: that is far more often a feature, and would silently weight everything.
WEIGHTS = ("sample_weight", "instance_weight", "case_weight", "importance_weight")
#: When a label became known: no feature.
LABEL_TIMES = ("observed_at", "label_timestamp", "labelled_at")
#: What frames and tables call the numbering of their rows.
NUMBERINGS = ("unnamed_0", "index", "level_0", "row", "row_number", "id")

#: Words that make the only time column of a table the time of its events, and those that do not.
_EVENT_WORDS = frozenset({"time", "timestamp", "ts", "datetime", "date", "at", "hour", "day"})
_OTHER_WORDS = frozenset({"birth", "birthday", "dob", "due", "end", "expiry", "expires", "updated"})

_CLASS_SCORE = re.compile(
    rf"(?:{'|'.join(sorted(SCORES, key=len, reverse=True))}|probability_of)[_\-. ]+(.+)", re.I
)
_UNITS = {"ms": "ms", "millis": "ms", "s": "s", "seconds": "s", "us": "us"}

_NAMES_OF_CONTRACT = {
    "prediction_id": (ColumnType.TEXT, Role.PREDICTION_ID),
    "timestamp": (ColumnType.DATETIME, Role.TIMESTAMP),
    "prediction": (None, Role.PREDICTION),
    "score": (ColumnType.NUMERIC, Role.SCORE),
    "label": (None, Role.LABEL),
    "version": (ColumnType.CATEGORICAL, Role.VERSION),
    "latency_ms": (ColumnType.NUMERIC, Role.LATENCY),
    "status": (ColumnType.CATEGORICAL, Role.STATUS),
    "trace_id": (ColumnType.TEXT, Role.TRACE_ID),
}


def role_by_name(name: str) -> tuple[ColumnType | None, Role]:
    """Return the type and role that a name has without being told, by the wire contract.

    Examples
    --------
    >>> kind, role = role_by_name("latency_ms")
    >>> kind.value, role.value
    ('numeric', 'latency')
    >>> role_by_name("age")[1].value
    'feature'
    """
    return _NAMES_OF_CONTRACT.get(name, (None, Role.FEATURE))


def latency_unit(key: str) -> str | None:
    """Return the unit that the last word of a latency column's name tells.

    Examples
    --------
    >>> latency_unit("latency_ms"), latency_unit("latency")
    ('ms', None)
    """
    return _UNITS.get(key.rsplit("_", 1)[-1])


def assign_roles(contents: Sequence[Content]) -> dict[str, Role]:
    """Return the role of each column that is not a plain feature.

    Parameters
    ----------
    contents : sequence of Content
        All columns of a sample.

    Returns
    -------
    dict of str to Role
        By column name. Scores of single classes are found by `class_scores`.
    """
    roles: dict[str, Role] = {}
    for role, names, fits in _RULES:
        found = _find([c for c in contents if c.name not in roles], names, fits)
        if found is not None:
            roles[found.name] = role
    if Role.TIMESTAMP not in roles.values():
        times = [c for c in contents if c.type is ColumnType.DATETIME and c.name not in roles]
        if len(times) == 1 and _is_event_time(times[0].key):
            roles[times[0].name] = Role.TIMESTAMP
    for content in contents:
        if content.name not in roles and _is_tag(content):
            roles[content.name] = Role.TAG
    return roles


def class_scores(contents: Sequence[Content], classes: Iterable[str] = ()) -> dict[str, str]:
    """Return the class of each column that holds the probability of one class.

    Parameters
    ----------
    contents : sequence of Content
        All columns of a sample.
    classes : iterable of str
        The values of the label, where known.

    Returns
    -------
    dict of str to str
        Class by column name; empty unless at least two columns are named like ``score_A`` and
        hold shares that add up to one, or are named after the label's values.
    """
    named = [(c, m[1]) for c in contents if (m := _CLASS_SCORE.fullmatch(c.name)) and _number(c)]
    if len(named) < 2 or not all(c.share for c, _ in named):
        return {}
    known = set(classes)
    if {class_ for _, class_ in named} <= known or _add_up_to_one([c for c, _ in named]):
        return {content.name: class_ for content, class_ in named}
    return {}


def _find(
    contents: Sequence[Content], names: Sequence[str], fits: Callable[[Content], bool]
) -> Content | None:
    for name in names:
        named = sorted((c for c in contents if c.key == name), key=lambda c: c.name != name)
        for content in named:
            if content.type is not None and fits(content):
                return content
    return None


def _number(content: Content) -> bool:
    return content.empty or content.type is ColumnType.NUMERIC


def _identifies(content: Content) -> bool:
    if content.type not in (ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.TEXT):
        return False
    if content.key == "prediction_id":
        return True
    return content.unique and (content.type is not ColumnType.NUMERIC or content.integer)


def _tells_time(content: Content) -> bool:
    return content.empty or content.type is ColumnType.DATETIME


def _is_outcome(content: Content) -> bool:
    return content.type is not ColumnType.DATETIME and content.type is not ColumnType.EMBEDDING


def _is_score(content: Content) -> bool:
    return _number(content) and content.share


def _is_not_negative(content: Content) -> bool:
    return _number(content) and (content.range is None or content.range[0] >= 0)


def _is_status(content: Content) -> bool:
    if content.type is ColumnType.NUMERIC:
        return content.integer and content.distinct <= 1000
    return content.type in (ColumnType.CATEGORICAL, ColumnType.BOOLEAN)


def _is_version(content: Content) -> bool:
    named = (ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.TEXT)
    return content.type in named and content.distinct <= 1000


def _is_trace(content: Content) -> bool:
    return content.type in (ColumnType.CATEGORICAL, ColumnType.TEXT)


_RULES: tuple[tuple[Role, tuple[str, ...], Callable[[Content], bool]], ...] = (
    (Role.PREDICTION_ID, PREDICTION_IDS, _identifies),
    (Role.TIMESTAMP, TIMESTAMPS, _tells_time),
    (Role.LABEL, LABELS, _is_outcome),
    (Role.PREDICTION, PREDICTIONS, _is_outcome),
    (Role.SCORE, SCORES, _is_score),
    (Role.LATENCY, LATENCIES, _is_not_negative),
    (Role.STATUS, STATUSES, _is_status),
    (Role.VERSION, VERSIONS, _is_version),
    (Role.TRACE_ID, TRACE_IDS, _is_trace),
    (Role.WEIGHT, WEIGHTS, _is_not_negative),
)


def _is_event_time(key: str) -> bool:
    words = set(key.split("_"))
    return bool(words & _EVENT_WORDS) and not words & _OTHER_WORDS


def _is_tag(content: Content) -> bool:
    """Whether a column cannot or need not be watched: nested, our own, or a name of its row."""
    if content.type is None or content.name.startswith("_") or content.key in LABEL_TIMES:
        return True
    if content.type is ColumnType.NUMERIC:
        numbers_rows = content.key in NUMBERINGS or content.key.endswith("_id")
        return numbers_rows and content.integer and content.unique and content.count > 1
    named = content.type is ColumnType.CATEGORICAL and content.count >= ENOUGH
    return named and content.unique


def _add_up_to_one(contents: Sequence[Content]) -> bool:
    columns = [c.raw.cast("float64").to_numpy() for c in contents if not c.empty]
    if not columns:
        return True
    away = np.abs(np.sum(columns, axis=0) - 1.0)
    return bool(np.mean(away[~np.isnan(away)] < 0.02) > 0.95)
