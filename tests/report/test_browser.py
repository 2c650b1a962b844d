"""The report in a real browser: it draws, answers, fits, prints, and keeps nobody out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegauge.report.data import ReportData
from tidegauge.report.html import render_report
from tidegauge.report.notebook import notebook_html

pytestmark = pytest.mark.chromium

NAMES = ["broken", "empty", "hostile", "quiet", "realistic", "windowed"]


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, comparisons: dict[str, Callable[[], ReportData]]
) -> dict[str, str]:
    """Reports as files, by name."""
    folder = tmp_path_factory.mktemp("reports")
    addresses = {}
    for name, make in comparisons.items():
        data = make()
        (folder / f"{name}.html").write_text(render_report(data), encoding="utf-8")
        addresses[name] = (folder / f"{name}.html").as_uri()
    note = notebook_html(comparisons["realistic"]())
    page = f"<!doctype html><meta charset=utf-8><p>cell</p>{note}"
    (folder / "notebook.html").write_text(page, encoding="utf-8")
    return addresses | {"notebook": (folder / "notebook.html").as_uri()}


class Visit:
    """A page that is open, and what it complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:")):
            self.complaints.append(f"asked for {request.url}")

    def open(self, address: str) -> Any:
        self.page.goto(address)
        self.page.wait_for_selector(":root[data-ready]", state="attached")
        return self.page

    def draw(self, rows: int = 16) -> int:
        """Open the first rows, and wait until every chart that can be seen is drawn."""
        every = "document.querySelectorAll('.row')"
        self.page.evaluate(f"{every}.forEach((d, at) => {{ d.open = at < {rows}; }})")
        charts = self.page.locator("[data-chart]:visible").all()
        for chart in charts:
            chart.scroll_into_view_if_needed()
            chart.locator("svg.marks").wait_for(timeout=15_000)
        return len(charts)


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def start(**about: Any) -> Visit:
        about.setdefault("viewport", {"width": 1280, "height": 900})
        contexts.append(browser.new_context(**about))
        return Visit(contexts[-1].new_page())

    yield start
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_draws_and_nothing_complains(
    visit: Callable[..., Visit], files: dict[str, str], name: str
) -> None:
    seen = visit()
    seen.open(files[name])
    drawn = seen.draw()
    assert drawn >= {"empty": 0, "hostile": 1, "broken": 3}.get(name, 10)
    assert seen.complaints == []


def test_a_chart_is_drawn_only_when_it_comes_into_sight(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["realistic"])
    page.locator("#chart-c0").scroll_into_view_if_needed()
    page.locator("#chart-c0 svg.marks").wait_for()
    assert page.locator("svg.marks").count() == 1


