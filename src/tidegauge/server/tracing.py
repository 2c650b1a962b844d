"""Spans of the server's own work, for OpenTelemetry; nothing, at next to no cost, unless set up.

Two ways to tell of work that is being done: `work` begins a trace where there is none, for what the
server does by itself; `part` only adds to a trace that goes on, for steps of a request. The SDK is
an extra (``tidegauge[tracing]``), imported when spans are to be sent somewhere.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from tidegauge.errors import BadInput, MissingExtra
from tidegauge.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

_log = logging.getLogger(__name__)

#: The standard's own variables; either names a receiver.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PATH = "/v1/traces"
#: How long the last spans may take to be sent, in seconds.
_FAREWELL = 3.0

Attribute = str | int | float | bool
_NOTHING: AbstractContextManager[None] = nullcontext()


class _State:
    """What this process traces with."""

    tracer: Tracer | None = None
    ratio: float = 1.0


def endpoint_of(
    traces: str | None, environment: Mapping[str, str] | None = None
) -> tuple[str | None, bool]:
    """Return where spans go, and whether that was asked for by the setting; None for nowhere.

    Parameters
    ----------
    traces : str or None
        The setting: an address, ``off``, or None to go by the environment.

    Examples
    --------
    >>> endpoint_of("http://localhost:4318/", {})
    ('http://localhost:4318/v1/traces', True)
    >>> endpoint_of(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    ('http://collector:4318/v1/traces', False)
    >>> endpoint_of("off", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    (None, True)
    """
    environment = os.environ if environment is None else environment
    if traces is not None:
        return (None if traces == "off" else _with_path(traces)), True
    for name in ENDPOINTS:
        if given := environment.get(name, "").strip():
            return (given if name == ENDPOINTS[0] else _with_path(given)), False
    return None, False


def _with_path(address: str) -> str:
    address = address.rstrip("/")
    return address if address.endswith(_PATH) else address + _PATH


def set_up(
    traces: str | None, ratio: float, *, exporter: SpanExporter | None = None
) -> Callable[[], None]:
    """Have spans sent from now on; returns what sends the last ones and ends it.

    Parameters
    ----------
    traces : str or None
        The setting: address of an OTLP receiver over HTTP, ``off``, or None to go by the
        environment.
    ratio : float
        Share of the requests that are traced, of those whose caller traces nothing.
    exporter : SpanExporter, optional
        Another than the one that sends to that address.

    Raises
    ------
    MissingExtra
        If the setting asks for spans, and the SDK is not installed.
    BadInput
        If the address is none.
    """
    endpoint, asked = endpoint_of(traces)
    if endpoint is None and exporter is None:
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError:
        told = "spans are to be sent, but OpenTelemetry is not installed: pip install"
        if asked:
            raise MissingExtra(f"{told} 'tidegauge[tracing]'") from None
        _log.warning("%s 'tidegauge[tracing]', or set TIDEGAUGE_TRACES=off", told)
        return lambda: None
    if exporter is None:
        if endpoint is None or not endpoint.startswith(("http://", "https://")):
            raise BadInput(
                f"{endpoint!r} is no address of an OTLP receiver; give one as "
                "http://localhost:4318, or off",
                code="bad_setting",
            )
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_FAREWELL)
    about = {"service.version": __version__, "service.instance.id": os.urandom(8).hex()}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = "tidegauge"
    # What is traced is decided here, before a span costs anything.
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=Resource.create(about), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _State.tracer = provider.get_tracer("tidegauge", __version__)
    _State.ratio = ratio

    def end() -> None:
        _State.tracer = None
        # A receiver that is away must not hold up the end.
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_FAREWELL)

    return end


def is_on() -> bool:
    """Whether spans are sent anywhere."""
    return _State.tracer is not None


def work(name: str, **attributes: Attribute) -> AbstractContextManager[Any]:
    """Tell of something that the server does; a trace of its own where none goes on.

    Examples
    --------
    >>> with work("window.close", windows=3):
    ...     pass
    """
    tracer = _State.tracer
    return _NOTHING if tracer is None else _span(tracer, name, attributes)


def part(name: str, **attributes: Attribute) -> AbstractContextManager[Any]:
    """Tell of a step of what is being traced; nothing where nothing is.

    Examples
    --------
    >>> with part("ingest.check"):
    ...     pass
    """
    tracer = _State.tracer
    if tracer is None:
        return _NOTHING
    from opentelemetry.trace import get_current_span

    return _span(tracer, name, attributes) if get_current_span().is_recording() else _NOTHING


@contextmanager
def _span(tracer: Tracer, name: str, attributes: Mapping[str, Attribute]) -> Iterator[Span]:
    """Run as a span; of an error only its kind is told, since its words may quote records."""
    with tracer.start_as_current_span(
        name,
        attributes={f"tidegauge.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            _failed(span, type(error).__name__)
            raise


def _failed(span: Span, kind: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, kind))


def done(name: str, seconds: float, *, sampled: bool = False, **attributes: Attribute) -> None:
    """Tell of something that has just ended.

    Parameters
    ----------
    name : str
    seconds : float
        How long it took.
    sampled : bool
        Whether to tell only as large a share of it as of requests, since it is as frequent.
    """
    tracer = _State.tracer
    if tracer is None or (sampled and random.random() >= _State.ratio):
        return
    end = time.time_ns()
    span = tracer.start_span(
        name,
        attributes={f"tidegauge.{key}": value for key, value in attributes.items()},
        start_time=end - int(seconds * 1e9),
    )
    span.end(end)


def add(**attributes: Attribute) -> None:
    """Add to what the span that goes on tells, if there is one."""
    if _State.tracer is None:
        return
    from opentelemetry.trace import get_current_span

    span = get_current_span()
    for key, value in attributes.items():
        span.set_attribute(f"tidegauge.{key}", value)


class RequestSpan:
    """The span of a request, from its first byte to its answer.

    Parameters
    ----------
    span : Span
    """

    def __init__(self, span: Span) -> None:
        from opentelemetry.context import attach
        from opentelemetry.trace import set_span_in_context

        self._span = span
        attach(set_span_in_context(span))

    def end(self, route: str | None, status: int) -> None:
        """End it, with the route's pattern and the answer's status."""
        if route:
            self._span.update_name(route)
            self._span.set_attribute("http.route", route.partition(" ")[2])
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            _failed(self._span, str(status))
        self._span.end()


def request(method: str, path: str, parent: bytes | None, request_id: str) -> RequestSpan | None:
    """Begin the span of a request, if it is to be traced; in the request's own context.

    A caller that sends ``traceparent`` has decided already; of the others a share is traced.
    """
    tracer = _State.tracer
    if tracer is None:
        return None
    context = None
    if parent is None:
        if random.random() >= _State.ratio:
            return None
    else:
        from opentelemetry.trace import get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": parent.decode("latin-1")})
        caller = get_current_span(context).get_span_context()
        if caller.is_valid and not caller.trace_flags.sampled:
            return None
        if not caller.is_valid and random.random() >= _State.ratio:
            return None
    from opentelemetry.trace import SpanKind

    about = {
        "http.request.method": method,
        "url.path": path,
        "tidegauge.request_id": request_id,
    }
    return RequestSpan(
        tracer.start_span(method, context=context, kind=SpanKind.SERVER, attributes=about)
    )


def ids() -> tuple[str, str] | None:
    """Return the ids of the trace and span that go on, in hexadecimal; None without one."""
    if _State.tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
