"""The value that leaves a filter open, where None is a value of its own."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Wildcard(Enum):
    """Stands for every value, null included."""

    ANY = "any"

    def __repr__(self) -> str:
        return "ANY"


#: No filter: ``version=ANY`` is every version, ``version=None`` the records without one.
ANY: Final = Wildcard.ANY
