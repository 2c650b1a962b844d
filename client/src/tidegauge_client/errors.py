"""Every error of the client.

::

    Exception
    ├── ClientError
    │   ├── RefusedError        the server said no: the same request will be refused again
    │   ├── UnreachableError    no usable answer, after all retries
    │   └── ClosedError         the client was closed before this call
    ├── TransientError          inside only: this attempt failed, the next may not
    ├── DamagedError            inside only: a file of the spool is not what was written
    ├── SpoolFullError          inside only: the spool has no room for a batch
    └── ValueError
        └── UnsendableError     inside only: a value that no JSON can carry
            └── NaiveTimeError  a time without a zone; frames hand it to the caller

Only calls of a job (``log``, ``label``, ``baseline``) raise; ``log_one`` and ``label_one``
count what they cannot send as dropped.
"""

from __future__ import annotations


class ClientError(Exception):
    """What every error that the client raises by intent descends from."""


class RefusedError(ClientError):
    """The server refused a request, and would refuse it again.

    Attributes
    ----------
    status : int
        The HTTP status.
    code : str
        The server's word for the kind of refusal.
    message : str
        The server's explanation.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"refused with {status} ({code}): {message}")
        self.status = status
        self.code = code
        self.message = message


class UnreachableError(ClientError):
    """No usable answer came, after all retries."""


class ClosedError(ClientError):
    """The client was closed before this call."""


class TransientError(Exception):
    """One attempt failed in a way that the next may not.

    Attributes
    ----------
    retry_after : float or None
        The seconds that the server asked to be left alone for.
    perhaps_its_own : bool
        Whether the request itself may be at fault: the server was there, and failed at it.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, perhaps_its_own: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.perhaps_its_own = perhaps_its_own


class DamagedError(Exception):
    """A file of the spool is not, byte for byte, what was written."""


class SpoolFullError(Exception):
    """The spool has no room for a batch."""


class UnsendableError(ValueError):
    """A value that the wire cannot carry, with the column it stands in."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"column {column!r}: {why}")
        self.column = column


class NaiveTimeError(UnsendableError):
    """A time without a zone, in a client that was not told what such times mean."""

    def __init__(self, column: str) -> None:
        super().__init__(
            column,
            "a time without a zone; make the zone explicit "
            "(datetime.now(timezone.utc), series.dt.tz_localize('UTC')), "
            "or say what such times mean with Client(..., timezone='UTC')",
        )
