"""Distinct counts that merge: HyperLogLog registers (Flajolet et al. 2007).

1,024 registers give a standard error of 3.3 %; up to about 2,500 values linear counting on the
same registers is closer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REGISTERS = 1024
_BITS = np.uint64(10)
_QUICK = np.uint64(0b1111)


def registers(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the registers of some hashed values.

    Parameters
    ----------
    hashes : (n,) uint64

    Returns
    -------
    (REGISTERS,) uint8

    Examples
    --------
    >>> int(registers(np.array([0], dtype=np.uint64)).max())
    55
    """
    out = np.zeros(REGISTERS, dtype=np.uint8)
    if len(hashes) > 16 * REGISTERS:
        # Only hashes with four trailing zeros can matter once every register has passed four.
        _raise(out, hashes[(hashes & _QUICK) == 0])
        if out.min() > 4:
            return out
    _raise(out, hashes)
    return out


def _raise(out: NDArray[np.uint8], hashes: NDArray[np.uint64]) -> None:
    if hashes.size == 0:
        return
    rest = hashes & np.uint64((1 << 54) - 1)
    lowest = rest & (~rest + np.uint64(1))
    with np.errstate(divide="ignore"):
        rank = np.where(rest == 0, 55, np.log2(lowest.astype(np.float64)) + 1).astype(np.uint8)
    np.maximum.at(out, (hashes >> (np.uint64(64) - _BITS)).astype(np.int64), rank)


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
    return np.where((raw <= 2.5 * m) & (empty > 0), linear, raw)
