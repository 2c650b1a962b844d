"""Asking a running server: what the command line and the demo do over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import httpx
import pyarrow as pa

from tidegauge.engine.source import Source, plain_texts
from tidegauge.errors import BadInput


class RemoteModel:
    """One model of a running server.

    Parameters
    ----------
    address : str
        Such as ``http://localhost:8420``.
    project, model : str
    """

    def __init__(self, address: str, project: str, model: str) -> None:
        self.address = address
        self.name = model
        self._project = project
        self._http = httpx.Client(base_url=f"{address}/v1/projects/{project}", timeout=300)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def put_schema(self, text: str) -> None:
        """Give the model its schema, as YAML."""
        headers = {"Content-Type": "application/yaml"}
        self._answer("PUT", f"/models/{self.name}/schema", content=text.encode(), headers=headers)

    def put_monitors(self, monitors: dict[str, Any]) -> None:
        """Give the model its budget and monitors, as JSON."""
        self._answer("PUT", f"/models/{self.name}/monitors", json=monitors)

    def put_retention(self, retention: dict[str, Any]) -> list[str]:
        """Have the model's records and profiles kept for some time; return warnings."""
        answer = self._answer("PUT", f"/models/{self.name}/retention", json=retention)
        told: list[str] = answer["warnings"]
        return told

    def erase(self, ids: Sequence[str], *, by: str) -> dict[str, Any]:
        """Ask for the records of some ids to be erased; return the erasure as it is now."""
        body = {"prediction_ids": list(ids), "by": by}
        found: dict[str, Any] = self._post(f"/models/{self.name}/erasures", body)
        return found

    def erasure(self, erasure: str) -> dict[str, Any]:
        """Return an erasure as it is now."""
        found: dict[str, Any] = self._get(f"/models/{self.name}/erasures/{erasure}")
        return found

    def erasures(self) -> list[dict[str, Any]]:
        """Return all erasures of the model, the newest first."""
        found: list[dict[str, Any]] = self._get(f"/models/{self.name}/erasures")["erasures"]
        return found

    def without_server(self, erasure: str, server: str) -> dict[str, Any]:
        """Have an erasure go on without a server whose folder is gone for good."""
        path = f"/models/{self.name}/erasures/{erasure}/gone"
        found: dict[str, Any] = self._post(path, {"server": server})
        return found

    def backtest(self, monitors: dict[str, Any] | None, days: int) -> dict[str, Any]:
        """Return what would have fired with these monitors, or with the model's own."""
        more = {} if monitors is None else {"json": monitors}
        path = f"/models/{self.name}/backtest"
        found: dict[str, Any] = self._answer("POST", path, params={"days": days}, **more)
        return found

    def find(self, what: str) -> dict[str, Any] | None:
        """Return the model's schema, monitors or retention as JSON; None if there is no model."""
        answer = self._request("GET", f"/models/{self.name}/{what}")
        if answer.status_code == 404 and _code(answer) == "unknown_model":
            return None
        found: dict[str, Any] = _content(answer)
        return found

    def model(self) -> dict[str, Any]:
        """Return the state of the model."""
        found: dict[str, Any] = self._get(f"/models/{self.name}")
        return found

    def incidents(self) -> list[dict[str, Any]]:
        """Return all incidents of the model, whatever their state, the most harmful first."""
        answer = self._get("/incidents", model=self.name, limit=1000)
        found: list[dict[str, Any]] = answer["incidents"]
        return sorted(found, key=_by_harm)

    def series(
        self, metric: str, column: str | None = None, version: str | None = None
    ) -> list[dict[str, Any]]:
        """Return a metric's stored results over the whole model, one a window, by time.

        Where several versions served in a window, the one with most records stands for it.

        Raises
        ------
        BadInput
            If there are none, or if they are of several columns.
        """
        asked = {"metric": metric, "column": column, "version": version}
        given = {name: value for name, value in asked.items() if value is not None}
        points: list[dict[str, Any]] = self._get(f"/models/{self.name}/metrics", **given)["points"]
        columns = sorted({str(point["column"]) for point in points})
        if not points:
            raise BadInput(f"model {self.name!r} has no stored results of that", code="no_points")
        if len(columns) > 1:
            raise BadInput(
                f"{metric} is stored of {len(columns)} columns; name one with --column, such as "
                f"{columns[0]}",
                code="several_columns",
            )
        points.sort(key=lambda point: int(point["n_current"]))
        newest = {point["window_start"]: point for point in points}
        return [newest[start] for start in sorted(newest)]

    def quarantine(self) -> dict[str, Any]:
        """Return what is in quarantine, in groups."""
        found: dict[str, Any] = self._get(f"/models/{self.name}/quarantine")
        return found

    def quarantined(self, limit: int, **chosen: str | None) -> list[dict[str, Any]]:
        """Return quarantined rows, the newest first."""
        asked = {name: value for name, value in chosen.items() if value is not None}
        path = f"/models/{self.name}/quarantine/rows"
        rows: list[dict[str, Any]] = self._get(path, limit=limit, **asked)["rows"]
        return rows

    def replay(self, **chosen: str | None) -> dict[str, Any]:
        """Have quarantined rows checked again; return what came of it."""
        asked = {name: value for name, value in chosen.items() if value is not None}
        path = f"/models/{self.name}/quarantine/replay"
        done: dict[str, Any] = self._answer("POST", path, params=asked, timeout=None)
        return done

    def new_columns(self) -> dict[str, Any]:
        """Return the columns that the schema does not know."""
        found: dict[str, Any] = self._get(f"/models/{self.name}/schema/new-columns")
        return found

    def accept(self, columns: dict[str, Any], *, by: str, reason: str) -> None:
        """Take new columns into the schema."""
        body = {"columns": columns, "by": by, "reason": reason}
        self._post(f"/models/{self.name}/schema/accept", body)

    def schema_history(self) -> list[dict[str, Any]]:
        """Return the schemas that the model had, the newest first."""
        found: list[dict[str, Any]] = self._get(f"/models/{self.name}/schema/history")["schemas"]
        return found

    def set_baseline(self, start: str, end: str) -> dict[str, Any]:
        """Make the stored records of an interval the baseline."""
        body = {"start": start, "end": end}
        found: dict[str, Any] = self._post(f"/models/{self.name}/baselines", body)
        return found

    def upload_baseline(self, source: Source) -> dict[str, Any]:
        """Make a file's, folder's or frame's records the baseline.

        Raises
        ------
        BadInput
            If the server refuses them, is not there, or a time has no zone.
        """
        from tidegauge_client import Client
        from tidegauge_client.errors import ClientError, NaiveTimeError

        self._answer("GET", f"{self.address}/healthz")  # the client would wait for a server
        schema = plain_texts(source.arrow_schema().empty_table()).schema
        # texts may come as dictionaries, whose words differ from batch to batch
        batches = (batch.cast(schema) for batch in source.batches())
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        try:
            client = Client(self.address, project=self._project, model=self.name)
        except ValueError as error:
            raise BadInput(str(error), code="bad_address") from error
        with client:
            try:
                return client.baseline(reader)
            except NaiveTimeError as error:
                raise BadInput(
                    f"{source.name}: column {error.column!r} has times without a zone; save them "
                    "with one, such as UTC",
                    code="naive_timestamp",
                ) from error
            except ClientError as error:
                raise BadInput(f"{source.name}: {error}") from error

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._answer("GET", path, params=parameters)

    def _post(self, path: str, body: Any) -> Any:
        return self._answer("POST", path, json=body)

    def _answer(self, method: str, path: str, **more: Any) -> Any:
        return _content(self._request(method, path, **more))

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise BadInput(
                f"no server answers at {self.address} ({error}); start one with: tidegauge serve",
                code="unreachable",
            ) from error


def _content(answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        raise BadInput(_message(answer))
    return answer.json()


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:200]}"


def _by_harm(incident: dict[str, Any]) -> tuple[int, float]:
    severities = ("critical", "warning", "info")
    return severities.index(incident["severity"]), -float(incident["evidence"].get("harm", 0.0))
