"""What people look at: server-rendered pages of models, columns, incidents and windows.

A view is a pure function from what is stored to what a template prints; it computes no statistic.
"""

from __future__ import annotations

from fastapi import FastAPI

from tidegauge.server.pages.routes import page_routes
from tidegauge.server.pages.serving import add_error_pages

__all__ = ["add_pages"]


def add_pages(app: FastAPI) -> None:
    """Add all pages and their static files to an application."""
    app.router.routes.extend(page_routes())
    add_error_pages(app)
