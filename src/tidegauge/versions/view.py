"""A comparison of versions as people see it: page, notebook, terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tidegauge.report.charts import ForestRow, Spec, forest
from tidegauge.report.environment import environment
from tidegauge.report.format import count
from tidegauge.report.states import look_of
from tidegauge.report.terminal import table
from tidegauge.versions.contrast import Contrast, Standing
from tidegauge.versions.report import Version, VersionReport
from tidegauge.versions.words import interval_text, margin_text, value_text, written

#: Word, tone, shape, glyph and meaning of how a difference stands to its margin.
_LOOKS = {
    Standing.WITHIN: ("no worse", "", "check", "✓", "Its whole interval is on the good side."),
    Standing.BEYOND: ("worse", "alarm", "triangle", "▲", "Its whole interval is past the margin."),
    Standing.OPEN: ("open", "unknown", "ring", "◌", "The margin lies in its interval."),
    Standing.SHOWN: ("shown", "", "dash", "·", "Knows no better and worse, so it has no margin."),
    Standing.UNKNOWN: ("not known", "unknown", "ring", "◌", "It could not be computed."),
}
_FAMILIES = {
    "performance": ("Performance", "over records with a label"),
    "fairness": ("Fairness", "how far apart groups are where they are furthest; less is better"),
    "latency": ("Latency and failures", "less is better"),
    "resources": ("Resource use", "mean of a record; less is better"),
    "outcome": ("Business outcome", "mean of a record"),
}
_ROW, _AXIS = 24, 60
_STYLES = {"alarm": "bold red", "unknown": "blue", "": "default"}
_WORDS = {"ship": "Ship", "do_not_ship": "Do not ship", "not_enough_data": "Not enough data yet"}


@dataclass(frozen=True)
class Row:
    """One contrast in words."""

    name: str
    summary: str
    gate: bool
    word: str
    tone: str
    shape: str
    meaning: str
    reason: str
    difference: str
    difference_value: float | None
    interval: str
    margin: str
    champion: str
    champion_value: float | None
    challenger: str
    challenger_value: float | None
    unadjusted: str
    records: str
    records_value: int


@dataclass(frozen=True)
class Part:
    """The contrasts of one family; those that none of is known of, as one sentence."""

    key: str
    title: str
    about: str
    adjusted: bool
    rows: tuple[Row, ...]
    unknown: str = ""


@dataclass(frozen=True)
class VersionsView:
    """What pages show of a comparison.

    Parameters
    ----------
    state, word, sentence : str
    level : float
    missing : tuple of str
    counts : list of (word, tone, shape, count)
        Of the gates.
    champion, challenger : Version
    traffic : str
    notes, method : tuple of str
    chart : dict or None
    height : int
        That it will take, in pixels.
    families : tuple of Part
    """

    state: str
    word: str
    sentence: str
    level: float
    missing: tuple[str, ...]
    counts: list[tuple[str, str, str, str]]
    champion: Version
    challenger: Version
    traffic: str
    notes: tuple[str, ...]
    method: tuple[str, ...]
    chart: Spec | None
    height: int
    families: tuple[Part, ...]


def versions_view(report: VersionReport) -> VersionsView:
    """Put together what pages show."""
    drawn = [row for row in (_drawn(one) for one in report.contrasts) if row is not None]
    gates = Counter(one.standing for one in report.gates)
    traffic = report.traffic.sentence
    return VersionsView(
        state=report.state,
        word=_WORDS[report.decision],
        sentence=report.sentence.rstrip("."),
        level=report.rule.level,
        missing=report.verdict.missing,
        counts=[
            (*_LOOKS[one][:3], f"{n} of {len(report.gates)} gates") for one, n in gates.items()
        ],
        champion=report.champion,
        challenger=report.challenger,
        traffic=traffic[:1].upper() + traffic[1:],
        notes=report.notes,
        method=report.method,
        chart=forest(drawn) if drawn else None,
        height=_ROW * max(len(drawn), 2) + _AXIS,
        families=tuple(_parts(report)),
    )


def _parts(report: VersionReport) -> list[Part]:
    out = []
    for key, (title, about) in _FAMILIES.items():
        held = [one for one in report.contrasts if one.family == key]
        if held:
            adjusted = any(one.unadjusted is not None for one in held)
            by_reason: dict[str, list[str]] = {}
            for one in held:
                if one.standing is Standing.UNKNOWN and one.champion is None:
                    by_reason.setdefault(one.reason, []).append(one.name)
            told = "; ".join(f"{why} ({', '.join(names)})" for why, names in by_reason.items())
            rows = tuple(_row(one) for one in held if one.champion is not None)
            out.append(Part(key, title, about, adjusted, rows, told))
    return out


def _row(one: Contrast) -> Row:
    word, tone, shape, _, meaning = _LOOKS[one.standing]
    records = count(one.n_champion)
    if one.n_champion != one.n_challenger:
        records = f"{records} / {count(one.n_challenger)}"
    return Row(
        name=one.name,
        summary=one.summary,
        gate=one.gate,
        word=word,
        tone=tone if one.gate else "",
        shape=shape,
        meaning=meaning,
        reason=one.reason,
        difference=written(one.difference, one),
        difference_value=one.difference,
        interval=interval_text(one),
        margin=margin_text(one),
        champion=value_text(one.champion, one),
        champion_value=one.champion,
        challenger=value_text(one.challenger, one),
        challenger_value=one.challenger,
        unadjusted=written(one.unadjusted, one),
        records=records,
        records_value=one.n_champion + one.n_challenger,
    )


def _drawn(one: Contrast) -> ForestRow | None:
    """Return a contrast in margins; None for one without."""
    if one.bound is None or one.difference is None or one.lower is None or one.upper is None:
        return None
    scale = -one.bound
    low, high = sorted((one.lower / scale, one.upper / scale))
    states = {Standing.BEYOND: "alarm", Standing.OPEN: "unknown"}
    row = _row(one)
    return ForestRow(
        one.name,
        one.difference / scale,
        low,
        high,
        states.get(one.standing, "ok"),
        one.gate,
        f"{row.difference} ({row.interval}), margin {row.margin}: {row.word}",
    )


def page(report: VersionReport) -> str:
    """Draw a comparison as one HTML file that loads nothing from anywhere."""
    template = environment().get_template("report/versions.html")
    return template.render(view=versions_view(report), home="", static=None)


def notebook(report: VersionReport) -> str:
    """Draw a comparison for a notebook's output: the page in a frame of its own."""
    frame = "width:100%;height:100%;border:0;display:block"
    return (
        '<div style="height:680px;max-width:100%;resize:vertical;overflow:hidden;'
        'border:1px solid #8884;border-radius:8px">'
        f'<iframe title="Tidegauge versions" style="{frame}" '
        'sandbox="allow-scripts allow-downloads allow-modals allow-popups" '
        f'srcdoc="{escape(page(report))}"></iframe></div>'
    )


