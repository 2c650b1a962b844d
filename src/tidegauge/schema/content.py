"""What a sample of rows tells about one column: its type, its range, how many values it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tidegauge.schema.arrow import TIMESTAMP, column_type, decoded, is_text, value_type
from tidegauge.schema.types import ColumnType

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}|$)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^0-9a-z]+")

#: Fewer rows than this say little about how often values repeat.
ENOUGH = 100


def plain_name(name: str) -> str:
    """Return a column's name as small words joined by ``_``, to compare it with known names.

    Examples
    --------
    >>> plain_name("Model Version"), plain_name("predictionId"), plain_name("y-true")
    ('model_version', 'prediction_id', 'y_true')
    """
    return _OTHER.sub("_", _CAMEL.sub("_", name).lower()).strip("_")


@dataclass(frozen=True)
class Content:
    """One column of a sample, asked only for what the rules need.

    Parameters
    ----------
    name : str
    raw : pyarrow.ChunkedArray
        The column's values in the sample, as they came.
    """

    name: str
    raw: Any

    @cached_property
    def key(self) -> str:
        """The name as small words joined by ``_``."""
        return plain_name(self.name)

    @cached_property
    def values(self) -> Any:
        """The values that are not null, plain text and plain numbers where possible."""
        plain = decoded(self.raw)
        if pt.is_decimal(plain.type) or pt.is_float16(plain.type):
            plain = plain.cast(pa.float64())
        return plain.drop_null() if plain.null_count else plain

    @property
    def count(self) -> int:
        """How many values are not null."""
        return len(self.values)

    @property
    def empty(self) -> bool:
        """Whether the sample holds no value at all, so that only the name can tell."""
        return self.count == 0

    @cached_property
    def type(self) -> ColumnType | None:
        """What the values are; None where they have no distribution that can be watched."""
        if pt.is_null(self.raw.type):
            return ColumnType.CATEGORICAL
        kind = column_type(self.raw.type)
        if kind is ColumnType.EMBEDDING:
            return kind if self._same_length() else None
        if kind is ColumnType.CATEGORICAL and is_text(self.values.type) and self.count:
            if self._all_times():
                return ColumnType.DATETIME
            declared = pt.is_dictionary(self.raw.type)
            return ColumnType.TEXT if not declared and self._is_prose() else kind
        return kind

    @cached_property
    def integer(self) -> bool:
        """Whether the values are whole numbers."""
        kind = self.values.type
        if pt.is_integer(kind):
            return True
        if not pt.is_floating(kind) or self.empty:
            return False
        wide = self.values.cast(pa.float64())
        finite = wide.filter(pc.is_finite(wide))
        return len(finite) > 0 and bool(pc.all(pc.equal(finite, pc.round(finite))).as_py())

    @cached_property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest number; None where there is none."""
        if self.type is not ColumnType.NUMERIC or self.empty:
            return None
        low, high = (float(end) for end in _ends(self.values))
        return None if low != low or high != high else (low, high)

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(pc.count_distinct(self.values).as_py()) if self._comparable() else self.count

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The different values as text, at most 1,000, sorted."""
        if not self._comparable():
            return ()
        different = pc.unique(self.values)[:1000].to_pylist()
        return tuple(sorted(as_text(value) for value in different if value == value))

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return not self.empty and self.count == len(self.raw) and self.distinct == self.count

    @cached_property
    def zero_or_one(self) -> bool:
        """Whether the values are truth values, or numbers of which none is other than 0 and 1."""
        if self.type is ColumnType.BOOLEAN:
            return True
        if self.range is None or not self.integer:
            return False
        return self.range[0] >= 0 and self.range[1] <= 1

    @property
    def share(self) -> bool:
        """Whether the values are numbers in 0..1, as probabilities are; true if there is none."""
        if self.empty:
            return True
        slack = 1e-6
        return self.range is not None and self.range[0] >= -slack and self.range[1] <= 1 + slack

    def _comparable(self) -> bool:
        kind = self.values.type
        return bool(pt.is_primitive(kind) or is_text(kind) or pt.is_decimal(kind))

    def _same_length(self) -> bool:
        if pt.is_fixed_size_list(value_type(self.raw.type)) or self.empty:
            return True
        shortest, longest = _ends(pc.list_value_length(self.values))
        return bool(shortest == longest and shortest > 1)

    def _all_times(self) -> bool:
        if not _ISO_DATE.match(self.values[0].as_py()):
            return False
        return any(_casts(self.values, kind) for kind in (TIMESTAMP, pa.timestamp("us")))

    def _is_prose(self) -> bool:
        if pc.mean(pc.utf8_length(self.values)).as_py() > 100:
            return True
        spaces = pc.mean(pc.count_substring(self.values, " ")).as_py()
        return bool(spaces >= 3 and self.distinct > 0.2 * self.count)


def as_text(value: object) -> str:
    """Return a value as the text under which it is stored in a categorical column.

    Examples
    --------
    >>> as_text(True), as_text(2.0), as_text(2.5), as_text("UA")
    ('true', '2', '2.5', 'UA')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(pa.scalar(value).cast(pa.string()).as_py())
    return str(value)


def _ends(values: Any) -> tuple[Any, Any]:
    ends: Any = pc.min_max(values)
    return ends["min"].as_py(), ends["max"].as_py()


def _casts(values: Any, kind: pa.DataType) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowException:
        return False
    return True
