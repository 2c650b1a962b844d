"""The client's spool against a real server that is killed and stays away."""

from pathlib import Path

import pytest
from client_outage import server_away


@pytest.mark.slow
def test_ten_minutes_of_batches_while_the_server_is_away_arrive_once(tmp_path: Path) -> None:
    """More than 600 batches: as many as ten minutes bring at one a second."""
    outage = server_away(tmp_path, duration=2.5, rate=800, batch_records=5, live_after=0.5)
    assert outage.lost == 0
    assert outage.doubled == 0
    assert outage.acknowledged <= outage.stored
    assert outage.most_batches > 600
    assert outage.recovered > 0, "what the killed service left"
    assert outage.dropped == 0
