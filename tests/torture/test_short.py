"""Each fault for a short while; `make torture` does them in full."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tests.torture import disks, kills, neighbours
from tests.torture.world import Outcome


def nothing_lost(outcome: Outcome) -> None:
    assert outcome.acknowledged > 0
    assert outcome.good, outcome


@pytest.mark.parametrize("name", kills.MOMENTS)
def test_nothing_acknowledged_is_lost_when_a_server_is_killed(tmp_path: Path, name: str) -> None:
    nothing_lost(kills.killed_while(name, tmp_path / "data", 2, seed=1))


def test_an_erasure_comes_to_its_end_whenever_a_server_is_killed(tmp_path: Path) -> None:
    nothing_lost(kills.killed_while_erasing(tmp_path / "data", 2, seed=1))


def test_a_server_asked_to_end_under_load_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = kills.ended_by_sigterm(tmp_path / "data", 1)
    nothing_lost(outcome)
    assert "0 segments left" in outcome.note


@pytest.mark.skipif(not disks.can_mount(), reason="mounting small file systems takes root")
def test_a_full_disk_is_refused_clearly_and_gone_on_from(tmp_path: Path) -> None:
    outcome = disks.full_disk(tmp_path, 1)
    nothing_lost(outcome)
    assert "No space left on device; send again later" in outcome.note


@pytest.mark.skipif(not disks.can_mount(), reason="mounting small file systems takes root")
def test_a_read_only_disk_is_said_at_the_start(tmp_path: Path) -> None:
    outcome = disks.read_only_disk(tmp_path)
    nothing_lost(outcome)
    assert "tidegauge: error: " in outcome.note and "Read-only file system" in outcome.note


def test_a_disk_that_refuses_to_write_is_gone_on_from(tmp_path: Path) -> None:
    nothing_lost(disks.refusing_disk(tmp_path / "data", 1))


@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_journal_costs_what_stood_there_and_no_more(tmp_path: Path, cut: bool) -> None:
    nothing_lost(disks.damaged_journal(tmp_path / "data", 1, cut=cut, seed=2))


def test_corrupt_batches_do_nothing_to_good_ones(tmp_path: Path) -> None:
    outcome = neighbours.corrupt_batches(tmp_path / "data", 16)
    nothing_lost(outcome)


@pytest.mark.skipif(not neighbours.has_faketime(), reason="needs Debian's package faketime")
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    nothing_lost(neighbours.jumping_clock(tmp_path / "data", 3))


@pytest.mark.skipif(not neighbours.has_postgres(), reason="needs Debian's package postgresql")
def test_a_catalog_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    nothing_lost(neighbours.catalog_away(tmp_path / "data", 4))


@pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="needs moto")
def test_an_object_store_that_fails_one_call_in_five_is_worked_with(tmp_path: Path) -> None:
    nothing_lost(neighbours.failing_store(tmp_path / "data", 6))
