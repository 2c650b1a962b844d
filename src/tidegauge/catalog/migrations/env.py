"""Alembic's way in: run the steps on the connection that the catalog hands over."""

from __future__ import annotations

from alembic import context

from tidegauge.catalog.tables import Base


def run() -> None:
    """Bring the database of the connection at hand up to date."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


# Alembic loads this file under a plain name; whoever imports it as a module wants nothing run.
if "." not in __name__:
    run()
