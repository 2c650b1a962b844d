"""Engines bring rows: from files, tables, frames and the lake, as Arrow batches. No statistics."""

from tidegauge.engine.open import open_source
from tidegauge.engine.run import profile_source, survey_source
from tidegauge.engine.source import Source

__all__ = ["Source", "open_source", "profile_source", "survey_source"]
