"""Tidegauge: monitoring and observability for machine-learning models in production."""

from tidegauge.version import __version__

__all__ = ["__version__"]
