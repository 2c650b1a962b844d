"""For processes of our own, that compare files or serve: what they can do without.

Profiling allocates and frees arrays of a megabyte thousands of times. By default each goes back to
the operating system, and faulting its pages in again was measured to cost a comparison of two
million-row files a fifth of its time. And PyArrow imports pandas, if that is installed, as soon as
it is handed a NumPy array: a tenth of a second, for nothing.
"""

from __future__ import annotations

import ctypes
import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa

_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD = -1


class _WithoutPandas(MetaPathFinder):
    """Tells whoever asks that pandas is not installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out of this process", name="pandas")


def without_pandas() -> None:
    """Leave pandas out; never call this in a process of a user's own."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas())


def only_files() -> None:
    """Keep freed memory, and leave pandas out; never call this in a process of a user's own."""
    without_pandas()
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        # Another C library than glibc: it is only slower.
        return
