"""Performance without labels: what the baseline's labelled rows teach, taken to other rows.

``relation.py`` learns what happens given the inputs and the score; ``estimator.py`` makes of it
the group of arrays that performance metrics read, as expected and as it may turn out.
"""

from tidegauge.estimation.estimates import Estimate, Estimates
from tidegauge.estimation.estimator import Estimator, summarised
from tidegauge.estimation.relation import Relation

__all__ = ["Estimate", "Estimates", "Estimator", "Relation", "summarised"]
