"""The version of the client, as a plain string: the main wheel carries it without own metadata."""

__version__ = "0.1.0"
