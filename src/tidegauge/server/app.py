"""The application: routes, error answers and lifetime put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegauge.server.docs import docs_page
from tidegauge.server.life import Gate, Life
from tidegauge.server.loop_lag import LoopLag
from tidegauge.server.observing import Observer, RequestTallies
from tidegauge.server.origins import OriginGuard
from tidegauge.server.problems import add_error_handlers
from tidegauge.server.readiness import Readiness, checks
from tidegauge.server.routes import (
    baselines,
    decomposition,
    erasures,
    health,
    incidents,
    ingest,
    models,
    monitors,
    quarantine,
    retention,
    schemas,
    segments,
    versions,
)
from tidegauge.server.runtime import Runtime
from tidegauge.server.settings import Settings
from tidegauge.server.shortcut import Shortcut
from tidegauge.version import __version__

_ABOUT = (
    "Monitoring and observability for machine-learning models in production. Send predictions and, "
    "later, labels; read back what became of the model: metrics, records, incidents.\n\n"
    "Nothing is authenticated in this version: the server listens on this machine only, unless it "
    "is told otherwise. Errors are problem documents (RFC 9457) with a code for programs and a "
    "message for people; 429 and 503 say in Retry-After when to try again. Times are ISO 8601 and "
    "carry a zone."
)

_TAGS = [
    {
        "name": "records",
        "description": "What a model saw and said, and what turned out to be true.",
    },
    {"name": "models", "description": "Models, their schemas and baselines, and how they fare."},
    {"name": "incidents", "description": "Alarms of one cause, and what people did about them."},
    {"name": "health", "description": "How the server itself is."},
]


def create_app(
    settings: Settings,
    *,
    on_start: Callable[[], None] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> FastAPI:
    """Return the application.

    It answers at once, as not ready; journal, catalog and lake are opened meanwhile, which may take
    a while where there is much to bring up to date. They are closed when the application ends.

    Parameters
    ----------
    settings : Settings
    on_start : callable, optional
        Called once everything runs.
    on_failure : callable, optional
        Called with the error if that cannot be; whoever runs the application should end it then.
    """
    life, lag, tallies = Life(), LoopLag(), RequestTallies()

    async def open_all(app: FastAPI) -> None:
        try:
            runtime = await anyio.to_thread.run_sync(Runtime, settings)
        except Exception as error:
            if on_failure is None:
                raise
            on_failure(error)
            return
        for collector in (lag, tallies.requests, tallies.seconds):
            runtime.counters.registry.register(collector)
        app.state.readiness = Readiness(checks(runtime, lag), life)
        app.state.runtime = runtime
        if life.phase == "stopping":
            return
        await anyio.to_thread.run_sync(runtime.start)
        lag.start()  # what opening all costs is no lag of a server that runs
        life.begin("running")
        if on_start is not None:
            on_start()

    @asynccontextmanager
    async def lifetime(app: FastAPI) -> AsyncIterator[None]:
        opening = asyncio.create_task(open_all(app))
        try:
            yield
        finally:
            life.begin("stopping")
            try:
                await opening
            finally:
                if app.state.runtime is not None:
                    await anyio.to_thread.run_sync(app.state.runtime.stop)
                lag.stop()

    app = _Application(
        title="Tidegauge",
        version=__version__,
        description=_ABOUT,
        lifespan=lifetime,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )

    def outermost(inner: ASGIApp) -> ASGIApp:
        short = Shortcut(inner, app, ingest.router.routes)
        guarded = OriginGuard(short, settings.host, settings.allowed_hosts)
        return Observer(Gate(guarded, life), tallies)

    app.outermost = outermost
    app.state.settings, app.state.life = settings, life
    app.state.runtime = None
    app.state.readiness = Readiness((), life)
    add_error_handlers(app)
    for part in (
        *(ingest, models, schemas, quarantine, monitors, retention, baselines, erasures),
        *(versions, incidents, segments, decomposition, health),
    ):
        app.include_router(part.router)
    _add_pages(app)
    _add_docs(app)
    return app


class _Application(FastAPI):
    """What stands before everything else, also before the handling of errors, is set here."""

    outermost: Callable[[ASGIApp], ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go to the outermost at once; past FastAPI's own telemetry, for `Observer` tells of it."""
        if scope["type"] == "http" and self.middleware_stack is not None:
            scope["app"] = self
            await self.middleware_stack(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the outermost around all that is called middleware."""
        return self.outermost(super().build_middleware_stack())


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=_TAGS,
        )
    return app.openapi_schema


def _add_docs(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> dict[str, Any]:
        return openapi(app)

    @app.get("/docs", include_in_schema=False)
    async def page(request: Request) -> Response:
        address = str(request.base_url).rstrip("/")
        return HTMLResponse(docs_page(openapi(app), address))


def _add_pages(app: FastAPI) -> None:
    """Add the pages, where that part is there: it has a ``router``, or a function ``add_pages``."""
    if find_spec("tidegauge.server.pages") is None:
        return
    pages = import_module("tidegauge.server.pages")
    if hasattr(pages, "add_pages"):
        pages.add_pages(app)
    elif hasattr(pages, "router"):
        app.include_router(pages.router, include_in_schema=False)
