"""A comparison inside a notebook: the report in a frame of its own."""

from __future__ import annotations

from tidegauge.report.data import ReportData
from tidegauge.report.html import render_report

_HEIGHT = 680


def notebook_html(data: ReportData) -> str:
    """Draw a comparison for a notebook's output (Jupyter, VS Code, Colab).

    The report stands whole in an ``<iframe srcdoc>``: neither the notebook's styles nor its
    scripts reach it, nor does it reach theirs. It can be pulled taller at its lower edge.

    Parameters
    ----------
    data : ReportData

    Returns
    -------
    str
    """
    # In single quotes, so that the many double quotes inside need no escaping.
    page = render_report(data).replace("&", "&amp;").replace("'", "&#39;")
    frame = "width:100%;height:100%;border:0;display:block"
    return (
        f'<div style="height:{_HEIGHT}px;max-width:100%;resize:vertical;overflow:hidden;'
        'border:1px solid #8884;border-radius:8px">'
        f'<iframe title="Tidegauge comparison" style="{frame}" '
        'sandbox="allow-scripts allow-downloads allow-modals allow-popups" '
        f"srcdoc='{page}'></iframe></div>"
    )
