"""Distinct counts that merge: HyperLogLog registers (Flajolet et al. 2007).

1,024 registers give a standard error of 3.3 %; up to about 2,500 values linear counting on the
same registers is closer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegauge.profile.hashing import mix64

REGISTERS = 1024
_ODD = np.uint64(0x9E3779B97F4A7C15)
_QUICK = np.uint64(1 << 61)


def registers(bits: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the registers of some values.

    Parameters
    ----------
    bits : (n,) uint64
        Any 64 bits that tell values apart: the bits of a double, or a hash.

    Returns
    -------
    (REGISTERS,) uint8

    Examples
    --------
    >>> held = registers(np.arange(500, dtype=np.uint64))
    >>> 480 < float(estimate(held)) < 520
    True
    """
    out = np.zeros(REGISTERS, dtype=np.uint8)
    ranked = bits ^ (bits >> np.uint64(32))
    ranked *= _ODD
    if len(bits) > 16 * REGISTERS:
        # Once every register has passed three, only values with three leading zeros matter. An
        # eighth of the values leaves hardly ever a register without any.
        _raise(out, ranked[ranked < _QUICK])
        if out.min() > 3:
            return out
    _raise(out, ranked)
    return out


def _raise(out: NDArray[np.uint8], ranked: NDArray[np.uint64]) -> None:
    if ranked.size == 0:
        return
    _, exponent = np.frexp(ranked.astype(np.float64))
    rank = (65 - exponent).astype(np.uint8)
    np.maximum.at(out, (mix64(ranked) >> np.uint64(54)).astype(np.int64), rank)


def estimate(held: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimate the number of distinct values.

    Parameters
    ----------
    held : (..., REGISTERS) uint8

    Returns
    -------
    (...) float64

    Examples
    --------
    >>> float(estimate(np.zeros(REGISTERS, dtype=np.uint8)))
    0.0
    """
    m = float(REGISTERS)
    raw = 0.7213 / (1 + 1.079 / m) * m * m / np.exp2(-held.astype(np.float64)).sum(axis=-1)
    empty = (held == 0).sum(axis=-1)
    linear = m * np.log(m / np.maximum(empty, 1))
    out: NDArray[np.float64] = np.where((raw <= 2.5 * m) & (empty > 0), linear, raw)
    return out
