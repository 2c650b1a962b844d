"""Where a model's tables stand: names of projects and models as folder names, and back."""

from __future__ import annotations

import re
from typing import Literal, get_args

from tidegauge.errors import BadInput

#: The tables of one model.
TableKind = Literal["records", "labels", "quarantine", "profiles", "points", "samples"]
TABLE_KINDS: tuple[TableKind, ...] = get_args(TableKind)

_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_LONGEST = 200


def folder_name(name: str) -> str:
    """Return the folder name of a project or model, whatever characters its name has.

    Letters, digits, ``-``, ``_`` and ``.`` stay (the last two not at the beginning, where they
    hide a folder from other readers); every other byte of the UTF-8 form becomes ``~`` and two
    hexadecimal digits. So no name leads out of its folder, and no two names share one.

    Raises
    ------
    BadInput
        When the name is empty or longer than 200 characters as a folder name.

    Examples
    --------
    >>> folder_name("flight-delay"), folder_name("../fares €")
    ('flight-delay', '~2e.~2ffares~20~e2~82~ac')
    """
    if not name:
        raise BadInput("a project or model needs a name", code="empty_name")
    folder = "".join(
        character
        if _PLAIN.fullmatch(character) and (at or character not in "._")
        else "".join(f"~{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
        for at, character in enumerate(name)
    )
    if len(folder) > _LONGEST:
        raise BadInput(
            f"the name {name[:40]!r}… is too long; at most {_LONGEST} plain characters",
            code="name_too_long",
        )
    return folder


def name_of_folder(folder: str) -> str:
    """Return the name that :func:`folder_name` turned into this folder name.

    Examples
    --------
    >>> name_of_folder(folder_name("../fares €"))
    '../fares €'
    """
    coded = re.sub(r"~([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), folder)
    return coded.encode("latin-1").decode("utf-8", "surrogatepass")
