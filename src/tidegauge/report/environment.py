"""The Jinja environment of every page and report: the filters, and where templates lie."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tidegauge.metrics.registry import all_metrics
from tidegauge.report import arithmetic, charts, format
from tidegauge.report.assets import packed_charts, script, style_sheet
from tidegauge.report.states import look_of, shown_state

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(*folders: Path) -> Environment:
    """Return the environment, the same one for the same folders.

    Parameters
    ----------
    *folders : Path
        Where else templates lie, before those of the report: a server's own.

    Returns
    -------
    jinja2.Environment
        It escapes everything, and refuses names that are not there.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    made.filters.update(
        number=format.number,
        count=format.count,
        share=format.share,
        duration=format.duration,
        quantity=format.quantity,
        signed=format.signed,
        p_value=format.p_value,
        plural=format.plural,
        instant=format.instant,
        interval=format.interval,
        span=format.span,
        ago=format.ago,
        arithmetic=arithmetic.arithmetic,
        usual=arithmetic.expected,
        shift=arithmetic.shift,
        foreseen=arithmetic.foreseen,
        outside=arithmetic.outside,
        sizes=arithmetic.sizes,
        sortable=sortable,
        why=arithmetic.why,
        look=look_of,
        shown_state=shown_state,
        script_json=script_json,
    )
    made.tests["known"] = format.known
    made.tests["alone"] = arithmetic.alone
    made.globals.update(
        explain=explain,
        band_bar=_drawn(charts.band_bar),
        sparkline=_drawn(charts.sparkline),
        outline=_drawn(charts.outline),
        style_sheet=lambda: Markup(style_sheet()),
        page_script=lambda: Markup(script()),
        packed_charts=lambda: Markup(packed_charts()),
    )
    return made


def explain(metric: str) -> str:
    """Return the sentence that explains a metric, or nothing for one that is not ours.

    Examples
    --------
    >>> explain("psi")[:26], explain("no such thing")
    ('Population stability index', '')
    """
    found = all_metrics().get(metric)
    return found.summary if found else ""


def sortable(value: float | None) -> str:
    """Write a number as tables sort by it; nothing where there is none.

    Examples
    --------
    >>> sortable(0.22090815400318248), sortable(None)
    ('0.220908', '')
    """
    return f"{value:.6g}" if format.known(value) else ""


def script_json(value: Any) -> Markup:
    r"""Write a value as JSON that may stand inside a ``<script>``.

    NaN and infinity become null.

    Examples
    --------
    >>> script_json({"a": "</script>"})
    Markup('{"a":"\\u003c/script>"}')
    """
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def _drawn(draw: Any) -> Any:
    """Let a function that draws SVG be called from a template."""

    def call(*args: Any, **about: Any) -> Markup:
        return Markup(draw(*args, **about))

    return call
