"""Champion against challenger: two versions of a model compared, and whether one may ship."""

from tidegauge.versions.report import VersionReport
from tidegauge.versions.run import compare_tables, compare_versions

__all__ = ["VersionReport", "compare_tables", "compare_versions"]
