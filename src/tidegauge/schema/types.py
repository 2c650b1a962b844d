"""The words of the domain as types: column types, roles, tasks, columns, schemas.

What is inferred from data lives in ``infer.py``, reading and writing YAML in ``yaml.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum

from tidegauge.errors import SchemaError, SchemaMismatch
from tidegauge.schema.divisions import Division, Part


class ColumnType(StrEnum):
    """What the values of a column are."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    EMBEDDING = "embedding"


class Role(StrEnum):
    """What a column is for."""

    PREDICTION_ID = "prediction_id"
    TIMESTAMP = "timestamp"
    FEATURE = "feature"
    INTERMEDIATE = "intermediate"
    PREDICTION = "prediction"
    SCORE = "score"
    LABEL = "label"
    SEGMENT = "segment"
    VERSION = "version"
    LATENCY = "latency"
    STATUS = "status"
    TRACE_ID = "trace_id"
    OUTCOME = "outcome"
    WEIGHT = "weight"
    TAG = "tag"


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


#: Roles that at most one column of a schema may have.
SINGLE_ROLES = frozenset(
    {
        Role.PREDICTION_ID,
        Role.TIMESTAMP,
        Role.PREDICTION,
        Role.LABEL,
        Role.VERSION,
        Role.LATENCY,
        Role.STATUS,
        Role.TRACE_ID,
        Role.WEIGHT,
    }
)

#: Roles whose distribution is watched for drift.
WATCHED_ROLES = frozenset(
    {Role.FEATURE, Role.INTERMEDIATE, Role.SCORE, Role.PREDICTION, Role.LABEL, Role.OUTCOME}
)


