"""The HTML report: one file, small, whole, and safe whatever it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tidegauge.report.data import ReportData
from tidegauge.report.html import render_report
from tidegauge.report.notebook import notebook_html

Comparisons = dict[str, Callable[[], ReportData]]

VOID = {"meta", "link", "input", "br", "path", "circle", "use", "line", "rect", "polygon"}
#: Elements whose end tag HTML lets one leave out.
LOOSE = {"th", "td", "tr", "li", "dt", "dd", "p", "option", "tbody", "thead"}


class Page(HTMLParser):
    """What stands in a page: elements, attributes, text, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.text: list[str] = []
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "script":
            self._script = dict(attrs)
        if tag not in VOID | LOOSE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID | LOOSE:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))
        else:
            self.text.append(data)


@pytest.fixture(scope="module")
def pages(comparisons: Comparisons) -> dict[str, str]:
    return {name: render_report(make()) for name, make in comparisons.items()}


NAMES = ["broken", "empty", "hostile", "quiet", "realistic", "windowed"]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_wellformed(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert not page.faults
    assert not page.open


@pytest.mark.parametrize("name", NAMES)
def test_an_id_stands_once(pages: dict[str, str], name: str) -> None:
    ids = [value for _, attribute, value in Page(pages[name]).attributes if attribute == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_loads_nothing(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    for tag, attribute, value in page.attributes:
        if attribute in ("src", "href", "srcset", "action", "poster", "data"):
            assert value.startswith(("#", "data:")), (tag, attribute, value)
    policy = next(v for _, a, v in page.attributes if a == "content" and "default-src" in v)
    assert policy.startswith("default-src 'none'")
    assert "url(" not in pages[name].split("</style>")[0]
    assert "@import" not in pages[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_report_carries_is_json_without_nan(pages: dict[str, str], name: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    carried = [text for about, text in Page(pages[name]).scripts
               if about.get("type") == "application/json"]  # fmt: skip
    for text in carried:
        json.loads(text, parse_constant=refuse)
    assert carried


def test_nothing_hostile_becomes_markup(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    assert "<script>alert('x')</script>\"'&{{7*7}}" in "".join(page.text)
    assert "<script>alert" not in pages["hostile"]
    assert not [text for _, text in page.scripts if text.strip().startswith("alert(")]
    assert not [tag for tag, name, _ in page.attributes if name.startswith("on")]


def test_a_report_of_53_columns_is_small(pages: dict[str, str]) -> None:
    assert len(pages["realistic"].encode()) < 1_000_000


def test_far_too_much_data_does_not_swell_a_report(comparisons: Comparisons) -> None:
    make: Any = comparisons["windowed"]
    data = make(columns=53, windows=365, values=3, metrics=1)
    page = render_report(data)
    assert data.results.num_rows > 80_000
    assert len(page.encode()) < 1_600_000
    told = "".join(Page(page).text)
    assert "are left out to keep this file small" in told
    assert "--json" in told


def test_the_verdict_stands_first(pages: dict[str, str]) -> None:
    body = pages["realistic"].split("<main")[1]
    assert body.index("Not working: roc_auc fell") < body.index("Performance and traffic")
    assert 'class="verdict alarm"' in body
    assert 'class="verdict unknown"' in pages["empty"]
    assert 'class="verdict "' in pages["quiet"]


def test_columns_stand_in_the_given_order_alarms_before_quiet(pages: dict[str, str]) -> None:
    rows = re.findall(r'<details class="row[^>]*data-rank="(\d+)"', pages["realistic"])
    ranks = [int(rank) for rank in rows]
    assert ranks == sorted(ranks)
    groups = re.findall(r'id="columns-(\w+)" data-group', pages["realistic"])
    assert groups == ["harm", "drift", "few", "quiet"]


def test_drift_that_hardly_moves_the_score_is_called_so(pages: dict[str, str]) -> None:
    part = pages["realistic"].split('id="columns-drift"')[1].split('id="columns-few"')[0]
    assert "Drift without harm" in part
    named = re.findall(r'<details [^>]*data-name="(\w+)"', part)
    assert named == ["wind_speed", "wind_gust", "precip"]


def test_an_alarm_shows_its_arithmetic_and_effect_sizes_beside(pages: dict[str, str]) -> None:
    row = pages["realistic"].split('data-name="temp"')[1].split("</details>")[0]
    row = row.replace("\u202f", " ")
    assert "2.2 σ above expected" in row
    assert "ks 0.739 · psi 3.27 · wasserstein 9.09 °F" in row
    assert (
        "2.22 σ; expected 0.02 ± 0.041 σ; p &lt; 1×10⁻⁵⁰, below its share of the budget, 4×10⁻⁴"
        in row
    )
    word = pages["realistic"].split('data-name="carrier"')[1].split("</details>")[0]
    assert "UA: 48.5 % where 26.4 % ± 0.7 % was expected" in word.replace("\u202f", " ")


def test_what_has_too_few_records_says_how_many_more(pages: dict[str, str]) -> None:
    part = pages["realistic"].split('id="columns-few"')[1].split('id="columns-quiet"')[0]
    assert part.count("69 more records needed") >= 2


def test_predictions_and_labels_that_drifted_have_a_section_of_their_own(
    comparisons: Comparisons,
) -> None:
    data = comparisons["realistic"]()
    first, second, *rest = data.columns
    roles = (replace(first, role="label"), replace(second, role="score", results=first.results))
    page = render_report(replace(data, columns=(*roles, *rest)))
    part = page.split('id="columns-output"')[1].split('id="columns-')[0]
    assert "Prediction and label drift" in part
    assert {"label drift", "prediction drift"} <= set(re.findall(r"· (\w+ drift)", part))


def test_every_metric_that_is_named_is_explained(pages: dict[str, str]) -> None:
    page = Page(pages["realistic"])
    linked = {v for tag, a, v in page.attributes if tag == "a" and a == "href" and "#m-" in v}
    ids = {f"#{v}" for _, a, v in page.attributes if a == "id"}
    assert {"#m-ks", "#m-location_shift", "#m-roc_auc", "#m-missing_share"} <= linked <= ids


def test_estimated_and_partial_performance_is_drawn_apart(pages: dict[str, str]) -> None:
    spec = next(text for _, text in Page(pages["windowed"]).scripts if '"strokeDash"' in text
                and '"k":"estimated"' in text.replace(" ", ""))  # fmt: skip
    domain = next(
        layer["encoding"]["strokeDash"]["scale"]["domain"]
        for layer in json.loads(spec)["layer"]
        if "strokeDash" in layer["encoding"]
    )
    assert domain == ["final", "partial", "estimated"]


def test_a_notebook_gets_the_whole_report_in_a_frame(comparisons: Comparisons) -> None:
    data = comparisons["hostile"]()
    frame = Page(notebook_html(data))
    (inside,) = (value for tag, name, value in frame.attributes if name == "srcdoc")
    assert inside == render_report(data)
    (sandbox,) = (value for tag, name, value in frame.attributes if name == "sandbox")
    assert "allow-same-origin" not in sandbox