@pytest.mark.parametrize("name", ["hostile", "realistic", "windowed", "quiet", "empty", "broken"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_a_page_is_never_wider_than_the_screen(
    visit: Callable[..., Visit], files: dict[str, str], name: str, width: int
) -> None:
    seen = visit(viewport={"width": width, "height": 780})
    page = seen.open(files[name])
    page.evaluate("document.querySelectorAll('.row').forEach((d, at) => { d.open = at < 4; })")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_theme_follows_the_system_and_can_be_switched(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    seen = visit(color_scheme="dark")
    page = seen.open(files["realistic"])
    page.locator("#chart-c0").scroll_into_view_if_needed()
    page.locator("#chart-c0 svg.marks").wait_for()
    ground = "getComputedStyle(document.body).backgroundColor"
    line = "document.querySelector('#chart-c0 .mark-line path').getAttribute('stroke')"
    assert page.evaluate(ground) == "rgb(20, 23, 26)"
    dark = page.evaluate(line)
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(ground) == "rgb(250, 250, 248)"
    assert page.evaluate(line) not in (None, dark)
    for _ in range(20):  # A browser with much to do writes down what was chosen a little later.
        page.reload()
        if page.evaluate(ground) == "rgb(250, 250, 248)":
            break
    assert page.evaluate(ground) == "rgb(250, 250, 248)"
    assert seen.complaints == []


def test_a_chart_tells_shares_and_range_under_the_pointer(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["realistic"])
    page.locator("#chart-c0").scroll_into_view_if_needed()
    chart = page.locator("#chart-c0 svg.marks")
    chart.wait_for()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator(".tip")
    tip.wait_for()
    text = tip.inner_text()
    assert "temp (°F)" in text
    assert " – " in text
    assert "reference" in text
    assert "\u202f%" in text


def test_a_metric_is_explained_on_hover_and_on_focus(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["realistic"])
    page.locator("a.term", has_text="calibration_error").first.hover()
    first = page.locator(".tip").inner_text()
    assert len(first) > 30
    page.locator("a.term", has_text="roc_auc").first.focus()
    assert page.locator(".tip").inner_text() not in ("", first)


def test_search_narrows_the_columns_and_the_address_keeps_it(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["realistic"])
    page.keyboard.press("/")
    page.keyboard.type("wind_sp")
    visible = "[...document.querySelectorAll('.row')].filter((r) => r.offsetParent).length"
    assert page.evaluate(visible) == 4
    assert "columns-list.q=wind_sp" in page.url
    page.reload()
    assert page.evaluate(visible) == 4
    page.locator("[data-search]").fill("no such column")
    assert page.locator(".none-left").is_visible()


def test_tables_sort_by_their_headings_and_the_address_keeps_it(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["realistic"])
    table = page.locator("#tc0")
    table.get_by_role("button", name="value", exact=True).click()
    values = "[...document.querySelectorAll('#tc0 tbody td.v')].map((c) => +c.dataset.v)"
    shown = page.evaluate(values)
    assert shown == sorted(shown, reverse=True)
    assert "tc0.sort=-1" in page.url
    page.reload()
    assert page.evaluate(values) == shown


def test_columns_can_be_ordered_and_listed(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    page = visit().open(files["quiet"])
    page.locator("[data-order]").select_option("name")
    names = page.evaluate("[...document.querySelectorAll('.row')].map((r) => r.dataset.name)")
    assert names == sorted(names)
    assert not page.locator("#list-quiet .row .head").first.is_visible()
    page.get_by_role("button", name="as a list").click()
    assert page.locator("#list-quiet .row .head").first.is_visible()


def test_data_and_specification_can_be_taken_along(
    visit: Callable[..., Visit], files: dict[str, str], tmp_path: Path
) -> None:
    page = visit().open(files["windowed"])

    def take(locator: Any) -> str:
        with page.expect_download() as caught:
            locator.click()
        caught.value.save_as(tmp_path / "taken")
        return (tmp_path / "taken").read_text(encoding="utf-8")

    figure = page.locator("#chart-c0")
    lines = take(figure.locator("[data-take=csv]")).splitlines()
    assert lines[0] == "from,to,reference,current"
    assert len(lines) == 31
    spec = json.loads(take(figure.locator("[data-take=spec]")))
    import altair

    altair.Chart.from_dict(spec, validate=True)
    assert spec["params"][0]["value"]["reference"].startswith("#")
    moments = json.loads(take(page.locator("#chart-time-1 [data-take=json]")))
    assert moments[0]["window_start"] == "2013-04-01T00:00:00.000Z"
    results = json.loads(take(page.locator("[data-results=json]")))
    assert {"metric", "column", "value", "state", "window_start"} <= set(results[0])
    assert take(page.locator("[data-results=csv]")).startswith("metric,column,segment")


def test_a_csv_never_carries_a_formula(visit: Callable[..., Visit], files: dict[str, str]) -> None:
    page = visit().open(files["hostile"])
    with page.expect_download() as caught:
        page.locator("[data-results=csv]").click()
    text = Path(caught.value.path()).read_text(encoding="utf-8")
    assert not any(cell.startswith(("=", "+", "@")) for cell in text.replace("\n", ",").split(","))


def test_what_is_open_prints_on_light_paper(
    visit: Callable[..., Visit], files: dict[str, str], tmp_path: Path
) -> None:
    seen = visit(color_scheme="dark")
    page = seen.open(files["windowed"])
    page.wait_for_function("window.tidegaugeVega")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 33, 37)"
    undrawn = "[...document.querySelectorAll('[data-chart]')].filter((f) => f.offsetParent && !f.querySelector('svg.marks')).length"  # noqa: E501
    assert page.evaluate(undrawn) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(231, 233, 235)"
    assert seen.complaints == []


def test_help_opens_and_closes_by_key(visit: Callable[..., Visit], files: dict[str, str]) -> None:
    page = visit().open(files["empty"])
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_a_link_to_a_column_opens_it(visit: Callable[..., Visit], files: dict[str, str]) -> None:
    page = visit().open(files["realistic"] + "#c20")
    assert page.locator("#c20").get_attribute("open") is not None


def test_a_report_works_in_a_notebooks_frame(
    visit: Callable[..., Visit], files: dict[str, str]
) -> None:
    seen = visit()
    seen.page.goto(files["notebook"])
    frame = seen.page.frame_locator("iframe")
    frame.locator("[href='#columns']").first.click()
    frame.locator("#chart-c0 svg.marks").wait_for()
    frame.locator("[data-search]").fill("temp")
    assert frame.locator("h1").inner_text().endswith("temp costs most.")
    assert [one for one in seen.complaints if "allow-scripts" not in one] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["quiet", "windowed", "empty"])
def test_axe_finds_nothing_that_keeps_people_out(
    visit: Callable[..., Visit], files: dict[str, str], axe: str, name: str, scheme: str
) -> None:
    seen = visit(color_scheme=scheme)
    page = seen.open(files[name])
    every = "document.querySelectorAll('.row')"
    page.evaluate(f"{every}.forEach((d, at) => {{ d.open = at % 9 == 0; }})")
    for figure in page.locator("[data-chart]:visible").all()[:2]:
        figure.scroll_into_view_if_needed()
        figure.locator("svg.marks").wait_for()
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert "color-contrast" in {one["id"] for one in found["passes"]}
    told = [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} "
        f"{one['nodes'][0].get('failureSummary', '')[:300]}"
        for one in found["violations"]
    ]
    assert told == []
