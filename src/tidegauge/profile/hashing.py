"""One 64-bit hash for every place that needs one: samples, vocabularies, distinct counts.

It depends on the value alone, not on the process, the machine, the batch or the library, so
samples taken on an edge device and in Spark hold the same rows. It is not for security.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.values import plain, rows_of

_C1 = np.uint64(0xBF58476D1CE4E5B9)
_C2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def mix64(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit integers so that every output bit depends on every input bit.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014), over whole arrays.

    Parameters
    ----------
    bits : (n,) uint64

    Returns
    -------
    (n,) uint64

    Examples
    --------
    >>> mix64(np.array([1, 2], dtype=np.uint64)).tolist()
    [6238072747940578789, 15839785061582574730]
    """
    h = bits >> np.uint64(30)
    h ^= bits
    h *= _C1
    h ^= h >> np.uint64(27)
    h *= _C2
    h ^= h >> np.uint64(31)
    return h


def hash_floats(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Hash numbers by their bits; -0.0 hashes as 0.0."""
    return mix64((values + 0.0).view(np.uint64))


def hash_strings(values: pa.Array) -> NDArray[np.uint64]:
    """Hash the UTF-8 bytes of strings, eight at a time; a null hashes as the empty string.

    Parameters
    ----------
    values : pyarrow string or binary array of length n
        Anything else is hashed by its text.

    Returns
    -------
    (n,) uint64

    Examples
    --------
    >>> a, b, c = hash_strings(pa.array(["UA", "AA", "UA"])).tolist()
    >>> a == c, a == b
    (True, False)
    """
    if not (pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        values = _texts(values)
    n = len(values)
    if n == 0:
        return np.empty(0, dtype=np.uint64)
    _, offset_buffer, data = values.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[values.offset : values.offset + n + 1]
    starts = offsets[:-1].astype(np.int64)
    lengths = np.diff(offsets).astype(np.int64)
    if values.null_count:
        lengths = np.where(np.asarray(pc.is_null(values)), 0, lengths)
    size = int(offsets[-1])
    padded = np.zeros(size + 8, dtype=np.uint8)
    if data is not None and size:
        padded[:size] = np.frombuffer(data, dtype=np.uint8, count=size)
    h = mix64(lengths.astype(np.uint64) + _STEP)
    live = np.flatnonzero(lengths > 0)
    done = 0
    while live.size:
        words = _words(padded, starts[live] + done, np.minimum(lengths[live] - done, 8))
        h[live] = mix64(h[live] * _STEP ^ words)
        done += 8
        live = live[lengths[live] > done]
    return h


def _texts(values: pa.Array) -> pa.Array:
    whole = pa.types.is_large_binary(values.type) or pa.types.is_fixed_size_binary(values.type)
    try:
        return pc.cast(values, pa.binary() if whole else pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array([None if v is None else str(v) for v in values.to_pylist()], pa.string())


def _words(
    data: NDArray[np.uint8], at: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Eight bytes from each place as a little-endian integer, those past ``length`` zero."""
    words = np.zeros(at.size, dtype=np.uint64)
    for k in range(int(length.max())):
        byte = data[at + k].astype(np.uint64) << np.uint64(8 * k)
        words |= np.where(length > k, byte, np.uint64(0))
    return words


def hash_array(values: pa.Array) -> NDArray[np.uint64]:
    """Hash any Arrow array: numbers by their bits, everything else by its text.

    Examples
    --------
    >>> len(set(hash_array(pa.array([1.5, 1.5, 2.0])).tolist()))
    2
    """
    values = plain(values)
    kind = values.type
    if pa.types.is_integer(kind):
        filled = values.fill_null(0) if values.null_count else values
        return mix64(pc.cast(filled, pa.int64(), safe=False).to_numpy().view(np.uint64))
    if pa.types.is_floating(kind):
        floats = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
        return hash_floats(floats)
    if pa.types.is_dictionary(kind):
        words = values.dictionary
        table = np.append(hash_array(words), hash_array(pa.nulls(1, words.type)))
        hashes: NDArray[np.uint64] = table[rows_of(values, len(words))]
        return hashes
    return hash_strings(values)
