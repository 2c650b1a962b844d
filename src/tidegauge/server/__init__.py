"""The server: takes records in over HTTP, and answers what the lower layers hold."""

from tidegauge.server.settings import Settings

__all__ = ["Settings"]
