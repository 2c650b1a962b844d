"""Catalogs that older versions made are brought up to date, with what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tidegauge.catalog import Catalog, database
from tidegauge.schema import Column, ColumnType, Schema, schema_to_json


def _config() -> Config:
    config = Config()
    folder = Path(database.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    return config


STEPS = [s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]
SCHEMA = Schema((Column("age", ColumnType.NUMERIC),))


def make(url: str, step: str) -> None:
    """Make a catalog as it was after a step, with a model, a baseline, an alarm and a lease."""
    engine = database._engine(database._database_url(url))
    config = _config()
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, step)
        values = {"schema": json.dumps(schema_to_json(SCHEMA))}
        for statement in (
            "INSERT INTO projects VALUES (7, 'default', 'default', '2026-01-01 00:00:00')",
            "INSERT INTO models (id, project_id, name, folded, window_seconds, lateness_seconds,"
            " label_horizon_seconds, restate_interval_seconds, schema, schema_number, settings,"
            " progress, created_at) VALUES (5, 7, 'fares', 'fares', 86400, 3600, 864000, 600,"
            " :schema, 1, '{}', '{\"seen_offset\": 12}', '2026-01-01 00:00:00')",
            "INSERT INTO baselines VALUES ('b', 5, true, 'upload', NULL, NULL, 10, 'x',"
            " '2026-01-01 00:00:00')",
            "INSERT INTO incidents VALUES (3, 5, '1', 'drift', 'warning', 'open',"
            " '2026-01-02 00:00:00', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'title',"
            " '', '{}', NULL, NULL, NULL, NULL)",
            'INSERT INTO incident_alarms (incident_id, model_id, version, metric, "column",'
            " segment, window_start, window_end, n_current) VALUES (3, 5, '1', 'psi', 'age', '',"
            " '2026-01-01 00:00:00', '2026-01-02 00:00:00', 9)",
        ):
            connection.execute(text(statement), values if ":schema" in statement else {})
    engine.dispose()


@pytest.mark.parametrize("step", STEPS)
def test_a_catalog_of_any_step_is_brought_up_to_date(url: str, step: str) -> None:
    make(url, step)
    with Catalog(url) as catalog:
        model = catalog.models.get("default", "fares")
        assert (model.id, model.schema, model.monitors, model.revision) == (5, SCHEMA, {}, 0)
        assert model.progress == {"seen_offset": 12}
        active = catalog.baselines.active(5)
        assert active is not None and active.id == "b"
        (alarm,) = catalog.incidents.alarms(3)
        assert (alarm.metric, alarm.n_current, alarm.reason) == ("psi", 9, None)
        assert catalog.leases.take("scheduler", "a", None) is not None
        assert catalog.news.read() == []
