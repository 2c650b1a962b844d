"""The server's log: one event a line, for people or as JSON, without secrets or records' contents.

Every part logs with the standard library, what belongs to an event as ``extra``; so libraries and
ours come out the same way. Structlog puts the lines together.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import unquote

from tidegauge.errors import TidegaugeError
from tidegauge.server import tracing
from tidegauge.server.request_ids import current_id

if TYPE_CHECKING:
    from tidegauge.server.settings import Settings

HIDDEN = "***"

_SECRET = re.compile(r"secret|password|passwd|token|credential|sas|account_?key|api_?key", re.I)
_IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
_SHORTEST = 6
#: Errors of parts that quote the values that they were given; their quotes are left out.
_QUOTING = ("pyarrow", "duckdb", "deltalake", "internal", "orjson", "msgspec", "pydantic")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_Event = MutableMapping[str, Any]


def set_up(settings: Settings, stream: TextIO | None = None) -> Callable[[], None]:
    """Write the log to the standard error, unless somebody set logging up already.

    Parameters
    ----------
    settings : Settings
        ``log_format``, ``log_level``; and what is never to be written.
    stream : TextIO, optional

    Returns
    -------
    callable
        Takes it back.
    """
    root = logging.getLogger()
    if root.handlers and stream is None:
        return lambda: None
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    colours = settings.log_format == "console" and stream.isatty()
    handler.setFormatter(_formatter(settings.log_format, colours, secrets_of(settings)))
    level, before = settings.log_level.upper(), root.level
    root.addHandler(handler)
    root.setLevel(level)
    _quieten(level)

    def undo() -> None:
        root.removeHandler(handler)
        root.setLevel(before)

    return undo


def _quieten(level: str) -> None:
    """Leave libraries that tell their every step at warnings, unless everything is asked for."""
    if level != "DEBUG":
        for name in ("httpx", "httpcore", "urllib3", "alembic", "botocore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # A receiver of spans that is away: once for what is lost, not for each attempt.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)


def _formatter(form: str, colours: bool, secrets: Iterable[str]) -> logging.Formatter:
    import structlog  # Takes a tenth of a second, for the server alone.
    from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

    hidden = tuple(sorted(set(secrets), key=len, reverse=True))

    class Formatter(ProcessorFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return without_secrets(super().format(record), hidden)

    if form == "json":
        shown: Any = structlog.processors.JSONRenderer(serializer=_as_json)
    else:
        shown = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    return Formatter(
        foreign_pre_chain=[
            add_log_level,
            add_logger_name,
            ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_ids,
            _with_exception,
        ],
        processors=[ProcessorFormatter.remove_processors_meta, shown],
        pass_foreign_args=True,
    )


def _as_json(event: Any, **_: Any) -> str:
    import orjson

    return orjson.dumps(event, default=str).decode()


def _with_ids(_: Any, __: str, event: _Event) -> _Event:
    """Add the ids of the request and of the trace that the event belongs to."""
    for left in ("message", "asctime"):  # by another handler, as it formats
        event.pop(left, None)
    if request_id := current_id():
        event.setdefault("request_id", request_id)
    if (traced := tracing.ids()) is not None:
        event["trace_id"], event["span_id"] = traced
    return event


def _with_exception(_: Any, __: str, event: _Event) -> _Event:
    """Say what an exception says, as far as it quotes no records; with where it came from."""
    arguments = event.pop("positional_args", ())
    record = event.get("_record")
    if record is not None and any(isinstance(one, BaseException) for one in arguments):
        shown = tuple(_Said(said(o)) if isinstance(o, BaseException) else o for o in arguments)
        event["event"] = str(record.msg) % shown
    about = event.pop("exc_info", None) or (record.exc_info if record is not None else None)
    error = about if isinstance(about, BaseException) else about and about[1]
    if error:
        event["exception"] = "".join(_told(error)).rstrip("\n")
    return event


class _Said(str):
    """What an exception says, the same for ``%s`` and ``%r``."""

    def __repr__(self) -> str:
        return str(self)


def said(error: BaseException) -> str:
    """Return what an exception says, without what it may quote of records.

    Examples
    --------
    >>> said(FileNotFoundError(2, "No such file or directory", "/data/x"))
    "FileNotFoundError: [Errno 2] No such file or directory: '/data/x'"
    >>> import pyarrow as pa
    >>> said(pa.ArrowInvalid("Failed to parse string: 'Jane Doe' as a scalar of type double"))
    'ArrowInvalid: Failed to parse string: … as a scalar of type double'
    """
    name, text = type(error).__name__, str(error)
    home = type(error).__module__.partition(".")[0].lstrip("_")
    if isinstance(error, TidegaugeError):
        # What came from outside may be quoted: what is wrong with it stays, and the code.
        text = text if error.status >= 500 else f"{_QUOTED.sub('…', text)} ({error.code})"
    elif home in _QUOTING or (home == "builtins" and not isinstance(error, OSError)):
        text = _QUOTED.sub("…", text)
        if home in _QUOTING:
            text = _NUMBER.sub("…", text)
    return f"{name}: {text.partition(chr(10))[0]}" if text else name


def _told(error: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield an exception's traceback and those of its causes, the first cause first."""
    seen |= {id(error)}
    cause = error.__cause__
    between = "The above exception was the direct cause of the following exception:"
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
        between = "During handling of the above exception, another exception occurred:"
    if cause is not None and id(cause) not in seen:
        yield from _told(cause, seen)
        yield f"\n{between}\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{said(error)}\n"


