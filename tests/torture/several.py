"""Faults among several: servers over one lake, and a client whose server is away."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.client_outage import server_away
from tests.server.fleet import ROWS, holders_lost
from tests.torture.world import Outcome


def lease_holders(folder: Path, times: int, sign: signal.Signals) -> Outcome:
    """Kill the one of three servers that closes windows, or have it stand still, under load.

    What it asserts itself: each acknowledged record once, each window and each alarm once, another
    server at work within 15 s.
    """
    from tests.postgres import Postgres

    with Postgres() as postgres:
        told = holders_lost(folder, postgres.database(), times, sign)
    deed = "killed" if sign == signal.SIGKILL else "stood still"
    return Outcome(f"lease holder {deed}", times, ROWS * (2 * times + 2), 0, 0, note=told)


def client_without_server(folder: Path, seconds: float) -> Outcome:
    """Leave a client with a spool without its server for a while; both are killed meanwhile."""
    kills = 1 if seconds < 60 else 2
    found = server_away(folder, seconds, 1_000, service_kills=kills, server_kills=kills)
    return Outcome(
        f"client's server away for {seconds:.0f} s",
        1,
        found.acknowledged,
        found.lost,
        found.doubled,
        note=f"all was sent {found.drained_after:.0f} s after its return; the service held at most "
        f"{found.peak_mib:.0f} MiB",
    )
