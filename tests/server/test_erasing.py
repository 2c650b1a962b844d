"""One person's records are erased: after that no byte below the data folder holds their id."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import START, Api, Process, records, running, stamp
from typer.testing import CliRunner

from tidegauge.catalog import Catalog
from tidegauge.cli import app
from tidegauge.server import erasing
from tidegauge.server.settings import Settings

IDS = ["jane-4b1f", "joe-77aé", 'jim "9" c3']
QUICK = {
    "TIDEGAUGE_FLUSH_INTERVAL": "0.2s",
    "TIDEGAUGE_UPKEEP_INTERVAL": "0.3s",
    "TIDEGAUGE_ERASE_GRACE": "1s",
}
SETTINGS: dict[str, Any] = {
    "port": 0,
    "flush_interval": timedelta(seconds=0.2),
    "upkeep_interval": timedelta(seconds=0.3),
    "erase_grace": timedelta(seconds=0.3),
}


def person(name: str, **more: Any) -> dict[str, Any]:
    return {
        "prediction_id": name,
        "timestamp": stamp(START + timedelta(hours=3)),
        "age": 61.0,
        "carrier": "UA",
        "score": 0.25,
        **more,
    }


def fill(api: Api) -> None:
    """Send the persons' records everywhere that records can come to be, among those of others."""
    assert api.post("predictions", json=records(300)).status_code == 202
    rows = [*records(20, START + timedelta(days=1)), *map(person, IDS), person("other", age=1.0)]
    answer = api.post("predictions", json=rows, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    again = {**person(IDS[0]), "note": f"of {IDS[0]}"}
    assert api.post("predictions", json=[again]).json()["accepted"] == 1
    bad = [person(name, age=f"old {name}") for name in (*IDS, "other")]
    answer = api.post("predictions", json=bad, headers={"Idempotency-Key": "k2"})
    assert answer.json()["quarantined"] == 4
    labels = [{"prediction_id": name, "label": True} for name in (*IDS, "other")]
    labels += [{"prediction_id": IDS[0], "label": IDS[0] * 2}]
    assert api.post("labels", json=labels).status_code == 202
    frame = [*records(50), *map(person, IDS)]
    assert api.post("baselines", json=frame).status_code in (200, 201)


def ask(api: Api, *ids: str) -> dict[str, Any]:
    answer = api.post("erasures", json={"prediction_ids": list(ids), "by": "ann"})
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


@contextlib.contextmanager
def served(data: Path, **more: Any) -> Iterator[Api]:
    """A server in this process, and a model on it."""
    settings = Settings(data=data, **{**SETTINGS, **more})
    with running(settings) as (address, _), httpx.Client(base_url=address, timeout=30) as http:
        yield Api(http, "fares")


def wait(api: Api, erasure: str, state: str = "done", patience: float = 30.0) -> dict[str, Any]:
    until = time.monotonic() + patience
    while True:
        told: dict[str, Any] = api.get(f"erasures/{erasure}")
        if told["state"] == state:
            return told
        assert time.monotonic() < until, told
        time.sleep(0.1)


def traces(folder: Path, ids: list[str]) -> list[tuple[str, str]]:
    """Return the files below a folder that hold an id, as text or as it stands in JSON."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for one in ids:
                forms = (one, one.replace('"', '\\"'), one.replace("é", "\\u00e9"))
                if any(form.encode() in content for form in forms):
                    found.append((str(path.relative_to(folder)), one))
    return found


def test_an_erased_id_is_in_no_byte_of_the_data_and_the_receipt_says_what_was_done(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as api:
        http = api.http
        fill(api)
        api.record("other")
        assert traces(tmp_path, IDS)
        made = ask(api, *IDS)
        assert (made["state"], made["asked"], made["requested_by"]) == ("open", 3, "ann")
        done = wait(api, made["id"])
        assert traces(tmp_path, IDS) == []
        receipt = done["receipt"]
        assert receipt["rows"] == {"records": 4, "labels": 3, "quarantine": 4}
        assert receipt["files_rewritten"].keys() == receipt["files_purged"].keys()
        (sample,) = receipt["samples"]
        assert (sample["rows"], sample["windows"]) == (3, 1)
        assert receipt["waiting_for"] == [] and receipt["answers"]
        assert any("ack-up" in line for line in receipt["left"])
        for one in IDS:
            assert http.get(f"{api.path}/records", params={"prediction_id": one}).status_code == 404
        assert api.record("other")["age"] == 1.0
        assert len(api.all_records(301)) == 301
        again = api.post("predictions", json=[], headers={"Idempotency-Key": "k2"}).json()
        assert again["quarantined"] == 4
        assert {error["message"] for error in again["errors"]} == {"erased"}
        listed = api.get("erasures")["erasures"]
        assert [one["id"] for one in listed] == [made["id"]]
        # What comes after is a new record.
        api.post("predictions", json=[person(IDS[1], age=30.0)])
        assert api.record(IDS[1])["age"] == 30.0


def test_killed_at_any_step_an_erasure_goes_on_and_counts_each_row_once(tmp_path: Path) -> None:
    process = Process(tmp_path, **QUICK)
    with httpx.Client(base_url=process.address, timeout=30) as http:
        fill(Api(http, "fares"))
        made = ask(Api(http, "fares"), *IDS)
    try:
        for pause in (0.7,):
            time.sleep(pause)
            process.kill()
            process = Process(tmp_path, **QUICK)
        with httpx.Client(base_url=process.address, timeout=30) as http:
            done = wait(Api(http, "fares"), made["id"])
            assert len(Api(http, "fares").all_records(301)) == 301
        assert traces(tmp_path, IDS) == []
        assert done["receipt"]["rows"] == {"records": 4, "labels": 3, "quarantine": 4}
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"prediction_ids": []}, 422, "prediction_ids"),
        ({"prediction_ids": [""]}, 422, "prediction_ids"),
        ({"prediction_ids": ["a"], "all": True}, 422, "all"),
        ({"ids": ["a"]}, 422, "ids"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int, words: str
) -> None:
    with served(tmp_path) as api:
        assert api.post("erasures", json=body).status_code in (404, 422)
        api.post("predictions", json=records(3))
        answer = api.post("erasures", json=body)
        assert answer.status_code == status and words in answer.text
        assert api.http.get(f"{api.path}/erasures/e1").status_code == 404


def test_the_command_erases_waits_and_shows_the_receipt(tmp_path: Path) -> None:
    with served(tmp_path / "data") as api:
        fill(api)
        listed = tmp_path / "ids.txt"
        listed.write_text("\n".join(IDS[1:]))
        url = ["--url", str(api.http.base_url)]
        wish = ["erase", "fares", "--id", IDS[0], "--ids-file", str(listed), "--by", "ann", *url]
        refused = CliRunner().invoke(app, wish)
        assert refused.exit_code == 1 and "--yes" in str(refused.exception)
        done = CliRunner().invoke(app, [*wish, "--yes"])
        assert done.exit_code == 0, done.output
        for words in ("3 ids by ann", "4 rows; 1 file written anew", "left to you", "Back-ups"):
            assert words in done.output, done.output
        assert not any(one in done.output for one in IDS)
        (told,) = json.loads(CliRunner().invoke(app, ["erasures", "fares", "--json", *url]).output)
        shown = CliRunner().invoke(app, ["erasures", "fares", told["id"], *url])
        assert shown.exit_code == 0 and told["sha256"] in shown.output
        none = CliRunner().invoke(app, ["erase", "fares", "--yes", *url])
        assert "no ids" in str(none.exception)


def test_a_server_that_was_away_does_its_part_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "PATIENCE_SECONDS", 2.0)
    shared = {
        "lake": str(tmp_path / "lake"),
        "database_url": f"sqlite:///{tmp_path}/catalog.sqlite",
    }
    with served(tmp_path / "a", **shared) as first:
        fill(first)
        with served(tmp_path / "b", **shared, flush_interval=timedelta(minutes=1)) as second:
            while len(catalog_servers(tmp_path)) < 2:
                time.sleep(0.1)
            second.post("predictions", json=[person(IDS[2], age=30.0)])
            other = ask(first, IDS[2])
            both = wait(first, other["id"])
            assert both["receipt"]["rows"]["records"] == 2  # One was in the other's journal only.
        made = ask(first, *IDS[:2])
        waiting = wait(first, made["id"], "waiting")
        (away,) = waiting["receipt"]["waiting_for"]
        assert away["name"].endswith(str(tmp_path / "b"))
        assert waiting["receipt"]["rows"] == {"records": 3, "labels": 2, "quarantine": 3}
        with served(tmp_path / "b", **shared):
            done = wait(first, made["id"])
        assert done["receipt"]["rows"] == {"records": 3, "labels": 2, "quarantine": 3}
        assert traces(tmp_path, IDS) == []
        # One that never comes back is left out once somebody says so.
        last = ask(first, "other")
        wait(first, last["id"], "waiting")
        told = first.post(f"erasures/{last['id']}/gone", json={"server": away["server"]})
        assert told.status_code == 200
        wait(first, last["id"])


def catalog_servers(folder: Path) -> dict[str, str]:
    with Catalog(folder / "catalog.sqlite") as catalog:
        return catalog.erasures.servers()


def test_an_object_store_and_the_copies_of_it_hold_nothing_of_an_erased_id(
    bucket: Any, tmp_path: Path
) -> None:
    with served(tmp_path, lake=f"{bucket.url}/lake", lake_options=bucket.options) as api:
        fill(api)
        assert len(api.all_records(304, patience=15)) == 304
        assert objects(bucket, IDS) and traces(tmp_path / "cache", IDS)
        done = wait(api, ask(api, *IDS)["id"], patience=60)
        assert done["receipt"]["rows"] == {"records": 4, "labels": 3, "quarantine": 4}
        assert len(api.all_records(301, patience=15)) == 301
        assert objects(bucket, IDS) == [] and traces(tmp_path, IDS) == []


def objects(bucket: Any, ids: list[str]) -> list[tuple[str, str]]:
    """Return the objects of a bucket that hold an id."""
    listed = httpx.get(f"{bucket.endpoint}/{bucket.bucket}?list-type=2&max-keys=1000").text
    found = []
    for key in re.findall(r"<Key>([^<]+)</Key>", listed):
        content = httpx.get(f"{bucket.endpoint}/{bucket.bucket}/{key}").content
        forms = {one: (one, one.replace('"', '\\"'), one.replace("é", "\\u00e9")) for one in ids}
        found += [
            (key, one)
            for one, texts in forms.items()
            if any(text.encode() in content for text in texts)
        ]
    return found
