"""Which server this is: an id that stays with its data folder."""

from __future__ import annotations

import logging
import os
import re
import uuid
from pathlib import Path

_log = logging.getLogger(__name__)
_NAME = "server.id"


def server_id(data: Path) -> str:
    """Return the id of the server whose data folder this is, made at its first start.

    One process at a time holds the folder. So whoever comes under the id of an earlier process
    knows that this has ended, and need not wait for its lease to run out.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> server_id(Path(folder.name)) == server_id(Path(folder.name))
    True
    >>> folder.cleanup()
    """
    path = data / _NAME
    try:
        held = path.read_text().strip()
        if re.fullmatch("[0-9a-f]{32}", held):
            return held
    except (OSError, ValueError):
        pass
    made = uuid.uuid4().hex
    half = path.with_suffix(".part")
    try:
        with half.open("w") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        # A full disk is no reason not to start; at the next one its lease has to be waited for.
        _log.warning("the server's id could not be kept in %s: %s", path, error)
    return made
