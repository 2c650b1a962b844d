"""Stored values in another type than that of their column, in DuckDB's SQL: wider, or set aside."""

from __future__ import annotations

_NUMBERS = "'BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE'"
_NO_NUMBERS = "'NaN', 'Infinity', '-Infinity'"


def converted(value: str, held: str, kind: str) -> str:
    """Return a stored value in another type; null where it has none there.

    True and false are the numbers 1 and 0 and the texts ``true`` and ``false``; a number is its
    shortest text, a whole one without a point.

    Parameters
    ----------
    value : str
        In SQL.
    held, kind : str
        SQL types: that of the value, and the one that is wanted.

    Examples
    --------
    >>> converted("r.x", "DOUBLE", "DOUBLE")
    'TRY_CAST(r.x AS DOUBLE)'
    >>> converted("r.x", "DOUBLE", "BOOLEAN")
    'CASE r.x WHEN 1 THEN true WHEN 0 THEN false END'
    """
    if kind == "BOOLEAN" and held == "DOUBLE":
        return f"CASE {value} WHEN 1 THEN true WHEN 0 THEN false END"
    if kind == "BOOLEAN" and held == "VARCHAR":
        return (
            f"CASE WHEN {value} IN ('true', '1') THEN true"
            f" WHEN {value} IN ('false', '0') THEN false END"
        )
    if kind == "VARCHAR" and held == "DOUBLE":
        return number_text(value)
    if kind == "DOUBLE" and held == "VARCHAR":
        # What was a truth value before it was text was one before it was a number, too.
        truth = f"CASE {value} WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END"
        return f"coalesce(TRY_CAST({value} AS DOUBLE), {truth})"
    return f"TRY_CAST({value} AS {kind})"


def number_text(value: str) -> str:
    """Return a number as text, a whole one without a point."""
    return f"regexp_replace(CAST({value} AS VARCHAR), '\\.0$', '')"


def from_extra(extra: str, name: str, kind: str) -> str:
    """Return a field of a JSON object in a column's type; null where it would not have fitted.

    What fits is what fits when it is sent: texts are no numbers, except for the names of those
    that JSON does not know; numbers and truth values are texts where texts are wanted.

    Parameters
    ----------
    extra : str
        The object, in SQL.
    name : str
        Of the field.
    kind : str
        The SQL type.

    Examples
    --------
    >>> from_extra("r._extra", "plan/b", "TIMESTAMPTZ").split(' THEN ')[1].split(' AS ')[0]
    "TRY_CAST(json_extract_string(r._extra, '/plan~1b')"
    """
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    path = "'" + pointer.replace("'", "''") + "'"
    text = f"json_extract_string({extra}, {path})"
    what = f"json_type({extra}, {path})"
    if kind == "DOUBLE":
        fits = f"{what} IN ({_NUMBERS}) OR {text} IN ({_NO_NUMBERS})"
        return f"CASE WHEN {fits} THEN TRY_CAST({text} AS DOUBLE) END"
    if kind == "BOOLEAN":
        return (
            f"CASE WHEN {what} = 'BOOLEAN' THEN {text} = 'true'"
            f" WHEN {what} IN ({_NUMBERS}) AND TRY_CAST({text} AS DOUBLE) IN (0, 1)"
            f" THEN TRY_CAST({text} AS DOUBLE) = 1 END"
        )
    if kind == "VARCHAR":
        number = number_text(f"TRY_CAST({text} AS DOUBLE)")
        return (
            f"CASE WHEN {what} IN ('VARCHAR', 'BOOLEAN', 'BIGINT', 'UBIGINT') THEN {text}"
            f" WHEN {what} = 'DOUBLE' THEN {number} END"
        )
    if kind == "TIMESTAMPTZ":
        return f"CASE WHEN {what} = 'VARCHAR' THEN TRY_CAST({text} AS TIMESTAMPTZ) END"
    return f"CASE WHEN {is_vector(text)} THEN TRY_CAST(json_extract({extra}, {path}) AS {kind}) END"


def is_vector(text: str) -> str:
    """Return whether JSON text is a list of numbers, in SQL."""
    return f"regexp_full_match({text}, '\\[[-+0-9.eE,\\s]*\\]')"