@dataclass(frozen=True)
class Column:
    """One column of a model's records.

    Parameters
    ----------
    name : str
        The key in a record.
    type : ColumnType
        What its values are.
    role : Role
        What it is for.
    unit : str, optional
        Unit of its values, for people (``"°F"``, ``"ms"``, ``"EUR"``).
    class_ : str, optional
        For a ``score`` column of a multiclass model: the class it is the probability of.
    minimum, maximum : float, optional
        The range that values should have; outside counts as ``out_of_range_share``.
        Without them the baseline's own range is taken.

    Examples
    --------
    >>> Column("age", ColumnType.NUMERIC).role
    <Role.FEATURE: 'feature'>
    """

    name: str
    type: ColumnType
    role: Role = Role.FEATURE
    unit: str | None = None
    class_: str | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a model's records, its task, and the columns it is segmented by.

    Parameters
    ----------
    columns : tuple of Column
        In the order of the data.
    task : Task, optional
        What the model predicts; ``None`` where there is no prediction or label to tell.
    segments : tuple of str
        What every profile is divided by: names of columns, and of ``divisions``. A column with the
        role ``segment`` is always one of them; a feature may be named here as well.
    positive : str
        For a binary model: the label that counts as positive, as text.
    timezone : str
        The zone of timestamps that carry none (in files; over HTTP they are refused).
    divisions : tuple of Division
        Those among the segments that are combinations of columns, or numbers in bins.

    Raises
    ------
    SchemaError
        On two columns of one name, a single role given twice, an unknown segment column.

    Examples
    --------
    >>> schema = Schema((Column("age", ColumnType.NUMERIC),))
    >>> schema["age"].type
    <ColumnType.NUMERIC: 'numeric'>
    """

    columns: tuple[Column, ...]
    task: Task | None = None
    segments: tuple[str, ...] = ()
    positive: str = "1"
    timezone: str = "UTC"
    divisions: tuple[Division, ...] = ()
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        by_name: dict[str, Column] = {}
        holders: dict[Role, str] = {}
        for column in self.columns:
            if column.name in by_name:
                raise SchemaError(
                    f"column {column.name!r} stands twice in the schema; keep one",
                    code="duplicate_column",
                )
            by_name[column.name] = column
            if column.role in SINGLE_ROLES:
                if column.role in holders:
                    raise SchemaError(
                        f"columns {holders[column.role]!r} and {column.name!r} both have the role "
                        f"{column.role.value!r}; give it to one of them",
                        code="duplicate_role",
                    )
                holders[column.role] = column.name
        object.__setattr__(self, "_by_name", by_name)
        own = [c.name for c in self.columns if c.role is Role.SEGMENT]
        divisions = {one.name: one for one in self.divisions}
        if len({frozenset(one.columns) for one in self.divisions}) < len(self.divisions):
            raise SchemaError(
                "two segments divide by the same columns; keep one", code="duplicate_segment"
            )
        for column_name in (name for one in self.divisions for name in one.columns):
            if column_name not in by_name:
                raise SchemaError(
                    f"segment column {column_name!r} is not in the schema{self.hint(column_name)}",
                    code="unknown_segment",
                )
        for name in self.segments:
            if name not in by_name and name not in divisions:
                raise SchemaError(
                    f"segment column {name!r} is not in the schema{self.hint(name)}",
                    code="unknown_segment",
                )
        merged = tuple(dict.fromkeys([*self.segments, *divisions, *own]))
        object.__setattr__(self, "segments", merged)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Column:
        try:
            return self._by_name[name]
        except KeyError:
            raise SchemaMismatch(
                f"no column {name!r}{self.hint(name)}", code="unknown_column"
            ) from None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(self._by_name)

    @property
    def watched(self) -> tuple[Column, ...]:
        """The columns whose distribution is watched, in order."""
        return tuple(c for c in self.columns if c.role in WATCHED_ROLES)

    def role(self, role: Role) -> Column | None:
        """Return the first column with this role, or None.

        Examples
        --------
        >>> Schema((Column("y", ColumnType.BOOLEAN, Role.LABEL),)).role(Role.LABEL).name
        'y'
        """
        return next((c for c in self.columns if c.role is role), None)

    def with_role(self, role: Role) -> tuple[Column, ...]:
        """Return all columns with this role, in order."""
        return tuple(c for c in self.columns if c.role is role)

    def select(self, names: Iterable[str]) -> Schema:
        """Return the schema of these columns only, in the schema's order."""
        wanted = set(names)
        return replace(
            self,
            columns=tuple(c for c in self.columns if c.name in wanted),
            segments=tuple(s for s in self.segments if wanted.issuperset(self.columns_of(s))),
            divisions=tuple(one for one in self.divisions if wanted.issuperset(one.columns)),
        )

    def with_segments(self, segments: Iterable[str | Division]) -> Schema:
        """Return the schema divided by these too; one of the same columns takes another's place."""
        added = [one for one in segments if isinstance(one, Division) and not one.plain]
        names = [one.name if isinstance(one, Division) else one for one in segments]
        held = [one for one in self.divisions if one.name not in names]
        return replace(
            self,
            segments=tuple(dict.fromkeys([*self.segments, *names])),
            divisions=(*held, *{one.name: one for one in added}.values()),
        )

    def division(self, segment: str) -> Division:
        """Return what a segment's name stands for."""
        found = next((one for one in self.divisions if one.name == segment), None)
        return Division((Part(segment),)) if found is None else found

    def segment_in(self, text: str) -> dict[str, str] | None:
        """Read ``carrier:UA``, or of a combination ``carrier:UA,origin:EWR``; None for no segment.

        Names may hold colons, and values commas: the segment of most columns that fits counts, then
        that of the longest name.

        Examples
        --------
        >>> schema = Schema((Column("a:b", ColumnType.CATEGORICAL),), segments=("a:b",))
        >>> schema.segment_in("a:b:c"), schema.segment_in("x:c")
        ({'a:b': 'c'}, None)
        """
        found: list[dict[str, str]] = []
        for name in self.segments:
            columns = self.columns_of(name)
            pattern = ",".join(f"{re.escape(column)}:(.*)" for column in columns)
            match = re.fullmatch(pattern, text, re.DOTALL)
            if match is not None:
                found.append(dict(zip(columns, match.groups(), strict=True)))
        return max(found, key=lambda one: (len(one), sum(map(len, one))), default=None)

    def columns_of(self, segment: str) -> tuple[str, ...]:
        """Return the names of the columns that a segment's name stands for."""
        return self.division(segment).columns

    @property
    def segment_columns(self) -> tuple[str, ...]:
        """Names of all columns that it takes to divide records."""
        return tuple(dict.fromkeys(name for one in self.segments for name in self.columns_of(one)))

    @property
    def plain_segments(self) -> tuple[str, ...]:
        """The segments that are the values of one column."""
        return tuple(one for one in self.segments if self.division(one).plain)

    def hint(self, name: str) -> str:
        """Return ``" (did you mean …?)"`` for a name that is almost one of the columns, or ``""``.

        Examples
        --------
        >>> Schema((Column("carrier", ColumnType.CATEGORICAL),)).hint("carier")
        " (did you mean 'carrier'?)"
        """
        close = get_close_matches(name, self._by_name, n=1)
        return f" (did you mean {close[0]!r}?)" if close else ""
