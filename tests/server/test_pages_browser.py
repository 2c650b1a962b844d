"""Pages in a real browser: charts draw, the range can be brushed, nobody is kept out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import running
from watched_model import BASE, make

from tidegauge.server.settings import Settings

pytestmark = [pytest.mark.chromium, pytest.mark.xdist_group("pages-browser")]
PAGES = {
    "fleet": "/",
    "model": BASE,
    "segment": f"{BASE}?segment=region:west",
    "segments": f"{BASE}/segments/region?search=yes",
    "column": f"{BASE}/columns/amount",
    "categories": f"{BASE}/columns/plan?window=all",
    "incidents": f"{BASE}/incidents",
    "incident": f"{BASE}/incidents/2",
    "hole": f"{BASE}/incidents/4",
    "monitors": f"{BASE}/monitors",
    "quarantine": f"{BASE}/quarantine?code=type_error",
    "schema": f"{BASE}/schema",
    "versions": f"{BASE}/versions?margin=roc_auc=0.02&segment=region",
    "window": f"{BASE}/windows/2026-02-05",
}


@pytest.fixture(scope="module")
def address(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    del browser  # Without one nothing need be served.
    folder = make(tmp_path_factory.mktemp("pages"))
    with running(Settings(data=folder, port=0)) as (served, _):
        yield served


class Visit:
    """A page that is open, and what it complained about."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    def open(self, path: str) -> Any:
        self.page.goto(self.address + path)
        self.page.wait_for_selector(":root[data-ready]", state="attached")
        return self.page

    def draw(self) -> int:
        """Wait until every chart that can be seen is drawn."""
        charts = self.page.locator("[data-chart]:visible").all()
        for chart in charts:
            chart.scroll_into_view_if_needed()
            chart.locator("svg.marks").wait_for(timeout=60_000)  # A change is explained in seconds.
        self.page.wait_for_timeout(100)
        return len(charts)


Visits = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visits]:
    contexts = []

    def start(**about: Any) -> Visit:
        about.setdefault("viewport", {"width": 1280, "height": 900})
        contexts.append(browser.new_context(**about))
        return Visit(contexts[-1].new_page(), address)

    yield start
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_draws_and_nothing_complains(visit: Visits, name: str) -> None:
    seen = visit()
    seen.open(PAGES[name])
    charts = {"fleet": 0, "incidents": 0, "window": 0, "incident": 2, "hole": 2, "segment": 4}
    charts["versions"] = 1
    charts |= dict.fromkeys(("monitors", "quarantine", "schema"), 0)
    assert seen.draw() >= charts.get(name, 3)
    assert seen.complaints == []


@pytest.mark.parametrize("name, width", [*((name, 360) for name in PAGES), ("model", 768)])
def test_a_page_is_never_wider_than_the_screen(visit: Visits, name: str, width: int) -> None:
    seen = visit(viewport={"width": width, "height": 780})
    page = seen.open(PAGES[name])
    seen.draw()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def place(page: Any, chart: str, share: float) -> tuple[float, float]:
    """Return where on the screen a share of a chart's width lies."""
    figure = page.locator(f"#{chart}")
    figure.scroll_into_view_if_needed()
    figure.locator("svg.marks").wait_for()
    page.wait_for_timeout(100)
    box = figure.locator("svg.marks").bounding_box()
    return box["x"] + 60 + (box["width"] - 70) * share, box["y"] + box["height"] * 0.5


def test_dragging_across_a_chart_narrows_the_range_of_the_page(visit: Visits) -> None:
    seen = visit()
    page = seen.open(BASE)
    (x, y), (to, _) = place(page, "lane-bias", 0.4), place(page, "lane-bias", 0.6)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to) / 2, y, steps=4)
    page.mouse.move(to, y, steps=4)
    page.mouse.up()
    page.wait_for_url("**/churn?start=2026-0*", timeout=10_000)
    assert "end=2026-0" in page.url and "T" not in page.url.partition("?")[2]
    windows = page.locator(".range .windows").inner_text()
    assert 7 <= int(windows.split()[0]) <= 12
    assert seen.complaints == []


def test_a_click_on_a_window_opens_it(visit: Visits) -> None:
    page = visit().open(BASE)
    x, y = place(page, "lane-roc_auc", 0.5)
    page.mouse.click(x, y)
    page.wait_for_url("**/windows/2026-0*", timeout=10_000)
    assert page.locator("h1").inner_text().split(":")[1].strip().endswith("2026")


