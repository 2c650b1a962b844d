"""Replay: what is in quarantine is checked again, and what fits now is stored, each row once.

Rows leave quarantine only after they are in the table that they belong into, and there they keep
their name; so it does no harm to replay twice, from several servers at once, or after a crash at
any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegauge.engine.quarantine import Chosen, QuarantineReader
from tidegauge.errors import BadInput
from tidegauge.ingest import Checked, check_labels, check_records
from tidegauge.ingest.json import loads
from tidegauge.ingest.parsed import CorruptLine
from tidegauge.lake.columns import (
    BATCH,
    EXTRA,
    INGESTED_AT,
    JOURNAL,
    ROW,
    VERSION,
    stamped,
)
from tidegauge.lake.flusher import Flushed
from tidegauge.lake.replayed import REPLAYED, append_once, drop
from tidegauge.lake.writing import Unstorable
from tidegauge.schema import Role

if TYPE_CHECKING:
    from tidegauge.server.known import Model
    from tidegauge.server.runtime import Runtime

_KINDS: dict[str, Any] = {"predictions": "records", "labels": "labels"}


@dataclass(frozen=True)
class Stay:
    """Why rows stay in quarantine.

    Parameters
    ----------
    code : str
    column : str or None
    rows : int
    message : str
        Of one of them.
    """

    code: str
    column: str | None
    rows: int
    message: str


@dataclass
class Replayed:
    """What a replay came to.

    Parameters
    ----------
    replayed : int
        Rows that are stored now.
    repeated : int
        Rows that left quarantine because they had been stored before.
    stayed : int
        Rows that do not fit still.
    reasons : list of Stay
        Why, the most frequent first.
    """

    replayed: int = 0
    repeated: int = 0
    stayed: int = 0
    reasons: list[Stay] = field(default_factory=list)


@dataclass
class _Reasons:
    """Why rows stay, gathered."""

    counted: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    messages: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def add(self, code: str, column: str | None, message: str, rows: int = 1) -> None:
        self.counted[code, column] += rows
        self.messages.setdefault((code, column), message)

    def told(self) -> list[Stay]:
        return [
            Stay(code, column, rows, self.messages[code, column])
            for (code, column), rows in self.counted.most_common()
        ]


def replay(runtime: Runtime, model: Model, chosen: Chosen) -> Replayed:
    """Check quarantined rows against today's schema and clock, and store those that fit.

    Parameters
    ----------
    runtime : Runtime
    model : Model
    chosen : Chosen
        Which of them.

    Raises
    ------
    Conflict
        If others write to the same tables all the time.
    """
    runtime.flusher.flush_now()
    with runtime.replaying:
        return _Replay(runtime, model).run(chosen)


class _Replay:
    """One replay of one model."""

    def __init__(self, runtime: Runtime, model: Model) -> None:
        self._runtime = runtime
        self._model = model
        self._names = model.project, model.name
        self._reader = QuarantineReader(runtime.engine)
        self._done = Replayed()
        self._reasons = _Reasons()

    def run(self, chosen: Chosen) -> Replayed:
        after: tuple[str, int, int] | None = None
        while True:
            pieces, after = self._reader.pieces(*self._names, chosen, after)
            left: list[str] = []
            for piece in pieces:
                left += self._piece(piece)
            drop(self._runtime.lake, *self._names, "quarantine", left)
            if after is None:
                break
        self._done.reasons = self._reasons.told()
        return self._done

    def _piece(self, piece: pa.Table) -> list[str]:
        """Store what fits of some rows; return the names of those that may go."""
        gone: list[str] = []
        for resource, kind in _KINDS.items():
            rows = piece.filter(pc.equal(piece["resource"], resource))
            fitting = [self._fitting(resource, wave) for wave in _waves(rows, self._id_names)]
            fitting = [(table, kept) for table, kept in fitting if kept.num_rows]
            if fitting:
                tables, kept = (pa.concat_tables(parts) for parts in zip(*fitting, strict=True))
                self._store(kind, tables, kept)
                gone += kept["name"].to_pylist()
        return gone

    @property
    def _id_names(self) -> tuple[str, ...]:
        column = self._model.schema.role(Role.PREDICTION_ID)
        return ("prediction_id",) if column is None else ("prediction_id", column.name)

    def _fitting(self, resource: str, wave: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return those rows of a wave that fit, as they are to be stored and as they lay there."""
        parsed = _parsed(wave, observed=resource == "labels")
        version = wave["version"][0].as_py()
        schema, now = self._model.schema, datetime.now(UTC)
        try:
            checked: Checked = (
                check_labels(parsed, schema, now=now)
                if resource == "labels"
                else check_records(parsed, schema, now=now, version=version)
            )
        except BadInput as error:
            # What is refused as a whole over HTTP stays here, all of it.
            self._reasons.add(error.code, None, error.message, wave.num_rows)
            self._done.stayed += wave.num_rows
            return pa.table({}), wave.slice(0, 0)
        bad = checked.quarantined
        for code, column, message in zip(
            *(bad[name].to_pylist() for name in ("code", "column", "message")), strict=True
        ):
            self._reasons.add(code, column, message)
        self._done.stayed += bad.num_rows
        fits = np.ones(wave.num_rows, dtype=np.bool_)
        fits[bad["index"].to_numpy()] = False
        kept = wave.filter(pa.array(fits))
        assert checked.repeated == 0 and kept.num_rows == checked.accepted.num_rows
        return checked.accepted, kept

    def _store(self, kind: Any, table: pa.Table, kept: pa.Table) -> None:
        """Store rows that are not there yet, and tell the scheduler of all of them."""
        runtime, model = self._runtime, self._model
        time = model.schema.role(Role.TIMESTAMP)
        name = "timestamp" if time is None or kind == "labels" else time.name
        journals = [f"{REPLAYED}{journal}" for journal in kept[JOURNAL].to_pylist()]
        rows = stamped(
            table,
            kind,
            datetime.now(UTC),
            timestamp=name,
            batch=kept[BATCH].combine_chunks(),
            row=kept[ROW].combine_chunks(),
        )
        at = rows.column_names.index(JOURNAL)
        rows = rows.set_column(at, JOURNAL, pa.array(journals, pa.string()))

        def known(names: Any) -> set[str]:
            return self._reader.known(*self._names, kind, names)

        stored = append_once(runtime.lake, *self._names, kind, rows, known)
        self._done.replayed += stored
        self._done.repeated += rows.num_rows - stored
        if kind == "records":
            runtime.sightings.gather(model.id, table, name)
        runtime.told_of(list(_news(self._names, kind, rows, name)))


