"""The report in the terminal: whole at 80 columns, without colour, whatever it is given."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from tidegauge.report.data import ReportData
from tidegauge.report.terminal import print_report, progress

Comparisons = dict[str, Callable[[], ReportData]]


def printed(data: ReportData, width: int = 80, **about: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, **about)  # type: ignore[arg-type]
    print_report(data, console)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_nothing_is_wider_than_the_terminal(any_comparison: ReportData, width: int) -> None:
    assert max(map(len, printed(any_comparison, width).splitlines())) <= width


def test_a_pipe_gets_no_colour_and_still_every_state(comparisons: Comparisons) -> None:
    text = printed(comparisons["realistic"]())
    assert "\x1b" not in text
    assert {"▲", "◌", "✓"} <= set(text)


def test_a_terminal_gets_colour(comparisons: Comparisons) -> None:
    assert "\x1b[" in printed(comparisons["realistic"](), force_terminal=True)


def test_the_verdict_is_the_first_line(comparisons: Comparisons) -> None:
    lines = printed(comparisons["realistic"]()).strip().splitlines()
    assert lines[0].startswith("▲ Not working: roc_auc fell from 0.781 to 0.716")


def test_what_alarms_is_listed_and_what_is_quiet_counted(comparisons: Comparisons) -> None:
    text = printed(comparisons["realistic"]())
    assert re.search(r"▲ temp +2\.2\u202fσ above expected +0\u202f% +\+0\.041", text)
    assert re.search(r"▲ carrier +UA: 48\.5\u202f% +0", text)
    assert re.search(r"▲ wind_speed .* no harm", text)
    assert re.search(r"◌ pressure +69 more records needed .* too few", text)
    assert "… and 45 more, quiet" in text


def test_the_arithmetic_of_every_alarm_is_there_for_who_asks(comparisons: Comparisons) -> None:
    out = io.StringIO()
    print_report(comparisons["realistic"](), Console(file=out, width=200), verbose=True)
    text = out.getvalue().replace("\u202f", " ")
    assert "dewp missing_share: 8.3 %; expected 0.2 ± 0.24 %; p = 1×10⁻⁹, below its share" in text
    assert "carrier total_variation: 22.1 % (0.8 % is usual); UA: 48.5 % where 26.4 % ±" in text
    assert "arithmetic" not in printed(comparisons["realistic"]())


def test_a_long_list_is_cut_and_says_so(comparisons: Comparisons) -> None:
    data = comparisons["realistic"]()
    loud = data.columns[0]
    many = tuple(replace(loud, name=f"column {at}") for at in range(40))
    text = printed(replace(data, columns=many))
    assert "… and 25 more, 25 of them not quiet" in text


def test_markup_in_names_is_printed_as_it_is(comparisons: Comparisons) -> None:
    data = replace(comparisons["quiet"](), verdict="[bold]x[/bold] [/]", notes=("[red]y",))
    text = printed(data)
    assert "[bold]x[/bold] [/]" in text
    assert "[red]y" in text


def test_the_strongest_alarms_of_parts_are_named_once(comparisons: Comparisons) -> None:
    text = printed(comparisons["windowed"]()).split("strongest")[1]
    named = re.findall(r"▲ (\S+ \S+|\S+) +\d", text)
    assert len(named) == len(set(named)) == 5
    assert "… of 158 alarms" in text


def test_progress_is_silent_where_it_would_disturb() -> None:
    out = io.StringIO()
    with progress(Console(file=out)) as show:
        show("reading", 10, None)
    with progress(Console(file=out, force_terminal=True), quiet=True) as show:
        show("reading", 10, None)
    assert out.getvalue() == ""


def test_progress_names_each_stage_and_counts_its_rows() -> None:
    out = io.StringIO()
    with progress(Console(file=out, force_terminal=True, width=80)) as show:
        show("profiling the reference", 40, 100)
        show("profiling", 1_000, None)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "profiling the reference" in text
    assert "1,000 rows" in text
