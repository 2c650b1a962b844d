"""A schema from a sample of rows: types by Arrow type and content, roles, the task.

What single columns hold is asked in ``content.py``, which names stand for which role is in
``roles.py``; this file puts both together and tells the task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tidegauge.errors import EmptyInput, SchemaError
from tidegauge.schema.content import ENOUGH, Content
from tidegauge.schema.roles import assign_roles, class_scores, latency_unit
from tidegauge.schema.types import Column, ColumnType, Role, Schema, Task

#: A longer table is judged by this many rows, in slices spread evenly over it.
SAMPLE_ROWS = 20_000
_SLICES = 20

#: Texts that name the positive one of two classes, where the other does not tell.
_POSITIVE = (
    "1", "true", "yes", "y", "t", "positive", "pos", "fraud", "churn", "churned", "default",
    "late", "delayed", "bad", "spam", "fail", "failed", "failure", "click", "clicked", "converted",
    "malignant", "anomaly", "approved", "accepted",
)  # fmt: skip
_NEGATIONS = ("not", "no", "non", "un")

_TYPE_OF_ROLE = {
    Role.PREDICTION_ID: ColumnType.TEXT,
    Role.TIMESTAMP: ColumnType.DATETIME,
    Role.SCORE: ColumnType.NUMERIC,
    Role.LATENCY: ColumnType.NUMERIC,
    Role.WEIGHT: ColumnType.NUMERIC,
    Role.STATUS: ColumnType.CATEGORICAL,
    Role.VERSION: ColumnType.CATEGORICAL,
    Role.TRACE_ID: ColumnType.TEXT,
}


def infer_schema(
    table_or_sample: Any, *, task: Task | None = None, segments: Sequence[str] = ()
) -> Schema:
    """Infer the schema of records from some of them.

    At most 20,000 rows are looked at. Types follow from the Arrow types, for text from its
    content; roles from names that the content confirms; the task from labels, else from
    predictions and scores. Whole numbers that name things (``…_id``, ``…_code``, segments, the
    classes of a label) are categorical; labels and predictions of 0 and 1 are boolean. Columns
    that cannot be watched (nested ones, binary, our own ``_…``) get the role ``tag``. A column
    without any value is categorical, which takes text and numbers alike, unless its name tells.

    Parameters
    ----------
    table_or_sample : frame
        Any with the Arrow capsule interface (pandas, Polars, PyArrow, DuckDB), of at least one
        row and one column.
    task : Task, optional
        What the model predicts, where it is known.
    segments : sequence of str
        Columns by which every profile is to be divided.

    Raises
    ------
    EmptyInput
        Without rows or columns.
    SchemaError
        On two columns of one name, or an unknown segment column.

    Examples
    --------
    >>> table = pa.table({"id": ["a", "b", "c"], "carrier": ["UA", "AA", "UA"],
    ...                   "score": [0.2, 0.9, 0.4], "label": [0, 1, 0]})
    >>> schema = infer_schema(table, segments=["carrier"])
    >>> [(c.name, c.type.value, c.role.value) for c in schema]
    [('id', 'text', 'prediction_id'), ('carrier', 'categorical', 'feature'),
     ('score', 'numeric', 'score'), ('label', 'boolean', 'label')]
    >>> schema.task, schema.positive
    (<Task.BINARY: 'binary'>, 'true')
    """
    table = table_or_sample
    if not isinstance(table, pa.Table):
        table = pa.table(table)
    _require_distinct_names(table)
    if table.num_columns == 0:
        raise EmptyInput("no columns; a schema needs at least one", code="no_columns")
    if table.num_rows == 0:
        raise EmptyInput("no rows; a schema is inferred from at least one record", code="no_rows")
    sample = _sample(table)
    contents = [Content(name, sample.column(i)) for i, name in enumerate(sample.column_names)]
    by_name = {content.name: content for content in contents}
    roles = assign_roles(contents)
    for name in segments:
        if roles.get(name) is Role.TAG and by_name[name].type is not None:
            del roles[name]
    answers = _Answers.of(by_name, roles)
    classes = class_scores(contents, answers.classes)
    if task is None:
        task = answers.task(len(classes), Role.SCORE in roles.values())
    columns = [_column(content, roles.get(content.name), set(segments)) for content in contents]
    schema = Schema(tuple(columns), task, tuple(segments))
    return _fit_to_task(schema, answers, classes)


def _require_distinct_names(table: pa.Table) -> None:
    twice = [name for name, times in Counter(table.column_names).items() if times > 1]
    if twice:
        raise SchemaError(
            f"column {', '.join(map(repr, twice))} stands more than once; rename or drop one",
            code="duplicate_column",
        )


def _sample(table: pa.Table) -> pa.Table:
    rows = table.num_rows
    if rows <= SAMPLE_ROWS:
        return table
    size = SAMPLE_ROWS // _SLICES
    starts = [(rows - size) * i // (_SLICES - 1) for i in range(_SLICES)]
    return pa.concat_tables([table.slice(start, size) for start in starts])


def _column(content: Content, role: Role | None, segments: set[str]) -> Column:
    if role in _TYPE_OF_ROLE:
        unit = latency_unit(content.key) if role is Role.LATENCY else None
        return Column(content.name, _TYPE_OF_ROLE[role], role, unit)
    kind = content.type
    if kind is None or role is Role.TAG:
        return Column(content.name, ColumnType.TEXT, Role.TAG)
    if kind is ColumnType.NUMERIC and role is None and _names_things(content, segments):
        kind = ColumnType.CATEGORICAL
    return Column(content.name, kind, role or Role.FEATURE)


def _names_things(content: Content, segments: set[str]) -> bool:
    named = content.key.endswith(("_id", "_code")) or content.name in segments
    return named and content.integer


class _Answers:
    """The columns that tell what was right and what the model said: label and prediction."""

    def __init__(self, label: Content | None, prediction: Content | None) -> None:
        self.label = label
        self.prediction = prediction
        present = [c for c in (label, prediction) if c is not None and not c.empty]
        self.telling = present[0] if present else None

    @classmethod
    def of(cls, contents: dict[str, Content], roles: dict[str, Role]) -> _Answers:
        found = {role: contents[name] for name, role in roles.items()}
        return cls(found.get(Role.LABEL), found.get(Role.PREDICTION))

    @property
    def classes(self) -> tuple[str, ...]:
        """The values of the label, or else of the prediction, as text."""
        return self.telling.texts if self.telling is not None else ()

    def task(self, class_scores: int, has_score: bool) -> Task | None:
        """Tell the task; None where nothing does."""
        if self.telling is None:
            if class_scores > 2:
                return Task.MULTICLASS
            return Task.BINARY if class_scores or has_score else None
        if class_scores > 2:
            return Task.MULTICLASS
        if self.telling.type is ColumnType.BOOLEAN:
            return Task.BINARY
        if self.telling.type is ColumnType.NUMERIC:
            return self._task_of_numbers(self.telling)
        return self._task_of_texts(self.telling, has_score or class_scores > 0)

    def _task_of_numbers(self, telling: Content) -> Task:
        said = self.prediction if self.prediction is not None else telling
        numbers = said.type is ColumnType.NUMERIC and not said.empty
        if telling.zero_or_one:
            return Task.REGRESSION if numbers and not said.share else Task.BINARY
        if not telling.integer or (numbers and not said.integer) or telling.count < ENOUGH:
            return Task.REGRESSION
        if telling.distinct == 2:
            return Task.BINARY
        both = self.label is telling and said is not telling and telling.distinct <= 20
        return (
            Task.MULTICLASS if both and set(said.texts) <= set(telling.texts) else Task.REGRESSION
        )

    def _task_of_texts(self, telling: Content, has_score: bool) -> Task | None:
        if telling.distinct <= 2:
            return Task.BINARY if telling.distinct == 2 or has_score else Task.MULTICLASS
        few = telling.distinct <= max(ENOUGH, telling.count // 5)
        return Task.MULTICLASS if few and telling.type is ColumnType.CATEGORICAL else None


def _fit_to_task(schema: Schema, answers: _Answers, classes: dict[str, str]) -> Schema:
    """Bring labels, predictions and scores into the types and roles that the task asks for."""
    if schema.task is Task.BINARY:
        return _fit_to_binary(schema, answers, classes)
    if schema.task is Task.MULTICLASS:
        schema = _retype(schema, (Role.LABEL, Role.PREDICTION), ColumnType.CATEGORICAL)
        return _change(
            schema,
            {name: {"role": Role.SCORE, "class_": class_} for name, class_ in classes.items()},
        )
    if schema.task is Task.REGRESSION:
        score, said = schema.role(Role.SCORE), schema.role(Role.PREDICTION)
        if score is not None and said is None:
            schema = _change(schema, {score.name: {"role": Role.PREDICTION}})
        untold = [c for c in (answers.label, answers.prediction) if c is not None and c.empty]
        return _change(schema, {c.name: {"type": ColumnType.NUMERIC} for c in untold})
    return schema


def _fit_to_binary(schema: Schema, answers: _Answers, classes: dict[str, str]) -> Schema:
    said = answers.prediction
    if said is not None and said.type is ColumnType.NUMERIC and not said.empty:
        probability = said.share and not said.zero_or_one
        if probability and schema.role(Role.SCORE) is None:
            schema = _change(schema, {said.name: {"role": Role.SCORE}})
            said = None
    told = [c for c in (answers.label, said) if c is not None and not c.empty]
    texts = [text for content in told for text in content.texts] or list(classes.values())
    truth = all(c.zero_or_one for c in told) and (told or {as_truth(c) for c in texts} <= {*"01"})
    kind = ColumnType.BOOLEAN if truth else ColumnType.CATEGORICAL
    positive = "true" if truth else _positive(texts)
    return replace(
        _change(
            _retype(schema, (Role.LABEL, Role.PREDICTION), kind),
            {name: _class_score(class_, positive) for name, class_ in classes.items()},
        ),
        positive=positive,
    )


def _class_score(class_: str, positive: str) -> dict[str, Any]:
    """Of two columns of scores that add up to one, the positive class's is the score."""
    is_score = as_truth(class_) == as_truth(positive)
    return {"role": Role.SCORE if is_score else Role.INTERMEDIATE, "class_": class_}


