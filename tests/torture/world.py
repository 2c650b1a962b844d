"""A server in a folder of its own that is started, killed and started again, and what it keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from tests.torture.senders import START, Account

#: Everything happens often, so that whatever is killed is killed in the middle of something.
HURRIED = {
    "TIDEGAUGE_FLUSH_INTERVAL": "0.2",
    "TIDEGAUGE_TICK_INTERVAL": "0.2",
    "TIDEGAUGE_WINDOW": "10m",
    "TIDEGAUGE_LATENESS": "10m",
    "TIDEGAUGE_RESTATE_INTERVAL": "1s",
    "TIDEGAUGE_UPKEEP_INTERVAL": "0.5s",
    "TIDEGAUGE_ERASE_GRACE": "0.5s",
    "TIDEGAUGE_MIN_FREE": "0",
}


MODEL = "rides"
#: Records of which the first hour, of every sender, is a baseline.
ENOUGH = 2_800
#: Six windows are too few for a baseline to judge by, so a fixed threshold says what an alarm is.
MONITORS = {"monitors": [{"metric": "psi", "columns": "distance", "threshold": {"above": 0.5}}]}


class World:
    """A data folder, and the server that runs on it now, if one does.

    Parameters
    ----------
    data : Path
    lake : str, optional
        Where the lake is; by default in the folder.
    options : dict, optional
        How that is reached.
    log : Path, optional
        Where what the servers say is written; beside the folder by default.
    **settings : str
        Environment variables besides those of `HURRIED`.
    """

    def __init__(
        self,
        data: Path,
        lake: str | None = None,
        options: dict[str, str] | None = None,
        log: Path | None = None,
        **settings: str,
    ) -> None:
        self.data = data
        self.lake = lake or str(data / "lake")
        self.options = options
        if lake is not None:
            settings |= {"TIDEGAUGE_LAKE": lake, "TIDEGAUGE_LAKE_OPTIONS": json.dumps(options)}
        self.address: str | None = None
        #: Whether the model was given a baseline, so that its windows are judged.
        self.has_baseline = False
        #: How often each alarm stood in the catalog when all was judged last.
        self.alarms: Counter[tuple[Any, ...]] = Counter()
        self.process: subprocess.Popen[str] | None = None
        self.log = log or data.parent / f"{data.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, **HURRIED, **settings}

    def start(self, **settings: str) -> str:
        """Start a server, with further settings, and return its address once it takes requests."""
        command = [sys.executable, "-m", "tidegauge.cli", "serve"]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*command, "--data", str(self.data), "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**self._environment, **settings},
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next((word for word in line.split() if word.startswith("http")), None)
        if address is None:
            process.wait(20)
            process.stdout.close()
            raise ServerRefused(self.log.read_text()[-2000:])
        # What else it says is read, so that it never waits for a reader.
        threading.Thread(target=_drained, args=(process.stdout,), daemon=True).start()
        self.process, self.address = process, address
        return address

    def where(self) -> str | None:
        """Return the server's address, or None while none runs."""
        return self.address

    def kill(self) -> None:
        """End the server as a loss of power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the server to end, and return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, sign: int) -> int:
        process, self.process, self.address = self.process, None, None
        assert process is not None
        process.send_signal(sign)
        return process.wait(60)

    def close(self) -> None:
        """End whatever runs."""
        if self.process is not None:
            self.kill()

    def get(self, path: str) -> Any:
        """Return what a path of the API answers."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Post JSON to a path of the API."""
        return self.send("POST", path, content)

    def send(self, method: str, path: str, content: Mapping[str, Any]) -> Any:
        """Send JSON to a path of the API, and return what it answers."""
        request = urllib.request.Request(
            f"{self.address}{path}",
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def settled(self, model: str = MODEL, patience: float = 90.0) -> dict[str, Any]:
        """Wait until all that was acknowledged is in the lake and judged; return the model."""
        until = time.monotonic() + patience
        while True:
            try:
                told: dict[str, Any] = self.get(f"/v1/projects/default/models/{model}")
                lag = told["lag"]
            except urllib.error.HTTPError as error:
                assert error.code == 503, error.read()
                told, lag = {}, {"records": "not told at the moment"}
            if not any(lag.get(name) for name in ("records", "windows", "restatements")):
                self.alarms = self._alarms(model)
                return told
            assert time.monotonic() < until, f"not settled after {patience} s: {lag}"
            time.sleep(0.2)

    def watch(self) -> bool:
        """Give the model a baseline once there are records for one; whether it has one now."""
        if not self.has_baseline:
            path = f"/v1/projects/default/models/{MODEL}"
            with suppress(OSError, KeyError):
                if self.get(path)["records"] >= ENOUGH:
                    end = START + timedelta(hours=1)
                    body = {"start": START.isoformat(), "end": end.isoformat()}
                    self.send("PUT", f"{path}/monitors", MONITORS)
                    self.send("POST", f"{path}/baselines", body)
                    self.has_baseline = True
        return self.has_baseline

    def _alarms(self, model: str) -> Counter[tuple[Any, ...]]:
        """Return how often each alarm stands in an incident of the model."""
        listed = self.get(f"/v1/projects/default/incidents?model={model}&limit=1000")
        found: Counter[tuple[Any, ...]] = Counter()
        for incident in listed["incidents"]:
            told = self.get(f"/v1/projects/default/incidents/{incident['id']}")
            for alarm in told["alarms"]:
                segment = json.dumps(alarm["segment"])
                found[alarm["metric"], alarm["column"], segment, alarm["window_start"]] += 1
        path = f"/v1/projects/default/models/{model}/metrics?metric=psi&column=distance"
        for point in self.get(path)["points"]:
            if point["state"] == "alarm":
                # None where no incident tells of it.
                found.setdefault(("psi", "distance", "null", point["window_start"]), 0)
        return found

    def stored(self, kind: str = "records", model: str = MODEL) -> Counter[str]:
        """Return how often each prediction id stands in a table of the lake."""
        where = f"{self.lake}/default/{model}/{kind}"
        if not DeltaTable.is_deltatable(where, self.options):
            return Counter()
        handle = DeltaTable(where, storage_options=self.options)
        table = handle.to_pyarrow_table(columns=["prediction_id"])
        return Counter(table["prediction_id"].to_pylist())


class ServerRefused(Exception):
    """The server did not start; carries what it said."""


@dataclass
class Outcome:
    """What came of a fault.

    Parameters
    ----------
    fault : str
    tried : int
        How often it was done.
    acknowledged : int
        Records that the server had said were durable.
    lost, doubled : int
        Of these; and of all that stands in the lake.
    alarms, alarms_wrong : int
        Windows alarmed, and how many of them no incident tells of, or one twice.
    note : str
        What else was found.
    """

    fault: str
    tried: int
    acknowledged: int
    lost: int
    doubled: int
    alarms: int = 0
    alarms_wrong: int = 0
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was lost, and nothing is there twice, neither record nor alarm."""
        return self.lost == 0 and self.doubled == 0 and self.alarms_wrong == 0


def counted(
    fault: str,
    tried: int,
    world: World,
    account: Account,
    note: str = "",
    model: str = MODEL,
    *,
    expected_lost: frozenset[str] = frozenset(),
    erased: frozenset[str] = frozenset(),
) -> Outcome:
    """Compare what was acknowledged with what is stored; the server must have settled."""
    stored, labels = world.stored(model=model), world.stored("labels", model)
    missing = account.acknowledged - stored.keys() - erased
    lost = missing - expected_lost
    lost |= account.labelled - labels.keys() - erased - expected_lost
    doubled = sum(count - 1 for count in stored.values())
    doubled += sum(count - 1 for count in labels.values())
    came_back = len(erased & stored.keys())
    parts = [note] if note else []
    if account.again:
        parts.append(f"{account.again} batches sent again")
    if account.differing:
        parts.append(f"{len(account.differing)} answers differ: {account.differing[0]}")
        doubled += len(account.differing)
    if came_back:
        parts.append(f"{came_back} erased records came back")
        lost |= {"erased records that came back"}
    return Outcome(
        fault,
        tried,
        len(account.acknowledged),
        len(lost),
        doubled,
        alarms=len(world.alarms),
        alarms_wrong=sum(abs(times - 1) for times in world.alarms.values()),
        note="; ".join(parts),
    )


def wait_for(what: Callable[[], bool], patience: float, every: float = 0.002) -> bool:
    """Wait until something is so; False if it was not in time."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(every)
    return False


def _drained(stream: Any) -> None:
    with stream:
        for _ in stream:
            pass
