"""Erasures as the catalog keeps them, and the servers whose folders take part.

Ids stand here from the request until they are gone everywhere; after that only how many there were,
and their digest.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update

from tidegauge.catalog.database import Database, insert_or_ignore, insert_or_update
from tidegauge.catalog.tables import (
    AuditEntry,
    Erasure,
    ErasurePart,
    Model,
    NewFields,
    Project,
    Server,
)
from tidegauge.errors import NotFound


class ErasureState(StrEnum):
    """Where an erasure is in its life."""

    #: Servers empty their journals into the lake.
    OPEN = "open"
    #: The lake has no such rows any more; old files wait for the queries that may read them.
    PURGING = "purging"
    #: Servers throw away their copies of old files.
    CLEARING = "clearing"
    #: All is done but for servers that do not answer.
    WAITING = "waiting"
    DONE = "done"


def digest_of(ids: Collection[str]) -> str:
    """Return the SHA-256 of ids, sorted, one a line; whoever has the ids can make it again.

    Examples
    --------
    >>> digest_of(["a2", "a1"]) == digest_of(["a1", "a2"])
    True
    """
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


class Erasures:
    """The erasures of all models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, model_id: int, ids: Collection[str], *, actor: str) -> Erasure:
        """Note that the records of some ids are to go; durable once this returns."""
        now, wanted = datetime.now(UTC), sorted(set(ids))
        row = Erasure(
            id=f"e{uuid.uuid4().hex[:16]}",
            model_id=model_id,
            state=ErasureState.OPEN.value,
            turn=0,
            requested_at=now,
            requested_by=actor,
            asked=len(wanted),
            digest=digest_of(wanted),
            ids=wanted,
            receipt={},
            done_at=None,
        )
        with self._database.writing() as session:
            session.add(row)
            model = session.get(Model, model_id)
            owner = None if model is None else session.get(Project, model.project_id)
            session.add(
                AuditEntry(
                    at=now,
                    actor=actor,
                    action="records.erase",
                    project=None if owner is None else owner.name,
                    subject="" if model is None else model.name,
                    details={"erasure": row.id, "asked": row.asked, "digest": row.digest},
                )
            )
        return row

    def get(self, model_id: int, erasure_id: str) -> Erasure:
        """Return an erasure.

        Raises
        ------
        NotFound
        """
        with self._database.reading() as session:
            found = session.get(Erasure, erasure_id)
        if found is None or found.model_id != model_id:
            raise NotFound(f"no erasure {erasure_id!r} of this model", code="unknown_erasure")
        return found

    def of_model(self, model_id: int) -> list[Erasure]:
        """Return a model's erasures, the newest first."""
        statement = select(Erasure).where(Erasure.model_id == model_id)
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(Erasure.requested_at.desc())))

    def unfinished(self) -> list[tuple[Erasure, str, str]]:
        """Return the erasures that are not done, with project and model, the oldest first."""
        statement = (
            select(Erasure, Project.name, Model.name)
            .join(Model, Model.id == Erasure.model_id)
            .join(Project, Project.id == Model.project_id)
            .where(Erasure.state != ErasureState.DONE.value)
            .order_by(Erasure.requested_at, Erasure.id)
        )
        with self._database.reading() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(statement)]

    def advance(
        self, erasure_id: str, state: ErasureState, turn: int, receipt: Mapping[str, Any]
    ) -> None:
        """Note how far an erasure has come."""
        with self._database.writing() as session:
            session.execute(
                update(Erasure)
                .where(Erasure.id == erasure_id)
                .values(state=state.value, turn=turn, receipt=dict(receipt))
            )

    def forget_ids(self, erasure_id: str, receipt: Mapping[str, Any]) -> None:
        """Take the ids out of the catalog, also out of what its database writes beside its file."""
        with self._database.writing() as session:
            session.execute(
                update(Erasure)
                .where(Erasure.id == erasure_id)
                .values(ids=None, receipt=dict(receipt))
            )
        self._database.forget_changes("erasures")

    def forget_examples(self, model_id: int) -> None:
        """Take out of the catalog what a model's unknown fields held, for example."""
        with self._database.writing() as session:
            row = session.get(NewFields, model_id, with_for_update=True)
            if row is not None:
                row.fields = {name: {**told, "example": ""} for name, told in row.fields.items()}

    def finish(self, erasure_id: str) -> None:
        """Note that an erasure is done."""
        with self._database.writing() as session:
            session.execute(
                update(Erasure)
                .where(Erasure.id == erasure_id)
                .values(state=ErasureState.DONE.value, done_at=datetime.now(UTC))
            )

    # Servers

    def join(self, server: str, name: str) -> None:
        """Note that there is a server, whose folder may hold records."""
        row = {"id": server, "name": name, "since": datetime.now(UTC)}
        with self._database.reading() as session:
            held = session.get(Server, server)
            if held is not None and held.name == name:
                return
        with self._database.writing() as session:
            insert_or_update(session, Server, row, keys=("id",), changes={"name": name})

    def servers(self) -> dict[str, str]:
        """Return the names of all servers by their ids."""
        with self._database.reading() as session:
            return {row.id: row.name for row in session.scalars(select(Server))}

    def leave(self, server: str) -> None:
        """Forget a server: its folder is gone for good, or was cleared by hand.

        Raises
        ------
        NotFound
        """
        with self._database.writing() as session:
            result: Any = session.execute(delete(Server).where(Server.id == server))
            if not result.rowcount:
                raise NotFound(f"no server {server!r}", code="unknown_server")

    def parts(self, erasure_id: str) -> dict[str, ErasurePart]:
        """Return by server what was done of an erasure in its folder."""
        statement = select(ErasurePart).where(ErasurePart.erasure_id == erasure_id)
        with self._database.reading() as session:
            return {part.server: part for part in session.scalars(statement)}

    def emptied(self, erasure_id: str, server: str, found: Mapping[str, Any]) -> None:
        """Note that a server's journal holds nothing from before an erasure."""
        row = {
            "erasure_id": erasure_id,
            "server": server,
            "emptied_at": datetime.now(UTC),
            "cleared": 0,
            "found": dict(found),
        }
        with self._database.writing() as session:
            insert_or_ignore(session, ErasurePart, [row])

    def cleared(self, erasure_id: str, server: str, turn: int) -> None:
        """Note that a server has no copy of a file that the lake had before a turn."""
        with self._database.writing() as session:
            session.execute(
                update(ErasurePart)
                .where(ErasurePart.erasure_id == erasure_id, ErasurePart.server == server)
                .values(cleared=turn)
            )
