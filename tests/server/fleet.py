"""Several server processes over one lake and one PostgreSQL, and a model that all of them serve.

What happens to them in `make torture` stands here too, as functions that say what was seen.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from tidegauge.catalog import Catalog

if TYPE_CHECKING:
    from object_store import Store

DAY = timedelta(days=1)
START = datetime(2025, 3, 3, tzinfo=UTC)
ROWS = 300
#: Within how many seconds another server takes over.
TAKEOVER = 15.0
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
#: Everything happens often, so that little time passes.
HURRIED = {
    "TIDEGAUGE_FLUSH_INTERVAL": "0.2",
    "TIDEGAUGE_TICK_INTERVAL": "0.2",
    "TIDEGAUGE_RESTATE_INTERVAL": "1s",
    "TIDEGAUGE_LATENESS": "1h",
    "TIDEGAUGE_MIN_FREE": "0",
}


def records(first: int, days: int = 1, *, late: float = 0.0) -> pa.Table:
    """Days of predictions with what came of them; ``late`` makes the outcome more frequent."""
    rng = np.random.default_rng(first + 500)
    n = days * ROWS
    day = np.repeat(np.arange(first, first + days), ROWS)
    second = np.tile(np.linspace(0, 86_000, ROWS), days)
    micros = (day * 86_400e6 + second * 1e6).astype("int64")
    score = np.clip(rng.beta(2, 5, n), 0.01, 0.99)
    at = micros + int(START.timestamp() * 1e6)
    return pa.table(
        {
            "prediction_id": [f"p{d}-{i}" for i, d in enumerate(day)],
            "timestamp": pa.array(at).cast(pa.timestamp("us", "UTC")),
            "age": rng.normal(size=n),
            "place": rng.choice(["north", "south"], n),
            "score": score,
            "label": rng.random(n) < np.clip(score + late, 0, 1),
        }
    )


class Server:
    """One process with a data folder of its own."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.data = data
        self._environment = {**os.environ, **HURRIED, **environment}
        self._log = data.with_suffix(".log")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tidegauge.cli", "serve", "--port", "0"]
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data)],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )
        self._http: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        """Its API, once it listens."""
        if self._http is None:
            assert self.process.stdout is not None
            line = self.process.stdout.readline().decode()
            address = next((word for word in line.split() if word.startswith("http")), None)
            assert address is not None, self.log()
            self._http = httpx.Client(base_url=address, timeout=30)
        return self._http

    @property
    def owner(self) -> str:
        """The id under which it holds leases."""
        return (self.data / "server.id").read_text().strip()

    def log(self) -> str:
        return self._log.read_text()

    def tell(self, sign: signal.Signals) -> None:
        self.process.send_signal(sign)

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(30)
        self._let_go()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._http is not None:
            self._http.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Fleet:
    """Servers that share a lake and a catalog.

    Parameters
    ----------
    folder : Path
        For their data folders, and the lake unless it is elsewhere.
    url : str
        Of the catalog's database.
    size : int
        Servers to start.
    store : Store, optional
        A bucket for the lake.
    **settings : str
        Environment variables besides those of `HURRIED`.
    """

    def __init__(
        self, folder: Path, url: str, size: int, store: Store | None = None, **settings: str
    ) -> None:
        self.lake = str(folder / "lake") if store is None else f"{store.url}/lake"
        self.options = None if store is None else store.options
        self.catalog = Catalog(url)
        self.acknowledged: Counter[str] = Counter()
        #: Days that were sent by `send_day`.
        self.days = 0
        shared = {"TIDEGAUGE_LAKE": self.lake, "TIDEGAUGE_DATABASE_URL": url, **settings}
        # All at once: they also make the lake, and what of the catalog is still missing, at once.
        self.servers = [Server(folder / f"server{n}", shared) for n in range(size)]

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.close()
        self.catalog.close()

    def holder(self) -> Server | None:
        """Return the server that closes windows, as the catalog says."""
        lease = self.catalog.leases.look("scheduler")
        return next((s for s in self.servers if lease and s.owner == lease.owner), None)

    def others(self, than: Server) -> list[Server]:
        return [server for server in self.servers if server is not than]

    def send(self, table: pa.Table, servers: Iterable[Server] | None = None) -> None:
        """Send records and their labels, each server a share; labels take another one's way."""
        chosen = list(servers or self.servers)
        for n, server in enumerate(chosen):
            share = table.take(np.arange(n, table.num_rows, len(chosen)))
            self.post(server, "predictions?version=1", share.drop_columns(["label"]))
            self.acknowledged.update(share["prediction_id"].to_pylist())
            other = chosen[(n + 1) % len(chosen)]
            self.post(other, "labels", share.select(["prediction_id", "label", "timestamp"]))

    def send_day(self, servers: Iterable[Server] | None = None) -> None:
        """Send the next day's records, whose outcomes are more frequent than predicted."""
        self.send(records(self.days, late=0.35), servers)
        self.days += 1

    def require_all_judged(self) -> None:
        """Wait until all days but the last are closed; fail if anything is lost, or there twice."""
        closed = self.days - 1
        self.settled(closed)
        self.require_whole(closed)
        assert self.wrong_windows() == [START + n * DAY for n in range(closed)]

    def post(self, server: Server, path: str, table: pa.Table, model: str = "m") -> Any:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        answer = server.http.post(
            f"/v1/projects/default/models/{model}/{path}", content=sink.getvalue(), headers=ARROW
        )
        assert answer.status_code in (200, 201, 202), (answer.status_code, answer.text)
        return answer.json()

    def settled(self, closed: int, patience: float = 40.0) -> None:
        """Wait until all servers say that so many windows are closed and nothing is left to do."""
        until = time.monotonic() + patience
        calm = 0
        while calm < 2:
            lags = []
            for server in [s for s in self.servers if s.process.poll() is None]:
                told = server.http.get("/v1/projects/default/models/m")
                lags.append(told.json().get("lag") if told.status_code == 200 else told.text)
            wanted = {"windows": 0, "restatements": 0, "records": 0, "closed": closed}
            calm = calm + 1 if all(lag == wanted for lag in lags) else 0
            assert time.monotonic() < until, f"not settled after {patience} s: {lags}"
            time.sleep(0.2)

    def points(self, metric: str = "row_count") -> list[dict[str, Any]]:
        answer = next(s for s in self.servers if s.process.poll() is None).http.get(
            "/v1/projects/default/models/m/metrics", params={"metric": metric}
        )
        return sorted(answer.json()["points"], key=lambda point: point["window_start"])

    def table(self, model: str, kind: str) -> DeltaTable:
        return DeltaTable(f"{self.lake}/default/{model}/{kind}", storage_options=self.options)

    def judged(self) -> Counter[datetime]:
        """Return how often each window was judged."""
        table = self.table("m", "points").to_pyarrow_table(
            columns=["window_start", "computed_at", "metric"]
        )
        rows = {
            (row["window_start"], row["computed_at"])
            for row in table.to_pylist()
            if row["metric"] == "row_count"
        }
        return Counter(start for start, _ in rows)

    def stored(self, model: str = "m") -> Counter[str]:
        """Return how often each prediction id stands in the table of records."""
        where = f"{self.lake}/default/{model}/records"
        if not DeltaTable.is_deltatable(where, self.options):
            return Counter()  # Nothing has reached the lake yet.
        table = self.table(model, "records").to_pyarrow_table(columns=["prediction_id"])
        return Counter(table["prediction_id"].to_pylist())

    def incidents(self) -> list[Any]:
        """Return the incidents about outcomes that are more frequent than predicted."""
        found = self.catalog.incidents.all()
        return [one for one in found if one.evidence.get("metric") == "bias"]

    def alarms(self) -> list[tuple[int, str, str | None, str | None, datetime]]:
        """Return model, metric, column, segment and window of every alarm in any incident."""
        return [
            (incident.model_id, alarm.metric, alarm.column, alarm.segment, alarm.window_start)
            for incident in self.catalog.incidents.all()
            for alarm in self.catalog.incidents.alarms(incident.id)
        ]

    def wrong_windows(self) -> list[datetime]:
        """Return the windows of these incidents' alarms for bias, in order."""
        return sorted(
            alarm.window_start
            for incident in self.incidents()
            for alarm in self.catalog.incidents.alarms(incident.id)
            if alarm.metric == "bias"
        )

    def require_whole(self, days: int) -> None:
        """Fail if anything was lost, or is there twice.

        Parameters
        ----------
        days : int
            Windows that are closed, from `START` on.
        """
        assert self.stored() == self.acknowledged
        found = [(point["value"], point["window_start"][:10]) for point in self.points()]
        assert found == [(ROWS, f"{START + n * DAY:%Y-%m-%d}") for n in range(days)]
        assert [times for times in Counter(self.alarms()).values() if times > 1] == []
        assert len(self.incidents()) <= 1