def print_versions(report: VersionReport, console: Console) -> None:
    """Print a comparison: the verdict, both versions, the differences, how far it holds.

    Parameters
    ----------
    report : VersionReport
    console : rich.console.Console
    """
    look = look_of(report.state)
    style = {"alarm": "bold red", "unknown": "bold blue"}.get(look.tone, "bold")
    console.print()
    console.print(Text.assemble((f"{look.glyph} ", style), (report.sentence, style)))
    for word, side in (("champion", report.champion), ("challenger", report.challenger)):
        told = f"{side.name} · {count(side.records)} records, {count(side.labelled)} with a label"
        console.print(Text(f"  {word:<11} {told}", style="dim"))
    console.print(Padding(Text(report.traffic.sentence, style="dim"), (0, 0, 0, 2)))
    for missing in report.verdict.missing:
        console.print(Padding(Text(f"missing: {missing}"), (0, 0, 0, 2)))
    for title, held in (
        ("gate", report.gates),
        ("also compared", [one for one in report.contrasts if not one.gate]),
    ):
        if held:
            console.print()
            console.print(_table(title, held, console.width))
    console.print()
    for note in (*report.notes, *report.method):
        console.print(Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2)))
    console.print()


def _table(title: str, held: Sequence[Contrast], width: int) -> object:
    wide = width >= 120
    rows: list[list[Text | str]] = []
    for one in held:
        word, tone, _, glyph, _ = _LOOKS[one.standing]
        told = _row(one)
        style = _STYLES[tone] if one.gate else "default"
        row: list[Text | str] = [Text.assemble("  ", (glyph, style), f" {one.name}")]
        if one.standing is Standing.UNKNOWN and one.difference is None:
            row += ["", "", "", *(["", ""] if wide else []), Text(one.reason, style="dim")]
        else:
            row += [told.difference, told.interval, told.margin]
            row += [told.champion, told.challenger] if wide else []
            row += [Text(word if one.standing is not Standing.SHOWN and wide else "", style=style)]
        rows.append(row)
    headings = [f"    {title}", ">difference", ">interval", ">margin"]
    headings += [">champion", ">challenger"] if wide else []
    return table([*headings, ""], rows)
