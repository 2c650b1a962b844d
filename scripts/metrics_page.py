"""Writes ``docs/metrics.md`` from the registry, so that it cannot fall behind."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegauge.metrics import Family, Metric, all_metrics

ABOUT = {
    Family.DRIFT: "How far a column's distribution lies from its baseline's.",
    Family.QUALITY: "What is missing, new, out of range or unreadable, and plain figures.",
    Family.PERFORMANCE: "How right the model is, where labels are.",
    Family.SERVICE: "How fast and how reliably it answers.",
    Family.STALENESS: "How old model, baseline and newest label are at the end of a window.",
}


def _where(one: Metric) -> str:
    if one.group:
        return ", ".join(sorted(task.value for task in one.tasks)) or "the model"
    return ", ".join(sorted(kind.value for kind in one.types))


def _judged(one: Metric) -> str:
    if not one.judged:
        return ""
    size = f"{one.minimum_effect:g}"
    return f"from {size} × what is expected" if one.relative else f"from {size}"


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Metrics",
        "",
        "Written by `make docs` from the registry. A metric that is *judged* can raise an alarm,",
        "from the given change on; every other one is shown beside it.",
    ]
    for family, about in ABOUT.items():
        lines += ["", f"## {family.value.capitalize()}", "", about, ""]
        lines += ["| metric | of | unit | judged | what it is |", "|---|---|---|---|---|"]
        for _, one in sorted(all_metrics().items()):
            if one.family is family:
                cells = (f"`{one.name}`", _where(one), one.unit, _judged(one), one.summary)
                lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
