"""Frames of any make, cut into entries for the outbox: Arrow batches, else lines of JSON."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tidegauge_client.batch import ARROW_STREAM, Batch, Kind
from tidegauge_client.errors import NaiveTimeError
from tidegauge_client.json_line import LineEncoder, id_text
from tidegauge_client.options import Options
from tidegauge_client.pandas_frame import is_pandas, with_named_index

Drop = Callable[[str, str], None]
"""Is told of a row that can't be sent: the kind of trouble, and what it is."""


def entries(
    kind: Kind, frame: Any, encoder: LineEncoder, options: Options, drop: Drop
) -> Iterator[bytes | Batch]:
    """Check `frame` as a whole, then return an iterator over what to send of it.

    Raises
    ------
    TypeError
        If `frame` is none of the kinds that can be read.
    NaiveTimeError
        If a time column has no zone. Nothing has been handed out by then.
    ValueError
        If its columns differ in length, or labels lack a column they need.

    Examples
    --------
    >>> encoder = LineEncoder(None)
    >>> list(entries("labels", [{"prediction_id": 1, "label": 0}], encoder, Options(), print))
    [b'{"prediction_id":"1","label":0}']
    """
    reader = None if isinstance(frame, list | tuple | dict) else arrow_reader(frame)
    if reader is not None:
        _check_columns(kind, reader.schema.names)
        return _arrow_batches(kind, reader, encoder, options, drop)
    return iter(_lines(kind, rows(frame), encoder, drop))


def arrow_reader(frame: Any) -> Any:
    """Return an Arrow reader over `frame`, or None if there is no PyArrow or it can't read it."""
    readable = isinstance(frame, list | dict) or is_pandas(frame)
    if readable or any(hasattr(frame, f"__arrow_c_{form}__") for form in ("stream", "array")):
        try:
            from tidegauge_client import arrow
        except ImportError:
            return None
        return arrow.read(frame)
    return None


def rows(frame: Any) -> Iterable[Mapping[str, object]]:
    """Return the rows of a frame as mappings.

    Examples
    --------
    >>> list(rows({"prediction_id": ["a", "b"], "age": [1, 2]}))
    [{'prediction_id': 'a', 'age': 1}, {'prediction_id': 'b', 'age': 2}]
    """
    if isinstance(frame, list | tuple):
        return frame
    if is_pandas(frame):
        return _transposed({str(name): column for name, column in with_named_index(frame).items()})
    if isinstance(frame, Mapping):
        return _transposed(frame)
    if hasattr(frame, "to_dicts"):  # polars
        return list(frame.to_dicts())
    if hasattr(frame, "__arrow_c_stream__"):
        missing = importlib.util.find_spec("pyarrow") is None
        hint = ": install tidegauge-client[arrow]" if missing else ""
        raise TypeError(f"a {type(frame).__name__} could not be read as Arrow{hint}")
    raise TypeError(
        f"a {type(frame).__name__} is no frame: give a pandas DataFrame, anything with "
        "__arrow_c_stream__, a list of dicts, or a dict of lists"
    )


def _transposed(columns: Mapping[str, Iterable[object]]) -> list[dict[str, object]]:
    names = list(columns)
    for name, column in columns.items():
        if isinstance(column, str) or not hasattr(column, "__iter__"):
            raise TypeError(
                f"column {name!r} is a {type(column).__name__}: a dict that is a frame holds a "
                "list for each column (one record is for log_one)"
            )
    try:
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    except ValueError:
        lengths = ", ".join(f"{name}: {len(list(column))}" for name, column in columns.items())
        raise ValueError(f"the columns differ in length ({lengths})") from None


def _arrow_batches(
    kind: Kind, reader: Any, encoder: LineEncoder, options: Options, drop: Drop
) -> Iterator[Batch]:
    from tidegauge_client import arrow

    reader = arrow.wire_ready(reader, encoder.zone)
    largest = min(options.batch_bytes, options.queue_bytes)

    def too_large(size: int) -> None:
        drop("too_large", f"a row of {size} bytes is more than one request may hold ({largest})")

    return (
        Batch(kind, ARROW_STREAM, body, records)
        for body, records in arrow.bodies(reader, options.frame_records, largest, too_large)
    )


def _lines(
    kind: Kind, records: Iterable[Mapping[str, object]], encoder: LineEncoder, drop: Drop
) -> list[bytes]:
    """Encode all rows before any is sent, so that a naive time stops the call as a whole."""
    lines = []
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TypeError(f"row {index} is a {type(record).__name__}, not a dict")
        if kind == "labels":
            _check_columns(kind, record)
        try:
            if "prediction_id" in record:
                record = {**record, "prediction_id": id_text(record["prediction_id"])}
            lines.append(encoder.line(record))
        except NaiveTimeError:
            raise
        except ValueError as error:
            drop("unsendable", f"row {index}: {error}")
    return lines


def _check_columns(kind: Kind, names: Iterable[str]) -> None:
    missing = {"prediction_id", "label"} - set(names)
    if kind == "labels" and missing:
        raise ValueError(
            f"labels need the columns prediction_id and label; {' and '.join(sorted(missing))} "
            f"not found among: {', '.join(map(str, names))}"
        )
