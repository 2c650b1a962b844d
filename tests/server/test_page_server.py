"""The page of the server itself: what it says when all is well, and when it is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import records, running

from tidegauge.server.settings import Settings

HTML = {"Accept": "text/html"}


def test_a_server_that_is_well_says_so_with_its_parts_and_its_work(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0, flush_interval=timedelta(seconds=60))
    with running(settings) as (address, _), httpx.Client(base_url=address) as http:
        before = http.get("/server", headers=HTML).text
        assert "The server is well." in before and "every window that can be closed" in before
        answer = http.post("/v1/projects/default/models/m/predictions", json=records(50))
        assert answer.status_code == 202
        text = http.get("/server", headers=HTML).text
        assert 'href="/projects/default/models/m"' in text and ">50</tr>" in text
        for part in ("journal", "disk", "flusher", "catalog", "lake", "scheduler", "event loop"):
            assert f'<th scope="row">{part}<td' in text
        assert "this server" in text and "it holds the lease" in text
        assert 'href="/server"' in http.get("/", headers=HTML).text


def test_what_is_wrong_stands_first(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0, min_free=1 << 60)
    with running(settings) as (address, _):
        text = httpx.get(f"{address}/server", headers=HTML).text
    assert "The server is not ready: disk." in text
    assert text.index('<th scope="row">disk') < text.index('<th scope="row">journal')
    assert "TiB; make room" in text


@pytest.mark.chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone_and_keeps_nobody_out(
    browser: Any, axe: str, address: str, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 780}, color_scheme=scheme, bypass_csp=True
    )
    try:
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/server")
        page.wait_for_selector(":root[data-ready]", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        assert [one["id"] for one in found["violations"]] == []
        assert complaints == []
    finally:
        context.close()
