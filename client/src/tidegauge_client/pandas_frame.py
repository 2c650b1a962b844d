"""What a pandas frame needs before its columns are a record's columns; pandas isn't imported."""

from __future__ import annotations

import sys
from typing import Any


def is_pandas(frame: object) -> bool:
    """Return whether `frame` is a pandas DataFrame.

    Examples
    --------
    >>> is_pandas({"age": [42]})
    False
    """
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def with_named_index(frame: Any) -> Any:
    """Return `frame` with a named index as columns: an index without names is only row numbers."""
    if all(name is not None for name in frame.index.names):
        return frame.reset_index()
    return frame
