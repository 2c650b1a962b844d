"""``tg.compare``: two sets of records in, a judged report out.

Wires engines, profiles, metrics and verdicts; what it returns is drawn by ``report/``.
"""

from tidegauge.comparison.report import Report
from tidegauge.comparison.run import compare, parse_window

__all__ = ["Report", "compare", "parse_window"]