def catalog_away(folder: Path, postgres: Any, seconds: float) -> str:
    """Stop the catalog of two servers for a while, under load; return what was seen meanwhile.

    Parameters
    ----------
    folder : Path
        An empty one.
    postgres : Postgres
        Runs; it is stopped, and started again.
    seconds : float
        For how long, at least.
    """
    with Fleet(folder, postgres.database(), 2) as fleet:
        fleet.post(fleet.servers[0], "baselines", records(-30, 30))
        for day in range(3):
            fleet.send(records(day, late=0.35 * (day > 0)))
        fleet.settled(2)
        postgres.stop()
        went = time.monotonic()
        fleet.send(records(3, late=0.35))
        answers = [one.http.get("/v1/projects/default/models/none") for one in fleet.servers]
        slowest = max(answer.elapsed.total_seconds() for answer in answers)
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        page = fleet.servers[0].http.get("/projects/default/models/m")
        assert page.status_code == 503 and "does not answer" in page.text
        wait_for(lambda: fleet.servers[0].http.get("/readyz").status_code == 503, 5)
        time.sleep(max(0.0, seconds - (time.monotonic() - went)))
        fleet.send(records(4, late=0.35))
        postgres.start()
        back = time.monotonic()
        fleet.settled(4)
        took = time.monotonic() - back
        fleet.require_whole(4)
        assert fleet.wrong_windows() == [START + n * DAY for n in range(1, 4)]
        wait_for(lambda: all(one.http.get("/readyz").status_code == 200 for one in fleet.servers))
        return (
            f"the catalog was away for {back - went:.0f} s: answers without it took at most "
            f"{slowest:.1f} s; all was judged {took:.1f} s after it came back"
        )


