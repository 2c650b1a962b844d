"""A short way to the routes that are asked thousands of times a second, past FastAPI's own.

What FastAPI and Starlette do to find a route, its parameters and its errors takes longer than all
else that the event loop does for a small request. The routes stand in the application as any other
does, and their parameters are declared there for the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from inspect import signature
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegauge.errors import TidegaugeError
from tidegauge.server.bodies import header
from tidegauge.server.parameters import MOST, NAMES
from tidegauge.server.problems import BadParameter, answer_to, unforeseen


class HotRoute(APIRoute):
    """A route whose parameters are read here by hand.

    For endpoints with ``request``, ``project``, ``model``, ``idempotency_key`` and perhaps
    ``version``.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; an error is raised."""
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)
            return
        project, model = _names(scope["path_params"]["project"], scope["path_params"]["model"])
        arguments = {"project": project, "model": model, "idempotency_key": _key(scope)}
        if self.is_versioned:
            arguments["version"] = _version(scope["query_string"])
        answer: Response = await self.endpoint(Request(scope, receive), **arguments)
        await answer(scope, receive, send)

    @cached_property
    def is_versioned(self) -> bool:
        """Whether the endpoint takes a version."""
        return "version" in signature(self.endpoint).parameters


class Shortcut:
    """Hands a request to the hot route of its path, and any other on.

    Parameters
    ----------
    app : ASGI application
        What takes all others.
    owner : FastAPI
        The application that the routes belong to.
    routes : iterable
        Only the hot ones among them count.
    """

    def __init__(self, app: ASGIApp, owner: FastAPI, routes: Iterable[Any]) -> None:
        self.app = app
        self._owner = owner
        self._hot = [route for route in routes if isinstance(route, HotRoute)]
        self._ends = tuple(f"/{route.path.rpartition('/')[2]}" for route in self._hot)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        route = self._route(scope)
        if route is None:
            await self.app(scope, receive, send)
            return
        try:
            await route.handle(scope, receive, send)
        except TidegaugeError as error:
            await answer_to(error, scope)(scope, receive, send)
        except Exception:
            await unforeseen()(scope, receive, send)
            raise

    def _route(self, scope: Scope) -> HotRoute | None:
        """Return the route of a request, noted in its scope as FastAPI does; None for others."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["root_path"]:
            return None
        path: str = scope["path"]
        if path.endswith(self._ends):
            for route in self._hot:
                found = route.path_regex.match(path)
                if found is not None:
                    scope["path_params"] = found.groupdict()
                    scope["app"], scope["route"] = self._owner, route
                    scope["endpoint"] = route.endpoint
                    return route
        return None


@lru_cache(maxsize=4096)
def _names(project: str, model: str) -> tuple[str, str]:
    return (
        _checked(project, "path", "project", "name", NAMES),
        _checked(model, "path", "model", "name", NAMES),
    )


@lru_cache(maxsize=4096)
def _version(query: bytes) -> str | None:
    version = QueryParams(query).get("version")
    if version is not None:
        _checked(version, "query", "version", "version")
    return version or None


def _key(scope: Scope) -> str | None:
    key = header(scope, b"idempotency-key")
    return None if key is None else _checked(key, "header", "Idempotency-Key", "key")


def _checked(
    text: str, where: str, name: str, kind: str, form: re.Pattern[str] | None = None
) -> str:
    if len(text) > MOST[kind]:
        raise BadParameter(f"{where} {name!r}: it has more than {MOST[kind]} characters")
    if form is not None and not form.fullmatch(text):
        raise BadParameter(
            f"{where} {name!r}: names have letters, digits and . _ - and begin with a letter or "
            "digit"
        )
    return text
