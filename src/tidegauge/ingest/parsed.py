"""What a wire format makes of a body: rows or a table; and what a format is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from tidegauge.errors import BadInput

#: The records of a request as they came: a table, or a list. A list holds one JSON value a record
#: (an object, or what should have been one), or a `CorruptLine` where a line could not be read.
Parsed: TypeAlias = pa.Table | list[Any]


@dataclass(frozen=True)
class CorruptLine:
    """A line that is no JSON; it is quarantined as it came while the others go on.

    Parameters
    ----------
    text : str
        The line; bytes that are not UTF-8 as replacement characters.
    message : str
        What is wrong, with the number of the line.
    """

    text: str
    message: str


@dataclass(frozen=True)
class Format:
    """One wire format; a new one is a new file and one line in ``formats.py``.

    Parameters
    ----------
    name : str
        For people: ``"NDJSON"``.
    media_types : tuple of str
        The content types under which it comes, the preferred one first, in lower case.
    read : callable
        From a body to its records; raises `BadInput` if the body is malformed.
    write : callable
        From a table to a body with the same records.
    rows : bool
        Whether `read` gives a list, so that the records of several bodies can be put together.
    """

    name: str
    media_types: tuple[str, ...]
    read: Callable[[bytes], Parsed]
    write: Callable[[pa.Table], bytes]
    rows: bool = False


def require_sound(table: pa.Table) -> None:
    """Check that a table's buffers and names are what they claim to be, before anyone trusts them.

    Raises
    ------
    pyarrow.ArrowInvalid, UnicodeDecodeError
        If they are not.

    Examples
    --------
    >>> require_sound(pa.table({"age": [42]}))
    """
    table.validate(full=True)
    for field in table.schema:
        _read_names(field)


def _read_names(field: Any) -> None:
    """Read each name and zone in a type once: pyarrow decodes them only when asked."""
    kind = field.type
    _ = field.name
    if pt.is_timestamp(kind):
        _ = kind.tz
    inner = [getattr(kind, name, None) for name in ("value_field", "key_field", "item_field")]
    if pt.is_struct(kind) or pt.is_union(kind):
        inner = [kind.field(i) for i in range(kind.num_fields)]
    elif pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        inner = [pa.field("", kind.value_type)]
    for part in inner:
        if part is not None:
            _read_names(part)


def require_distinct_columns(table: pa.Table) -> pa.Table:
    """Return the table if no two of its columns have the same name.

    Raises
    ------
    BadInput
        With the code ``duplicate_column``.

    Examples
    --------
    >>> require_distinct_columns(pa.table([[1], [2]], names=["a", "a"]))
    Traceback (most recent call last):
    tidegauge.errors.BadInput: column 'a' stands more than once; rename or drop one
    """
    names = table.column_names
    if len(set(names)) < len(names):
        twice = [name for name, times in Counter(names).items() if times > 1]
        raise BadInput(
            f"column {', '.join(map(repr, twice))} stands more than once; rename or drop one",
            code="duplicate_column",
        )
    return table
