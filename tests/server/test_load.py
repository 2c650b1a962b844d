"""The load generator against a real server: what it says was acknowledged is what is stored."""

from __future__ import annotations

import json

import httpx
import pytest
from benchmarks.load import Load, run
from harness import Api


@pytest.mark.parametrize(
    ("kind", "rate", "keys"),
    [("json", None, False), ("single", None, True), ("single", 50.0, True)],
)
def test_what_was_acknowledged_is_stored(
    address: str, api: Api, kind: str, rate: float | None, keys: bool
) -> None:
    load = Load(address, kind, 0.4, model=api.model, connections=4, rate=rate, keys=keys)
    outcome = run(load)
    assert outcome.failed == outcome.refused == 0, outcome.first_failure
    assert outcome.records == outcome.requests * outcome.records_each > 0
    if rate is not None:
        assert outcome.requests <= rate * 0.4 + 1
    told = outcome.summary()
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    json.dumps(told)
    name = f'tidegauge_records_accepted_total{{model="{api.model}"'
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    counted = next(line for line in lines if line.startswith(name))
    assert float(counted.split()[-1]) == outcome.records


def test_what_goes_wrong_is_told(address: str, api: Api) -> None:
    outcome = run(Load(address, "single", 0.2, model=api.model, project="-not-", connections=1))
    assert outcome.requests == 0
    assert outcome.failed > 0
    assert outcome.first_failure.startswith("422 ")


def test_arrow_bodies_are_taken(address: str, api: Api) -> None:
    too_large = run(Load(address, "arrow", 0.2, model=api.model, connections=1))
    assert too_large.first_failure.startswith("413 ")