def holders_lost(folder: Path, url: str, times: int, sign: signal.Signals) -> str:
    """Kill the server that closes windows, or have it stand still, again and again under load.

    Parameters
    ----------
    folder : Path
        An empty one.
    url : str
        Of an empty database in PostgreSQL.
    times : int
        How often; each takes about 15 seconds.
    sign : signal.Signals
        ``SIGKILL``, or ``SIGSTOP``, after which it goes on once another one works.
    """
    with Fleet(folder, url, 3) as fleet:
        fleet.post(fleet.servers[0], "baselines", records(-30, 30))
        fleet.send(records(0))
        wait_for(lambda: fleet.holder() is not None)
        took: list[float] = []
        for turn in range(times):
            holder = fleet.holder()
            assert holder is not None
            fleet.send(records(2 * turn + 1, late=0.35))
            time.sleep(0.5 * np.random.default_rng(turn).random())
            holder.tell(sign)
            lost = time.monotonic()
            if sign == signal.SIGKILL:
                holder.ended()
            fleet.send(records(2 * turn + 2, late=0.35), fleet.others(holder))
            wait_for(lambda gone=holder: fleet.holder() not in (gone, None))
            took.append(time.monotonic() - lost)
            if sign == signal.SIGKILL:
                holder.start()
            else:
                holder.tell(signal.SIGCONT)
        fleet.send(records(2 * times + 1, late=0.35))
        fleet.settled(2 * times + 1)
        fleet.require_whole(2 * times + 1)
        assert fleet.wrong_windows() == [START + n * DAY for n in range(1, 2 * times + 1)]
        assert max(took) < TAKEOVER
        return f"{times} holders lost: taken over after {max(took):.1f} s at most"


def wait_for(condition: Callable[[], Any], patience: float = 20.0) -> float:
    """Wait until something holds; return the seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience, f"not within {patience} s"
        time.sleep(0.05)
    return time.monotonic() - began
