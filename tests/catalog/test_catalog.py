"""The catalog on SQLite and PostgreSQL: what is stored comes back, once, whoever stores it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from at_once import at_once
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from tidegauge.catalog import Alarm, Catalog, WindowRow
from tidegauge.catalog.tables import Base, Model
from tidegauge.errors import BadInput, Conflict, NotFound, Unavailable
from tidegauge.schema import Column, ColumnType, Role, Schema, Task

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCHEMA = Schema(
    (
        Column("age", ColumnType.NUMERIC, unit="years"),
        Column("label", ColumnType.BOOLEAN, Role.LABEL),
    ),
    task=Task.BINARY,
)


@pytest.fixture
def model(catalog: Catalog) -> Model:
    return catalog.models.ensure("default", "flight-delay", SCHEMA)[0]


def test_the_steps_lead_to_the_tables_of_the_code(catalog: Catalog) -> None:
    with catalog._database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_opening_again_keeps_what_is_there(catalog: Catalog, url: str, model: Model) -> None:
    catalog.close()
    with Catalog(url) as again:
        assert again.models.get("default", "flight-delay").id == model.id


def test_a_change_of_monitors_is_kept_and_noted_once(catalog: Catalog, model: Model) -> None:
    wanted = {"monitors": [{"metric": "psi", "weight": 0.5}]}
    for _ in range(2):
        assert catalog.models.save_monitors(model.id, wanted, actor="ana").monitors == wanted
    assert catalog.models.get("default", "flight-delay").monitors == wanted
    (entry,) = catalog.audit.all(project="default")
    assert (entry.actor, entry.action, entry.subject) == ("ana", "monitors.set", "flight-delay")
    assert entry.details == {"before": {}, "after": wanted}


def test_servers_that_open_a_new_catalog_at_once_all_succeed(url: str) -> None:
    opened = at_once(lambda _: Catalog(url), threads=4)
    assert [type(one) for one in opened] == [Catalog] * 4
    for one in opened:
        one.close()


def test_a_catalog_of_a_newer_tidegauge_is_refused(catalog: Catalog, url: str) -> None:
    with catalog._database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer Tidegauge"):
        Catalog(url)


def test_sqlite_waits_for_its_lock_and_holds_to_its_references(tmp_path: Path) -> None:
    with Catalog(tmp_path / "new" / "catalog.db") as catalog:
        with catalog._database.engine.connect() as connection:
            read = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "foreign_keys", "busy_timeout")
            }
        assert read == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}
        with pytest.raises(IntegrityError):
            catalog.windows.record(99, [WindowRow(None, NOW, NOW + DAY)])


def test_an_unknown_database_is_refused() -> None:
    with pytest.raises(BadInput, match="mysql"):
        Catalog("mysql://somewhere/x")


def test_a_database_that_is_not_there_is_said_to_be_without_its_password() -> None:
    with pytest.raises(Unavailable, match=r"postgresql://ann:\*\*\*@127.0.0.1:1/x.*start it"):
        Catalog("postgresql://ann:secret@127.0.0.1:1/x")


def test_sqlite_that_is_locked_is_an_outage_and_a_wrong_statement_is_none(
    tmp_path: Path,
) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        with catalog._database.engine.connect() as one, catalog._database.engine.connect() as two:
            for waiting in (one, two):
                waiting.exec_driver_sql("PRAGMA busy_timeout = 50")
        with catalog._database.writing() as session:
            session.execute(text("SELECT 1"))
            with pytest.raises(Unavailable, match="locked; records of known models"):
                catalog.projects.ensure("default")
        assert catalog.projects.ensure("default").name == "default"
        with pytest.raises(OperationalError), catalog._database.reading() as session:
            session.execute(text("SELECT nothing"))


def test_a_project_is_made_once_whoever_asks(catalog: Catalog) -> None:
    made = at_once(lambda _: catalog.projects.ensure("acme"))
    assert len({project.id for project in made}) == 1
    assert [project.name for project in catalog.projects.all()] == ["acme", "default"]
    with pytest.raises(Conflict, match="'acme'"):
        catalog.projects.ensure("Acme")
    with pytest.raises(NotFound, match="'none'"):
        catalog.projects.get("none")


def test_a_model_is_made_once_with_its_first_schema(catalog: Catalog) -> None:
    made = at_once(lambda _: catalog.models.ensure("default", "fares", SCHEMA))
    assert sorted(new for _, new in made) == [False] * 5 + [True]
    model = catalog.models.get("default", "fares")
    assert (model.schema, model.task, model.schema_number) == (SCHEMA, "binary", 1)
    assert (model.window, model.label_horizon) == (DAY, 90 * DAY)
    assert (model.settings, model.created_at.tzinfo) == ({}, UTC)
    assert [r.number for r in catalog.models.schemas(model.id)] == [1]
    with pytest.raises(Conflict, match="'fares'"):
        catalog.models.find("default", "FARES")
    with pytest.raises(NotFound, match="first records"):
        catalog.models.get("default", "none")
    with pytest.raises(NotFound, match="no project"):
        catalog.models.ensure("none", "x", SCHEMA)


def test_projects_do_not_see_each_others_models(catalog: Catalog, model: Model) -> None:
    catalog.projects.ensure("other")
    assert catalog.models.find("other", model.name) is None
    twin, made = catalog.models.ensure("other", model.name, SCHEMA)
    assert made and twin.id != model.id
    listed = [(p.name, m.id) for p, m in catalog.models.all()]
    assert listed == [("default", model.id), ("other", twin.id)]
    assert [m.id for _, m in catalog.models.all("other")] == [twin.id]


def test_how_a_model_is_watched_can_be_changed(catalog: Catalog, model: Model) -> None:
    hour = timedelta(hours=1)
    catalog.models.configure(model.id, window=hour, settings={"a": 1})
    catalog.models.configure(model.id, settings={"b": [2]})
    catalog.models.note(model.id, labels_seen=7)
    changed = catalog.models.get("default", model.name)
    assert (changed.window, changed.lateness) == (hour, hour)
    assert (changed.settings, changed.progress) == ({"a": 1, "b": [2]}, {"labels_seen": 7})
    for wrong in ({"window": timedelta(0)}, {"lateness": -hour}, {"pace": hour}):
        with pytest.raises(BadInput):
            catalog.models.configure(model.id, **wrong)
    with pytest.raises(NotFound):
        catalog.models.configure(99)


def test_a_schema_that_was_changed_meanwhile_is_not_lost(catalog: Catalog, model: Model) -> None:
    def grow(number: int) -> None:
        while True:
            known = catalog.models.get("default", model.name)
            columns = (*known.schema.columns, Column(f"c{number}", ColumnType.NUMERIC))
            try:
                grown = replace(known.schema, columns=columns)
                catalog.models.save_schema(
                    model.id, grown, actor=f"s{number}", number=known.schema_number
                )
                return
            except Conflict as error:
                assert error.code == "schema_moved"

    assert at_once(grow, threads=4) == [None] * 4
    grown = catalog.models.get("default", model.name)
    assert sorted(grown.schema.names) == ["age", "c0", "c1", "c2", "c3", "label"]
    assert grown.schema_number == 5


def test_a_schemas_history_is_kept(catalog: Catalog, model: Model) -> None:
    wider = replace(SCHEMA, columns=(*SCHEMA.columns, Column("fare", ColumnType.NUMERIC)))
    catalog.models.save_schema(model.id, SCHEMA, actor="ann", reason="nothing new")
    catalog.models.save_schema(model.id, wider, actor="ann", reason="a new column")
    assert catalog.models.get("default", model.name).schema == wider
    history = catalog.models.schemas(model.id)
    assert [(r.number, r.actor, r.reason) for r in history] == [
        (2, "ann", "a new column"),
        (1, "server", "first records"),
    ]
    assert [r.schema for r in history] == [wider, SCHEMA]


def test_versions_keep_when_they_were_seen_first_and_last(catalog: Catalog, model: Model) -> None:
    catalog.models.saw_versions(model.id, {"2": (NOW, NOW + DAY), None: (NOW, NOW)})
    catalog.models.saw_versions(model.id, {"2": (NOW - DAY, NOW)})
    seen = [(v.name, v.first_seen, v.last_seen) for v in catalog.models.versions(model.id)]
    assert seen == [("2", NOW - DAY, NOW + DAY), (None, NOW, NOW)]


def test_one_baseline_is_active_at_a_time(catalog: Catalog, model: Model) -> None:
    def add(number: int) -> str:
        added = catalog.baselines.add(
            model.id,
            profile_path=f"baselines/{number}",
            n_records=3_000_000_000,
            source="interval",
            start=NOW,
            end=NOW + DAY,
        )
        return added.id

    assert catalog.baselines.active(model.id) is None
    first, second = add(1), add(2)
    active = catalog.baselines.active(model.id)
    assert active is not None
    assert (active.id, active.n_records, active.start) == (second, 3_000_000_000, NOW)
    catalog.baselines.activate(first)
    catalog.baselines.add(
        model.id, profile_path="x", n_records=1, source="upload", active=False, baseline_id="mine"
    )
    assert [b.id for b in catalog.baselines.all(model.id) if b.active] == [first]
    assert {b.id for b in catalog.baselines.all(model.id)} == {first, second, "mine"}
    with pytest.raises(NotFound):
        catalog.baselines.activate("none")


def test_a_first_baseline_takes_nothing_from_another(catalog: Catalog, model: Model) -> None:
    def add(number: int) -> str:
        options: dict[str, Any] = {"n_records": 1, "source": "x", "only_first": True}
        return catalog.baselines.add(model.id, profile_path=f"{number}", **options).id

    results = at_once(add)
    refused = [one for one in results if isinstance(one, Conflict)]
    assert [error.code for error in refused] == ["has_baseline"] * 5
    assert len(catalog.baselines.all(model.id)) == 1
    with pytest.raises(NotFound):
        catalog.baselines.add(99, profile_path="x", n_records=1, source="x")


def test_baselines_that_are_added_at_once_follow_each_other(catalog: Catalog, model: Model) -> None:
    added = at_once(
        lambda i: catalog.baselines.add(model.id, profile_path=f"{i}", n_records=1, source="x").id
    )
    active = catalog.baselines.active(model.id)
    assert active is not None and active.id in added
    assert {b.id for b in catalog.baselines.all(model.id)} == set(added)


def test_each_change_of_a_model_raises_the_revision_and_can_be_asked_for(
    catalog: Catalog, model: Model
) -> None:
    other, _ = catalog.models.ensure("default", "other", SCHEMA)
    wider = replace(SCHEMA, columns=(*SCHEMA.columns, Column("fare", ColumnType.NUMERIC)))
    changes: list[Any] = [
        lambda: catalog.models.ensure("default", "third", SCHEMA),
        lambda: catalog.models.save_schema(model.id, wider, actor="ann"),
        lambda: catalog.models.save_monitors(model.id, {"monitors": []}, actor="ann"),
        lambda: catalog.models.configure(model.id, window=DAY),
        lambda: catalog.baselines.add(
            model.id, profile_path="x", n_records=1, source="x", baseline_id="b"
        ),
        lambda: catalog.baselines.activate("b"),
    ]
    for number, change in enumerate(changes):
        before = catalog.revision.current()
        change()
        assert catalog.revision.current() == before + 1
        changed = [m.name for _, m in catalog.models.all(changed_since=before)]
        assert changed == [model.name if number else "third"]
    last = catalog.revision.current()
    catalog.models.ensure("default", "third", SCHEMA)
    catalog.models.save_schema(model.id, wider, actor="ann")
    catalog.models.note(model.id, closed=1)
    assert catalog.revision.current() == last
    assert catalog.models.get("default", other.name).revision < last


def test_windows_are_replaced_by_what_is_known_later(catalog: Catalog, model: Model) -> None:
    assert catalog.windows.closed_until(model.id) is None
    rows = [WindowRow(v, NOW + i * DAY, NOW + (i + 1) * DAY, 10) for i in range(3) for v in "12"]
    catalog.windows.record(model.id, rows)
    catalog.windows.record(model.id, [WindowRow(None, NOW + 3 * DAY, NOW + 4 * DAY, state="late")])
    restated = replace(rows[0], n_labelled=4, basis="partial", profiled_at=NOW + 9 * DAY)
    catalog.windows.record(model.id, [restated])
    assert catalog.windows.closed_until(model.id) == NOW + 3 * DAY
    stored = catalog.windows.between(model.id)
    assert len(stored) == 7
    assert (stored[0].n_labelled, stored[0].basis, stored[0].profiled_at) == (
        4,
        "partial",
        NOW + 9 * DAY,
    )
    inside = catalog.windows.between(model.id, NOW + DAY, NOW + 2 * DAY)
    assert [(w.version, w.start) for w in inside] == [("1", NOW + DAY), ("2", NOW + DAY)]


def alarm(day: int, metric: str = "psi", **fields: Any) -> Alarm:
    start = NOW + day * DAY
    return Alarm(metric, start, start + DAY, **{"value": 0.4, "n_current": 10, **fields})


def opened(catalog: Catalog, model: Model, *alarms: Alarm, **said: Any) -> tuple[int, bool]:
    options = {"severity": "warning", "title": "age drifts", "opened_at": NOW, **said}
    incident, new = catalog.incidents.open(model.id, "3", "drift", alarms=alarms, **options)
    return incident.id, new


def test_an_incident_comes_back_with_its_alarms_and_evidence(
    catalog: Catalog, model: Model
) -> None:
    alarms = [
        alarm(2, column="age", segment='{"carrier": "UA"}', p_value=1e-12),
        alarm(1, column="age", upper=0.2),
    ]
    number, new = opened(catalog, model, *alarms, evidence={"share": float("nan"), "at": [NOW]})
    incident = catalog.incidents.get(number)
    assert new
    assert (incident.state, incident.version, incident.opened_at) == ("open", "3", NOW)
    assert (incident.first_window, incident.last_window) == (NOW + DAY, NOW + 2 * DAY)
    assert incident.evidence == {"share": None, "at": ["2026-05-04T12:00:00+00:00"]}
    assert catalog.incidents.alarms(number) == alarms[::-1]
    with pytest.raises(BadInput, match="alarm"):
        opened(catalog, model)
    with pytest.raises(NotFound):
        catalog.incidents.get(99)


def test_the_same_alarms_open_nothing_again(catalog: Catalog, model: Model) -> None:
    alarms = [alarm(1), alarm(1, "ks", column="age")]
    first, _ = opened(catalog, model, *alarms)
    assert opened(catalog, model, *alarms) == (first, False)
    catalog.incidents.resolve(first, NOW)
    assert opened(catalog, model, *alarms) == (first, False)
    second, new = opened(catalog, model, alarms[0], alarm(2))
    assert new
    assert catalog.incidents.alarms(second) == [alarm(2)]
    assert [i.id for i in catalog.incidents.all()] == [second, first]


def test_schedulers_that_open_the_same_incident_at_once_open_one(
    catalog: Catalog, model: Model
) -> None:
    alarms = [alarm(day) for day in range(5)]
    results = at_once(lambda _: opened(catalog, model, *alarms))
    assert sorted(new for _, new in results) == [False] * 5 + [True]
    assert len({number for number, _ in results}) == 1
    assert len(catalog.incidents.all()) == 1


def test_an_incident_grows_until_it_is_resolved(catalog: Catalog, model: Model) -> None:
    number, _ = opened(catalog, model, alarm(1))
    added = catalog.incidents.extend(
        number, [alarm(1), alarm(3)], severity="critical", summary="worse", evidence={"k": 1}
    )
    assert added == 1
    assert catalog.incidents.extend(number, [alarm(1), alarm(3)]) == 0
    incident = catalog.incidents.get(number)
    assert (incident.last_window, incident.severity) == (NOW + 3 * DAY, "critical")
    assert (incident.title, incident.summary, incident.evidence) == (
        "age drifts",
        "worse",
        {"k": 1},
    )
    assert catalog.incidents.acknowledge(number, "ann", NOW + DAY)
    assert not catalog.incidents.acknowledge(number, "bob", NOW + DAY)
    assert catalog.incidents.extend(number, [alarm(4)]) == 1
    unresolved = catalog.incidents.unresolved(model.id, "3", "drift")
    assert unresolved is not None and unresolved.acknowledged_by == "ann"
    assert catalog.incidents.resolve(number, NOW + 2 * DAY)
    assert not catalog.incidents.resolve(number, NOW + 3 * DAY)
    assert not catalog.incidents.acknowledge(number, "bob", NOW)
    assert catalog.incidents.get(number).resolved_at == NOW + 2 * DAY
    assert catalog.incidents.unresolved(model.id, "3", "drift") is None
    with pytest.raises(Conflict, match="resolved"):
        catalog.incidents.extend(number, [alarm(5)])
    assert len(catalog.incidents.alarms(number)) == 3


def test_windows_with_an_alarm_of_the_whole_are_told_by_kind(
    catalog: Catalog, model: Model
) -> None:
    opened(catalog, model, alarm(1), alarm(2, segment='{"carrier": "UA"}'), alarm(3, column="age"))
    found = catalog.incidents.alarmed_windows(model.id, "3", "drift")
    assert found == {NOW + DAY, NOW + 3 * DAY}
    assert catalog.incidents.alarmed_windows(model.id, None, "drift") == frozenset()


def test_incidents_are_listed_by_project_model_and_state(catalog: Catalog, model: Model) -> None:
    catalog.projects.ensure("other")
    twin, _ = catalog.models.ensure("other", model.name, SCHEMA)
    first, _ = opened(catalog, model, alarm(1))
    second, _ = opened(catalog, twin, alarm(1), opened_at=NOW + DAY)
    catalog.incidents.resolve(first, NOW)

    def listed(**filters: Any) -> list[int]:
        return [incident.id for incident in catalog.incidents.all(**filters)]

    assert listed() == [second, first]
    assert listed(limit=1) == [second]
    assert listed(project="default") == [first]
    assert listed(project="other", model="none") == []
    assert listed(model=model.name, states=["open", "acknowledged"]) == [second]


def test_times_are_kept_as_moments_whatever_their_zone(catalog: Catalog, model: Model) -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    catalog.windows.record(model.id, [WindowRow(None, NOW.astimezone(there), NOW + DAY)])
    assert catalog.windows.between(model.id, NOW, NOW + DAY)[0].start == NOW
    assert catalog.windows.between(model.id)[0].start.utcoffset() == timedelta(0)
    with pytest.raises(Exception, match="without a zone"):
        catalog.windows.record(model.id, [WindowRow(None, NOW.replace(tzinfo=None), NOW)])


def test_the_audit_log_tells_who_did_what(catalog: Catalog) -> None:
    catalog.audit.record("ann", "baseline.set", "fares", project="default", details={"n": 3})
    catalog.audit.record("key:1", "model.create", "fares", project="other", at=NOW)
    entries = catalog.audit.all()
    assert [entry.action for entry in entries] == ["baseline.set", "model.create"]
    assert entries[0].details == {"n": 3}
    assert [entry.actor for entry in catalog.audit.all(project="other")] == ["key:1"]


def test_readers_do_not_wait_for_a_writer(catalog: Catalog, model: Model) -> None:
    with catalog._database.writing() as session:
        session.execute(text("UPDATE models SET name = 'changed'"))
        assert catalog.models.get("default", model.name).id == model.id


def test_postgresql_without_its_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tidegauge.errors import MissingExtra

    def missing(*_: Any, **__: Any) -> Any:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr("tidegauge.catalog.database.create_engine", missing)
    with pytest.raises(MissingExtra, match=r"tidegauge\[postgresql\]"):
        Catalog("postgresql://somewhere/x")
