"""What pages say, over HTTP: their sentences, links, errors, and how long they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from html.parser import HTMLParser
from urllib.parse import quote, urljoin

import httpx
import pytest
from harness import running
from watched_model import BASE, EVIL, NAME, day, make

from tidegauge.server.settings import Settings

pytestmark = pytest.mark.xdist_group("pages")
PAGES = [
    "/",
    "/projects/default",
    BASE,
    f"{BASE}?start=2026-02-01",
    f"{BASE}?segment=region:west",
    f"{BASE}/segments/region",
    f"{BASE}/segments/region?metric=f1&search=yes",
    f"{BASE}?version=2",
    f"{BASE}?metric=f1",
    f"{BASE}/columns/amount",
    f"{BASE}/columns/plan",
    f"{BASE}/columns/gone",
    f"{BASE}/columns/{quote(EVIL, safe='')}",
    f"{BASE}/incidents",
    f"{BASE}/incidents?state=open",
    f"{BASE}/incidents/2",
    f"{BASE}/incidents/1",
    f"{BASE}/monitors",
    f"{BASE}/windows/2026-02-05",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = make(tmp_path_factory.mktemp("pages"))
    with running(Settings(data=folder, port=0)) as (served, _):
        yield served


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    headers = {"Accept": "text/html"}
    with httpx.Client(base_url=address, timeout=30, headers=headers) as client:
        yield client


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings(data=tmp_path_factory.mktemp("empty"), port=0)
    with running(settings) as (served, _), httpx.Client(base_url=served) as client:
        yield client


class Seen(HTMLParser):
    """What a page consists of: its text, its links, and whether its tags are closed."""

    _VOID = frozenset(("meta", "link", "input", "br", "use", "path", "circle", "rect", "line"))
    _LOOSE = frozenset(("tr", "td", "th", "li", "p", "option", "dd", "dt"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag == "a" and held.get("href"):
            self.links.append(str(held["href"]))
        if held.get("id"):
            self.ids.append(str(held["id"]))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] in self._LOOSE and self.open[-1] != tag:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def headline(html: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.S)
    assert found is not None
    return unescape(re.sub(r"<[^>]+>", "", found[1]))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole_html_with_one_headline(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 200, answer.text[:500]
    seen = Seen(answer.text)
    assert seen.wrong == [] and seen.open == []
    assert len(re.findall("<h1", answer.text)) == 1
    doubled = {one for one in seen.ids if seen.ids.count(one) > 1}
    assert not doubled
    assert "<i>" not in answer.text


def test_every_link_leads_somewhere(http: httpx.Client) -> None:
    waiting, known = ["/"], {"/"}
    while waiting:
        path = waiting.pop()
        answer = http.get(path, follow_redirects=True)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        if path.startswith(("/v1", "/docs", "/openapi")) or len(known) > 150:
            continue
        seen = Seen(answer.text)
        for link in seen.links:
            bare, _, mark = link.partition("#")
            if not bare:
                assert mark in seen.ids, f"{path} has no #{mark}"
                continue
            target = urljoin(path, bare)
            if target not in known and len(known) <= 150:
                known.add(target)
                waiting.append(target)
    assert len(known) > 100


def test_the_fleet_tells_how_each_model_is(http: httpx.Client) -> None:
    seen = Seen(http.get("/").text)
    assert f"{BASE}" in seen.links
    for told in ("performance", "expected", "drifting now", "newest labels", "'amount' drifted"):
        assert told in seen.text


def test_an_empty_fleet_says_what_to_do_with_the_very_commands(empty: httpx.Client) -> None:
    html = empty.get("/").text
    assert headline(html) == "No model is watched yet."
    assert "tidegauge demo" in html
    assert f'tg.Client("{empty.base_url!s}"' in unescape(html).replace('/"', '"')


def test_a_model_without_a_closed_window_says_what_it_waits_for(empty: httpx.Client) -> None:
    rows = [{"prediction_id": "a", "timestamp": "2026-01-01T00:00:00Z", "x": 1.0, "score": 0.5}]
    empty.post("/v1/projects/default/models/young/predictions", json=rows).raise_for_status()
    html = empty.get("/projects/default/models/young").text
    assert "Learning: no window of young is closed yet" in html
    assert "1 record" in html
    assert "tidegauge baseline set young" in html
    assert empty.get("/projects/default/models/young/incidents").status_code == 200
    assert empty.get("/projects/default/models/young/windows/2026-01-01").status_code == 404
    assert empty.get("/projects/default/models/young/columns/x").status_code == 404
    assert "young" in empty.get("/").text


def test_the_model_says_what_is_wrong_and_ranks_it_by_harm(http: httpx.Client) -> None:
    html = http.get(BASE).text
    assert headline(html).startswith("ok: Working as expected since 12 Feb 2026")
    late = html.index("came true more often than predicted")
    assert late < html.index("is missing on 11 Feb 2026")
    for name in ("lane-bias", "lane-roc_auc", "lane-drift", "lane-quality", "lane-row_count",
                 "lane-latency_p95", "segment-map"):  # fmt: skip
        assert f'id="{name}"' in html
    assert "Moved without harm" in html and "Quiet" in html


def test_a_range_that_has_passed_is_judged_by_what_was_in_it(http: httpx.Client) -> None:
    html = http.get(f"{BASE}?start=2026-02-01&end=2026-02-10").text
    assert "Did not work as expected" in headline(html)
    html = http.get(f"{BASE}?start=2026-01-10&end=2026-01-20").text
    assert headline(html).startswith("ok: Worked as expected")


def test_a_range_between_windows_is_widened_to_whole_ones(http: httpx.Client) -> None:
    asked = "?start=2026-02-01T07:31:00Z&end=2026-02-03T01:00:00%2B00:00&x.sort=-1"
    answer = http.get(BASE + asked)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BASE}?start=2026-02-01&end=2026-02-04&x.sort=-1"


def test_a_segment_or_version_narrows_the_page_and_goes_along(http: httpx.Client) -> None:
    html = http.get(f"{BASE}?segment=region:west").text
    assert "only region west" in Seen(html).text
    assert f"{BASE}/windows/" in html and "Inputs are judged as a whole only" not in html
    links = Seen(html).links
    assert any("/columns/score" in link and "segment=region:west" in link for link in links)
    second = http.get(f"{BASE}?version=2").text
    assert "no harm seen" in second and "came true more often" not in second


def test_of_several_versions_the_one_that_served_is_drawn(http: httpx.Client) -> None:
    seen = Seen(http.get(BASE).text)
    assert "version 1 since 5 Jan 2026 , 2 since 14 Feb 2026" in seen.text
    assert '"label":"version 2"' in http.get(BASE).text


def test_a_column_shows_the_window_that_stands_out_and_any_other(http: httpx.Client) -> None:
    html = http.get(f"{BASE}/columns/amount").text
    assert "amount drifted in 20 of 45 windows, without harm" in headline(html)
    assert "In the window that stands out most" in html
    other = http.get(f"{BASE}/columns/amount?window=2026-01-08").text
    assert "over the baseline" in other and "8 Jan 2026" in other
    whole = http.get(f"{BASE}/columns/amount?window=all").text
    assert f'data-spec="{BASE}/distributions/amount"' in whole


@pytest.mark.parametrize("kind, name", [("distributions", "amount"), ("distributions", "plan"),
                                        ("shares", "plan"), ("shares", "gone")])  # fmt: skip
def test_what_a_page_fetches_is_a_specification(http: httpx.Client, kind: str, name: str) -> None:
    answer = http.get(f"{BASE}/{kind}/{name}")
    assert answer.headers["content-type"] == "application/json"
    spec = answer.json()
    assert spec["$schema"].endswith("v6.json") and spec["layer"]


def test_a_distribution_of_a_range_counts_every_record(http: httpx.Client) -> None:
    whole = http.get(f"{BASE}/distributions/plan?start=2026-01-20&end=2026-01-22").json()
    shares = [row["c"] for row in whole["data"]["values"]]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


def test_an_incident_shows_why_and_its_rows(http: httpx.Client) -> None:
    html = http.get(f"{BASE}/incidents/2").text
    seen = Seen(html)
    assert "What explains it" in seen.text and "By region" in seen.text
    table = html[html.index("By region") :]
    assert table.index(">west<") < table.index(">north<")
    assert "What else happened then" in seen.text and "Label drift: 'gone' moved" in seen.text
    records = next(link for link in seen.links if "/records?" in link)
    assert len(http.get(records).json()["records"]) == 100
    assert f"{BASE}/windows/2026-02-04" in html


def test_every_alarm_shows_its_arithmetic(http: httpx.Client) -> None:
    for path in (f"{BASE}/incidents/2", f"{BASE}/columns/amount"):
        text = Seen(http.get(path).text).text
        assert "below its share of the budget" in text, path
        assert "p at most" in text or "Judged, in" in text, path
    column = Seen(http.get(f"{BASE}/columns/amount").text).text
    assert "location_shift: how far the values moved" in column
    assert "shape_shift: how far their spread" in column


def test_a_hole_names_its_hours(http: httpx.Client) -> None:
    html = http.get(f"{BASE}/incidents/4").text
    assert "Hours in which values are missing" in html and "11 Feb 2026" in html


def test_where_an_incident_got_worse_is_searched_when_somebody_asks(http: httpx.Client) -> None:
    page = http.get(f"{BASE}/incidents/2").text
    assert 'href="/projects/default/models/churn/incidents/2?search=segments#searched"' in page
    told = http.get("/v1/projects/default/incidents/2/segments").json()
    assert told["against_reference"] and told["reference_end"] == told["start"]
    asked = http.get(f"{BASE}/incidents/2?search=segments").text
    assert escape(told["sentence"]) in asked
    for finding in told["findings"]:
        assert escape(finding["segment"]) in asked


def test_an_open_incident_is_acknowledged_written_about_and_resolved(http: httpx.Client) -> None:
    page = f"{BASE}/incidents/5"
    assert "Acknowledge" in http.get(page).text
    by = {"by": "ana <ana>", "text": "looked at <it>"}
    for action in ("notes", "acknowledge", "resolve"):
        answer = http.post(f"{page}/{action}", data=by)
        assert answer.status_code == 303 and answer.headers["location"].startswith(page)
    html = http.get(page).text
    assert "ana &lt;ana&gt;" in html and "looked at &lt;it&gt;" in html
    assert "Resolve<" not in html
    told = http.get("/v1/projects/default/incidents/5").json()
    assert told["state"] == "resolved" and len(told["history"]) == 3
    assert http.post(f"{page}/notes", data={"by": "ana"}).status_code == 400


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
])  # fmt: skip
def test_a_form_of_another_site_is_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.post(f"{BASE}/incidents/1/resolve", data={"by": "x"}, headers=headers)
    assert answer.status_code == 403
    assert http.get("/v1/projects/default/incidents/1").json()["state"] != "resolved"


def test_forms_are_bounded_and_of_their_type(http: httpx.Client) -> None:
    page = f"{BASE}/incidents/1"
    assert http.post(f"{page}/notes", data={"text": "x" * 100_000}).status_code == 400
    assert http.post(f"{page}/notes", json={"text": "x"}).status_code == 400
    assert http.post("/projects/default/models/other/incidents/1/notes", data={}).status_code == 404
    assert http.post(f"{BASE}/incidents/99/resolve", data={}).status_code == 404


def test_a_window_ranks_its_alarms_and_shows_its_records(http: httpx.Client) -> None:
    html = http.get(f"{BASE}/windows/2026-02-05").text
    seen = Seen(html)
    assert "5 Feb 2026:" in headline(html) and "200 records, 200 with a label" in seen.text
    assert "prediction_id" in seen.text and html.count("<tr>") >= 50
    assert f"{BASE}/windows/2026-02-04" in seen.links and 'rel="next"' in html
    first = http.get(f"{BASE}/windows/2026-01-05").text
    assert 'rel="prev"' not in first
    moved = http.get(f"{BASE}/windows/2026-02-05T13:00:00Z?version=1")
    assert moved.status_code == 303
    assert moved.headers["location"] == f"{BASE}/windows/2026-02-05?version=1"


@pytest.mark.parametrize("path, status, told", [
    ("/projects/default/models/chrn", 404, "did you mean 'churn'?"),
    (f"{BASE}/columns/amuont", 404, "did you mean 'amount'?"),
    (f"{BASE}/incidents/99", 404, "no incident 99"),
    (f"{BASE}/windows/2020-01-01", 404, "closed are those of 2026-01-05 to 2026-02-19"),
    (f"{BASE}/windows/soon", 400, "'soon' is no time"),
    (f"{BASE}?start=soon", 400, "'soon' is no time"),
    (f"{BASE}?start=2026-02-02&end=2026-02-01", 400, "swap them"),
    (f"{BASE}?segment=planet:mars", 400, "there are: region"),
    ("/projects/nobody", 404, "no project 'nobody'"),
    ("/nowhere", 404, "there is nothing at /nowhere"),
    (f"{BASE}/columns/plan?window=soon", 400, "'soon' is no time"),
])  # fmt: skip
def test_an_error_is_a_page_with_a_sentence(
    http: httpx.Client, path: str, status: int, told: str
) -> None:
    answer = http.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert told.lower() in headline(answer.text).lower()


def test_an_error_leads_to_what_was_meant(http: httpx.Client) -> None:
    assert BASE in Seen(http.get("/projects/default/models/chrn").text).links
    assert f"{BASE}/columns/amount" in Seen(http.get(f"{BASE}/columns/amuont").text).links


def test_programs_get_problems_and_not_pages(address: str) -> None:
    for path in ("/nowhere", "/v1/nowhere"):
        answer = httpx.get(address + path, headers={"Accept": "application/json"})
        assert answer.headers["content-type"] == "application/problem+json"
    answer = httpx.get(f"{address}/v1/projects/x/models/y", headers={"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_is_kept_until_what_it_rests_on_changes(http: httpx.Client) -> None:
    path = f"{BASE}?start=2026-01-20"
    http.get(path)
    again = http.get(path)
    assert 'cache;desc="hit"' in again.headers["server-timing"]
    same = http.get(path, headers={"If-None-Match": again.headers["etag"]})
    assert same.status_code == 304 and not same.content
    before = http.get(f"{BASE}/incidents/1")
    assert http.post(f"{BASE}/incidents/1/acknowledge", data={"by": "ana"}).status_code == 303
    assert 'cache;desc="miss"' in http.get(path).headers["server-timing"]
    after = http.get(f"{BASE}/incidents/1")
    assert "acknowledged" in after.text and after.headers["etag"] != before.headers["etag"]


def test_every_answer_tells_its_time_and_keeps_others_out(http: httpx.Client) -> None:
    answer = http.get(BASE)
    assert re.search(r"total;dur=\d", answer.headers["server-timing"])
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text)


def test_static_files_are_kept_for_a_year_under_their_own_address(http: httpx.Client) -> None:
    html = http.get("/").text
    found = re.findall(r'(?:href|src|content)="(/static/[^"]+)"', html)
    assert len(found) == 4
    for link in found:
        answer = http.get(link)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        old = http.get(link.partition("?")[0])
        assert old.headers["cache-control"] == "no-cache"
        kept = http.get(link, headers={"If-None-Match": answer.headers["etag"]})
        assert kept.status_code == 304
    assert http.get("/static/nothing.css").status_code == 404
    plain = http.get("/static/charts.min.js", headers={"Accept-Encoding": "identity"})
    assert plain.headers.get("content-encoding") is None and b"vega" in plain.content


def test_the_window_that_is_newest_is_the_last_one_closed(http: httpx.Client) -> None:
    assert f'value="{day(45):%Y-%m-%d}"' in http.get(BASE).text
    assert http.get(f"{BASE}/windows/{day(44):%Y-%m-%d}").status_code == 200
    assert http.get(f"{BASE}/windows/{day(45):%Y-%m-%d}").status_code == 404


def test_names_that_look_like_markup_stay_names(http: httpx.Client) -> None:
    html = http.get(f"{BASE}/columns/{quote(EVIL, safe='')}").text
    assert EVIL in headline(html)
    assert quote(EVIL, safe="") in http.get(BASE).text
    assert NAME in html


def test_heads_are_answered_as_gets_are(http: httpx.Client) -> None:
    answer = http.head(BASE)
    assert answer.status_code == 200 and not answer.content
