"""Every error that Tidegauge raises on purpose.

::

    TidegaugeError
    ├── BadInput                 what came from outside cannot be used
    │   ├── UnreadableSource     a file, table or frame that cannot be opened or decoded
    │   ├── SchemaError          a schema that is wrong in itself
    │   ├── MonitorError         a budget or monitors that are wrong in themselves
    │   ├── SchemaMismatch       data that does not fit its schema, or two frames that do not fit
    │   └── EmptyInput           nothing to work on
    ├── NotFound                 a project, model, record or incident that is not there
    ├── Conflict                 what is asked contradicts what is stored
    │   └── LeaseLost            another process does this work now
    ├── Overloaded               try again later; carries the seconds to wait
    ├── Unavailable              the catalog or the store does not answer; likewise
    └── MissingExtra             an optional part that is not installed

Each carries a machine-readable ``code`` and a message of one line that says what was wrong,
where, and what to do. The command line prints the message and ends with 2; the server answers
with the error's ``status`` and both.
"""

from __future__ import annotations

from typing import ClassVar


class TidegaugeError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        One line: what, where, what to do.
    code : str, optional
        Machine-readable code; the class's own where none is given.

    Examples
    --------
    >>> BadInput("no common columns", code="no_common_columns").code
    'no_common_columns'
    """

    code: str = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def message(self) -> str:
        """The one line that is shown to a person."""
        return str(self.args[0])


class BadInput(TidegaugeError):
    """What came from outside cannot be used."""

    code = "bad_input"
    status = 400


class UnreadableSource(BadInput):
    """A file, table or frame that cannot be opened or decoded."""

    code = "unreadable"


class SchemaError(BadInput):
    """A schema that is wrong in itself; names the line and column where it stands in a file."""

    code = "bad_schema"
    status = 422


class MonitorError(BadInput):
    """A budget or monitors that are wrong in themselves; names the place, as ``SchemaError``."""

    code = "bad_monitor"
    status = 422


class SchemaMismatch(BadInput):
    """Data that does not fit its schema, or two frames that do not fit each other."""

    code = "schema_mismatch"
    status = 422


class EmptyInput(BadInput):
    """Nothing to work on: no rows, or no columns."""

    code = "empty"
    status = 422


class NotFound(TidegaugeError):
    """A project, model, record or incident that is not there."""

    code = "not_found"
    status = 404


class Conflict(TidegaugeError):
    """What is asked contradicts what is stored."""

    code = "conflict"
    status = 409


class Overloaded(TidegaugeError):
    """The server cannot take more at the moment.

    Parameters
    ----------
    message : str
        One line for a person.
    retry_after : float
        Seconds to wait before the next attempt.
    """

    code = "overloaded"
    status = 429

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LeaseLost(Conflict):
    """Another process has taken over the work that this one was doing; nothing was written."""

    code = "lease_lost"


class Unavailable(TidegaugeError):
    """A part that the server needs, such as the catalog, does not answer at the moment.

    Parameters
    ----------
    message : str
        One line for a person.
    retry_after : float
        Seconds to wait before the next attempt.
    """

    code = "unavailable"
    status = 503

    def __init__(self, message: str, *, code: str | None = None, retry_after: float = 5.0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class MissingExtra(TidegaugeError):
    """An optional part that is not installed; the message names the command that installs it."""

    code = "missing_extra"
    status = 501
