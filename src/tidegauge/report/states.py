"""What each state is called, how it is drawn, and what it means: one list for every surface.

A state is never told by colour alone: it has a word, a shape (drawn by the symbol of the same
name in ``templates/shapes.html``), a glyph for the terminal, and a tone. There are three tones,
``alarm``, ``warning`` and ``unknown``; what is well has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegauge.metrics.result import Result, State
from tidegauge.report.format import known


@dataclass(frozen=True)
class Look:
    """How one state is shown.

    Parameters
    ----------
    name, word : str
        As it stands in data, and as it is said.
    tone : str
        ``alarm``, ``warning``, ``unknown`` or ``""``.
    shape : str
        Name of the drawn symbol.
    glyph : str
        The nearest character, for terminals.
    meaning : str
        One sentence for the hover.
    """

    name: str
    word: str
    tone: str
    shape: str
    glyph: str
    meaning: str


_LOOKS = (
    Look("ok", "ok", "", "check", "✓", "Within what was to be expected."),
    Look("alarm", "alarm", "alarm", "triangle", "▲", "Outside its threshold."),
    Look("warning", "warning", "warning", "diamond", "◆", "Outside a threshold of low severity."),
    Look("too_few", "too few", "unknown", "ring", "◌", "Too few records to judge: not a pass."),
    Look("not_applicable", "not defined", "", "dash", "·", "Has no value here, so no judgement."),
    Look("shown", "shown", "", "dash", "·", "Shown for the reader, not judged."),
    Look("silent", "silent", "unknown", "ring", "◌", "Nothing has arrived where it was due."),
    Look("estimated", "estimated", "unknown", "ring", "◌", "Estimated, and not judged: no labels."),
    Look("learning", "learning", "unknown", "ring", "◌", "No baseline yet to judge against."),
    Look("open", "open", "alarm", "triangle", "▲", "An incident that nobody has taken yet."),
    Look("acknowledged", "acknowledged", "warning", "half", "◐", "Somebody is looking at it."),
    Look("resolved", "resolved", "", "check", "✓", "Over, and back to what was expected."),
    Look("muted", "muted", "", "slash", "⊘", "Still watched, but tells nobody."),
)

LOOKS = {look.name: look for look in _LOOKS}

#: What is worse stands first.
SEVERITY = {name: rank for rank, name in enumerate(("alarm", "warning", "too_few", "ok"))}


def look_of(state: str) -> Look:
    """Return how a state is shown; an unknown one is shown by its own name.

    Examples
    --------
    >>> look_of("too_few").word
    'too few'
    """
    found = LOOKS.get(state)
    return found or Look(state, state.replace("_", " "), "unknown", "ring", "◌", "")


def shown_state(result: Result) -> str:
    """Return the state that a result is shown in: ``shown`` where nothing bounds it.

    Examples
    --------
    >>> shown_state(Result("mean", value=3.0)), shown_state(Result("ks", value=0.1, upper=0.2))
    ('shown', 'ok')
    """
    if result.state is State.OK and not (known(result.lower) or known(result.upper)):
        return "shown"
    return str(result.state)