def test_a_chart_tells_what_lies_under_the_pointer(visit: Visits) -> None:
    page = visit().open(BASE)
    page.mouse.move(*place(page, "lane-row_count", 0.5))
    tip = page.locator(".tip")
    tip.wait_for()
    for told in ("window (UTC)", "records", "expected", "200"):
        assert told in tip.inner_text()


def test_all_charts_of_the_page_stand_on_one_time_axis(visit: Visits) -> None:
    seen = visit()
    page = seen.open(BASE)
    seen.draw()
    lefts = page.evaluate(
        """() => [...document.querySelectorAll('.lanes svg.marks')].map((svg) => {
          const axis = svg.querySelector('.role-axis .role-axis-domain line');
          const box = axis.getBoundingClientRect();
          return [Math.round(box.left), Math.round(box.right)].join();
        })"""
    )
    assert len(lefts) >= 6 and len(set(lefts)) == 1


def test_the_arrow_keys_go_through_the_windows(visit: Visits) -> None:
    page = visit().open(f"{BASE}/windows/2026-02-05")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/windows/2026-02-06")
    page.wait_for_selector(":root[data-ready]", state="attached")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/windows/2026-02-05")


def test_what_was_searched_and_sorted_stands_in_the_address(visit: Visits) -> None:
    page = visit().open(BASE)
    page.keyboard.press("/")
    page.keyboard.type("amou")
    assert page.locator("#column-groups [data-item]:visible").count() == 1
    assert "column-groups.q=amou" in page.url
    page = visit().open(f"{BASE}/incidents?incident-table.sort=-4")
    assert page.locator("#incident-table th").nth(4).get_attribute("aria-sort") == "descending"
    first = page.locator("#incident-table tbody tr").first.inner_text()
    assert "14 Feb 2026" in first


def test_a_range_that_is_typed_is_shown(visit: Visits) -> None:
    page = visit().open(BASE)
    page.fill("input[name=start]", "2026-02-01")
    page.click(".range button")
    page.wait_for_url("**start=2026-02-01*")
    assert page.locator(".range .windows").inner_text().startswith("18 windows")


def test_an_incident_is_acknowledged_from_its_page(visit: Visits) -> None:
    seen = visit()
    page = seen.open(f"{BASE}/incidents/5")
    page.locator(".verdict button", has_text="Acknowledge").click()
    page.wait_for_url("**/incidents/5#deeds")
    assert "took it on" in page.locator(".deeds").inner_text()
    assert seen.complaints == []


def test_without_scripts_text_tables_and_small_drawings_are_there(visit: Visits) -> None:
    seen = visit(java_script_enabled=False)
    for path, told in ((BASE, "Working as expected"), (f"{BASE}/incidents/2", "By region"),
                       (f"{BASE}/windows/2026-02-05", "prediction_id")):  # fmt: skip
        seen.page.goto(seen.address + path)
        assert told in seen.page.locator("body").inner_text()
    seen.page.goto(seen.address + BASE)
    assert seen.page.locator("svg.spark:visible").count() >= 4


def test_the_theme_follows_the_system(visit: Visits) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = visit(color_scheme="dark").open(BASE).evaluate(ground)
    light = visit(color_scheme="light").open(BASE).evaluate(ground)
    assert sum(map(int, dark[4:-1].split(","))) < 150 < sum(map(int, light[4:-1].split(",")))


def test_a_chart_hands_out_its_data(visit: Visits) -> None:
    page = visit().open(BASE)
    place(page, "lane-drift", 0.5)
    with page.expect_download() as download:
        page.locator("#lane-drift [data-take=csv]").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("window_start,window_end,with_harm,without_harm,of")
    assert len(text.splitlines()) == 46


def test_a_page_prints_with_its_charts(visit: Visits) -> None:
    seen = visit()
    page = seen.open(BASE)
    seen.draw()
    assert len(page.pdf()) > 50_000
    assert seen.complaints == []


@pytest.mark.parametrize(
    "name, scheme",
    [*((n, "light") for n in PAGES if n not in ("segment", "hole")), ("model", "dark")],
)
def test_axe_finds_nothing_that_keeps_people_out(
    visit: Visits, axe: str, name: str, scheme: str
) -> None:
    seen = visit(color_scheme=scheme, bypass_csp=True)
    page = seen.open(PAGES[name])
    seen.draw()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    wrong = [(one["id"], one["nodes"][0]["html"][:120]) for one in found["violations"]]
    assert wrong == []
