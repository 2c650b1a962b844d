"""The style sheet and the scripts: one design, readable, and nothing that nobody may use."""

from __future__ import annotations

import gzip
import re
from itertools import product

import pytest

from tidegauge.report.assets import STATIC, assets, packed_charts
from tidegauge.report.environment import TEMPLATES, environment
from tidegauge.report.states import LOOKS

CSS = (STATIC / "tidegauge.css").read_text(encoding="utf-8")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


LIGHT = colours(CSS.split("@media screen and (prefers-color-scheme: dark)")[0])
BY_SYSTEM = colours(CSS.split("prefers-color-scheme: dark")[1].split("@media screen {")[0])
BY_CHOICE = colours(CSS.split("@media screen {")[1].split("/* Ground */")[0])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_dark_by_choice_is_dark_by_the_system() -> None:
    assert BY_SYSTEM == BY_CHOICE
    assert set(BY_SYSTEM) == set(LIGHT)


@pytest.mark.parametrize("theme", [LIGHT, BY_SYSTEM], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_ground(theme: dict[str, str]) -> None:
    inks = ("text", "soft", "alarm", "warning", "unknown", "ink-text")
    grounds = ("page", "surface", "sunken")
    for ink, ground in product(inks, grounds):
        assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
    for tone in ("alarm", "warning", "unknown"):
        assert contrast(theme[tone], theme[f"{tone}-wash"]) >= 4.5, tone
        assert contrast(theme["soft"], theme[f"{tone}-wash"]) >= 4.5, tone


@pytest.mark.parametrize("theme", [LIGHT, BY_SYSTEM], ids=["light", "dark"])
def test_what_a_chart_says_stands_out_from_its_paper(theme: dict[str, str]) -> None:
    for ink in ("current", "alarm", "warning", "unknown", "expected"):
        assert contrast(theme[f"ink-{ink}"], theme["ink-paper"]) >= 3, ink
    assert contrast(theme["ink-current"], theme["ink-reference"]) >= 3


def test_the_style_sheet_loads_nothing() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert "@font-face" not in CSS


def test_every_shape_of_a_state_is_drawn() -> None:
    drawn = set(re.findall(r'id="s-(\w+)"', (TEMPLATES / "shapes.html").read_text()))
    assert {look.shape for look in LOOKS.values()} <= drawn


def test_states_differ_by_word_and_tones_by_shape() -> None:
    assert len({look.word for look in LOOKS.values()}) == len(LOOKS)
    shapes = {tone: {x.shape for x in LOOKS.values() if x.tone == tone} for tone in
              ("alarm", "warning", "unknown", "")}  # fmt: skip
    for one, other in product(shapes, shapes):
        assert one == other or not shapes[one] & shapes[other]


def test_the_charts_script_is_small() -> None:
    text = gzip.decompress(assets()["charts.min.js"].body).decode()
    assert len(packed_charts()) < 350_000
    assert text.startswith("var tidegaugeVega=")


def test_the_licence_of_every_vendored_package_stands_beside_it() -> None:
    told = assets()["charts.licenses.txt"].body.decode()
    for package in ("vega-lite 6.4.3 (BSD-3-Clause)", "vega-interpreter", "d3-scale"):
        assert package in told
    assert "Redistributions in binary form" in told


def test_a_tag_changes_with_the_content() -> None:
    tags = [asset.tag for asset in assets().values()]
    assert len(set(tags)) == len(tags)


def test_every_template_compiles() -> None:
    for path in TEMPLATES.rglob("*.html"):
        environment().get_template(str(path.relative_to(TEMPLATES)))