class Sparing(logging.Filter):
    """Lets so many events through in a second, and says with the next how many it left out.

    Parameters
    ----------
    most : int

    Examples
    --------
    >>> sparing = Sparing(1)
    >>> event = logging.makeLogRecord({})
    >>> [sparing.filter(event) for _ in range(3)].count(False) >= 1
    True
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._second = 0
        self._events = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether an event is written."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._events = second, 0
        self._events += 1
        if self._events > self._most:
            self._left_out += 1
            return False
        if self._left_out:
            record.left_out_before, self._left_out = self._left_out, 0
        return True


def about_request(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a request: no query and no body, which may hold what is private.

    Examples
    --------
    >>> about_request({"method": "GET", "path": "/v1/x", "path_params": {"model": "m"}})
    {'method': 'GET', 'path': '/v1/x', 'model': 'm'}
    """
    about: dict[str, Any] = {"method": scope["method"], "path": scope["path"][:300]}
    for name in ("project", "model"):
        if isinstance(value := scope.get("path_params", {}).get(name), str):
            about[name] = value
    if code := scope.get("state", {}).get("problem"):
        about["code"] = code
    return about


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, and without the password of any URL in it.

    Examples
    --------
    >>> without_secrets("postgresql://tide:h1gh@db/x failed for key k-123", ["k-123"])
    'postgresql://tide:***@db/x failed for key ***'
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def secrets_of(settings: Settings, environment: Mapping[str, str] | None = None) -> set[str]:
    """Return every text that may not be written: passwords and keys, of settings and environment.

    Examples
    --------
    >>> from tidegauge.server.settings import Settings
    >>> settings = Settings(database_url="postgresql://a:p%40ssword@h/x")
    >>> sorted(secrets_of(settings, {"K_TOKEN": "t0k-en"}))
    ['p%40ssword', 'p@ssword', 't0k-en']
    """
    environment = os.environ if environment is None else environment
    found = {value for name, value in environment.items() if _SECRET.search(name)}
    for pair in environment.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(","):
        found.add(pair.partition("=")[2].strip())
    for value in settings.model_dump().values():
        if isinstance(value, str):
            found |= set(_passwords(value))
        elif isinstance(value, dict):
            found |= {str(one) for name, one in value.items() if _SECRET.search(str(name))}
    return {one for one in found if len(one) >= _SHORTEST and one != HIDDEN}


def _passwords(text: str) -> Iterator[str]:
    for found in re.finditer(r"://[^\s:/@]*:([^\s/@]+)@", text):
        yield found[1]
        yield unquote(found[1])