def as_truth(class_: str) -> str:
    """Return ``"1"`` and ``"0"`` for the spellings of true and false, else the text itself.

    Examples
    --------
    >>> as_truth("True"), as_truth("0"), as_truth("late")
    ('1', '0', 'late')
    """
    return {"true": "1", "false": "0", "1.0": "1", "0.0": "0"}.get(class_.lower(), class_)


def _positive(texts: Sequence[str]) -> str:
    """Return which of two classes is the positive one; the later in order if neither tells."""
    different = sorted(set(texts))
    with suppress(ValueError):
        return max(different, key=float)
    for text in different:
        for other in different:
            words = other.lower().replace("-", "_").replace(" ", "_").split("_")
            if len(words) > 1 and words[0] in _NEGATIONS and other.lower().endswith(text.lower()):
                return text
    known = [text for name in _POSITIVE for text in different if text.lower() == name]
    return known[0] if known else different[-1]


def _retype(schema: Schema, roles: Sequence[Role], kind: ColumnType) -> Schema:
    return _change(schema, {c.name: {"type": kind} for c in schema if c.role in roles})


def _change(schema: Schema, changes: Mapping[str, Mapping[str, Any]]) -> Schema:
    columns = tuple(replace(c, **changes.get(c.name, {})) for c in schema)
    return replace(schema, columns=columns)
