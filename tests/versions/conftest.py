"""A champion, and a challenger that is worse."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rivals import made


@pytest.fixture(scope="session")
def champion() -> pa.Table:
    return made()


@pytest.fixture(scope="session")
def worse() -> pa.Table:
    return made(seed=2, noise=4.0)
