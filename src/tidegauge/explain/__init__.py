"""Why: which columns matter to the score, which hours hold the missing values."""

from tidegauge.explain.impact import ScoreImpact

__all__ = ["ScoreImpact"]