def _waves(rows: pa.Table, id_names: Iterable[str]) -> Iterator[pa.Table]:
    """Split rows so that those of a wave came for one version, and no two have one id.

    Of records with one id in a request the first counts and the rest is dropped; these are of
    different requests, and none may be lost.
    """
    if not rows.num_rows:
        return
    turns: Counter[tuple[str | None, str]] = Counter()
    waves: dict[tuple[str | None, int], list[int]] = {}
    versions, records = rows["version"].to_pylist(), rows["record"].to_pylist()
    for at, (version, text) in enumerate(zip(versions, records, strict=True)):
        record = _loaded(text)
        ids = [str(record[n]) for n in id_names if n in record] if type(record) is dict else []
        turn = max((turns[version, one] for one in ids), default=0)
        for one in ids:
            turns[version, one] = turn + 1
        waves.setdefault((version, turn), []).append(at)
    for places in waves.values():
        yield rows.take(pa.array(places))


def _parsed(wave: pa.Table, *, observed: bool) -> list[Any]:
    """Return rows as a request would bring them.

    A label that does not say when it was observed was observed when it came.
    """
    parsed = []
    columns = (wave[name].to_pylist() for name in ("record", INGESTED_AT, "code"))
    for text, came, code in zip(*columns, strict=True):
        record = _loaded(text)
        if code == Unstorable.code and type(record) is dict:
            record = _as_sent(record)
        if observed and type(record) is dict and record.get("observed_at") is None:
            record = {**record, "observed_at": came.astimezone(UTC).isoformat()}
        parsed.append(record)
    return parsed


def _as_sent(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record that a table refused as it was sent, before it had columns of our own.

    Examples
    --------
    >>> _as_sent({"prediction_id": "a", "_extra": '{"gate":"B7"}', "_version": "3"})
    {'prediction_id': 'a', 'gate': 'B7'}
    """
    extra = record.get(EXTRA)
    kept = {name: value for name, value in record.items() if name not in (EXTRA, VERSION)}
    return {**kept, **(loads(extra.encode()) if isinstance(extra, str) else {})}


def _loaded(text: str | None) -> Any:
    try:
        return loads((text or "").encode())
    except ValueError:
        return CorruptLine(text or "", "it cannot be read as JSON")


def _news(names: tuple[str, str], kind: str, rows: pa.Table, name: str) -> Iterator[Flushed]:
    """Yield what came, a journal each."""
    for journal in rows[JOURNAL].unique().to_pylist():
        part = rows.filter(pc.equal(rows[JOURNAL], journal))
        offsets: Any = pc.min_max(part[BATCH])
        told = Flushed(
            *names,
            journal=journal,
            first_offset=offsets["min"].as_py() or 0,
            last_offset=offsets["max"].as_py() or 0,
        )
        if kind == "labels":
            yield replace(told, labels=part.num_rows)
            continue
        times: Any = pc.min_max(part[name]) if name in part.column_names else None
        yield replace(
            told,
            records=part.num_rows,
            first_event=None if times is None else times["min"].as_py(),
            last_event=None if times is None else times["max"].as_py(),
        )
