"""Writes ``docs/settings.md`` from the settings class, so that it cannot fall behind."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tidegauge.server.settings import Settings, variable

_HEADING = re.compile(r"    # (\S.*)\.$")
_FIELD = re.compile(r"    (\w+): ")
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_SMALLEST = 1 << 16


def groups() -> Iterator[tuple[str, list[str]]]:
    """Yield each group of settings: its heading, as the class's comments say it, and its names."""
    heading, names = "", list[str]()
    for line in inspect.getsource(Settings).splitlines():
        if found := _HEADING.match(line):
            if names:
                yield heading, names
            heading, names = found[1], []
        elif (found := _FIELD.match(line)) and found[1] in Settings.model_fields:
            names.append(found[1])
    yield heading, names


def shown(value: Any) -> str:
    """Return a default as one would write it.

    Examples
    --------
    >>> shown(timedelta(minutes=90)), shown(64 << 20), shown(8420), shown(()), shown(True)
    ('`90m`', '`67108864` (64 MiB)', '`8420`', '', '`true`')
    """
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        if not seconds:
            return "`0s`"
        unit, size = next(((u, s) for u, s in _UNITS if seconds % s == 0), ("s", 1))
        return f"`{seconds / size:g}{unit}`"
    if isinstance(value, int) and value >= _SMALLEST:
        for name, size in _SIZES:
            if value % size == 0:
                return f"`{value}` ({value // size} {name})"
    return f"`{value}`"


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Settings",
        "",
        "Written by `make docs` from the settings class. Each is an environment variable; `data`,",
        "`host` and `port` are options of `tidegauge serve` as well, which come first. Spans of",
        "time are written `2s`, `10m`, `6h`, `1d`, `2w` (a bare number counts seconds), sizes are",
        "bytes. A value that cannot be read is refused at the start, by name.",
    ]
    for heading, names in groups():
        lines += [
            "",
            f"## {heading}",
            "",
            "| variable | by default | what it sets |",
            "|---|---|---|",
        ]
        for name in names:
            field = Settings.model_fields[name]
            tells = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{variable(name)}` | {shown(field.default)} | {tells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
