"""Profiles as bytes: an Arrow IPC stream, one row an array, readable by any Arrow library.

Columns: ``group``, ``name``, ``shape`` (list), ``floats`` (list of double) or ``integers``
(list of int64). The windows and their width stand in the stream's metadata.
"""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa

from tidegauge.errors import UnreadableSource
from tidegauge.profile.layout import Layout
from tidegauge.profile.profile import Array, Profile

_FORMAT = "tidegauge-profile-1"


def profile_to_bytes(profile: Profile) -> bytes:
    """Return a profile, without its layout and sample, as bytes."""
    rows: dict[str, list[object]] = {
        k: [] for k in ("group", "name", "shape", "floats", "integers", "dtype")
    }
    for group, arrays in profile.arrays.items():
        for name, array in arrays.items():
            whole = array.dtype.kind != "f"
            rows["group"].append(group)
            rows["name"].append(name)
            rows["shape"].append(list(array.shape))
            rows["dtype"].append(array.dtype.str)
            flat = array.ravel()
            rows["integers"].append(flat.astype(np.int64) if whole else None)
            rows["floats"].append(None if whole else flat)
    width = None if profile.width is None else profile.width.total_seconds()
    meta = {"format": _FORMAT, "windows": profile.windows.tolist(), "width": width}
    schema = pa.schema(
        [
            ("group", pa.string()),
            ("name", pa.string()),
            ("shape", pa.list_(pa.int64())),
            ("floats", pa.list_(pa.float64())),
            ("integers", pa.list_(pa.int64())),
            ("dtype", pa.string()),
        ],
        metadata={"tidegauge": json.dumps(meta)},
    )
    table = pa.table([pa.array(rows[f.name], f.type) for f in schema], schema=schema)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def profile_from_bytes(data: bytes, layout: Layout) -> Profile:
    """Return the profile that ``profile_to_bytes`` wrote, under its layout.

    Raises
    ------
    UnreadableSource
        If the bytes are not a profile.
    """
    try:
        table = pa.ipc.open_stream(data).read_all()
        meta = json.loads(table.schema.metadata[b"tidegauge"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UnreadableSource(f"this is no stored profile: {error}") from error
    arrays: dict[str, dict[str, Array]] = {}
    for i in range(len(table)):
        column = "floats" if table["integers"][i].as_py() is None else "integers"
        values = table[column][i].values.to_numpy(zero_copy_only=False)
        array = values.astype(table["dtype"][i].as_py()).reshape(table["shape"][i].as_py())
        arrays.setdefault(table["group"][i].as_py(), {})[table["name"][i].as_py()] = array
    width = None if meta["width"] is None else timedelta(seconds=meta["width"])
    return Profile(layout, np.asarray(meta["windows"], dtype=np.int64), width, arrays)
