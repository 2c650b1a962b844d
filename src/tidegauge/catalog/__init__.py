"""The catalog: the small relational database beside the lake."""

from tidegauge.catalog.catalog import Catalog
from tidegauge.catalog.incidents import Alarm
from tidegauge.catalog.leases import Claim
from tidegauge.catalog.tables import IncidentKind, IncidentState
from tidegauge.catalog.terms import Term
from tidegauge.catalog.windows import WindowRow

__all__ = ["Alarm", "Catalog", "Claim", "IncidentKind", "IncidentState", "Term", "WindowRow"]
