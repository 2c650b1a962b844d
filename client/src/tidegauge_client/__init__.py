"""What a scoring service imports to be watched by Tidegauge: ``Client`` and what it answers."""

from tidegauge_client.client import Client
from tidegauge_client.errors import ClientError, ClosedError, RefusedError, UnreachableError
from tidegauge_client.stats import Stats
from tidegauge_client.version import __version__

__all__ = [
    "Client",
    "ClientError",
    "ClosedError",
    "RefusedError",
    "Stats",
    "UnreachableError",
    "__version__",
]
