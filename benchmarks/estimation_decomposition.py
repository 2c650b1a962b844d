"""How near the decomposition of a change comes to the truth, on streams with a known mix.

`run` gives the figures of `make bench-estimation`; `python -m benchmarks.estimation_decomposition`
prints them alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from benchmarks.estimation_figures import Figure, table_of
from benchmarks.estimation_mixes import ROWS, SCHEMA, Mix
from benchmarks.intervals import wilson
from tidegauge.explain.decomposition import decompose
from tidegauge.explain.parts import Part
from tidegauge.profile import Survey

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Runs of each mix, by metric.
RUNS = {"roc_auc": 20, "log_loss": 8}
#: How near the share is to come, and in how many runs.
NEAR, WANTED = 0.1, 0.9
_NAMES = {"roc_auc": "ROC AUC", "log_loss": "log loss"}


@dataclass(frozen=True)
class Found:
    """What one run came to.

    ``off`` is how far the inputs' share lies from the truth; ``covered`` whether the intervals of
    the inputs' part and of the relation's hold the truth.
    """

    share: float
    off: float
    covered: tuple[bool, bool]


def once(mix: Mix, number: int) -> Found:
    """Split the change of one stream."""
    reference, current = mix.draw(number)
    survey = Survey(SCHEMA)
    for batch in reference.to_batches():
        survey.update(batch)
    found = decompose(reference, current, survey.layout("mix"), mix.metric)
    assert found.total is not None and found.inputs is not None and found.relation is not None
    return Found(
        mix.share,
        found.inputs.value / found.total.value - mix.share,
        (_holds(found.inputs, mix.inputs), _holds(found.relation, mix.total - mix.inputs)),
    )


def _holds(part: Part, truth: float) -> bool:
    return part.lower <= truth <= part.upper


def run(console: Console) -> list[Figure]:
    """Measure the figures; a few minutes."""
    figures = []
    for metric, runs in RUNS.items():
        mixes = [Mix.of(metric, share) for share in SHARES]
        asked = [(mix, number) for mix in mixes for number in range(runs)]
        held = track(asked, f"mixes, {_NAMES[metric]}", console=console, transient=True)
        figures += _figures(metric, [once(mix, number) for mix, number in held])
    return figures


def _figures(metric: str, found: list[Found]) -> list[Figure]:
    n, name = len(found), _NAMES[metric]
    near = sum(abs(one.off) <= NEAR for one in found)
    farthest = max(found, key=lambda one: abs(one.off))
    by_share = ", ".join(
        f"{_mean_off([one for one in found if abs(one.share - share) < 0.02]):.3f} at {share:g}"
        for share in SHARES
    )
    covered = [sum(one.covered[part] for one in found) for part in (0, 1)]
    return [
        Figure(
            f"covariate share of a fall in {name} within ±{NEAR:g} of the truth",
            _share(near, n),
            f"≥ {WANTED:.0%}",
            near >= WANTED * n,
            f"{n} runs of {ROWS:,} records a side, shares {', '.join(f'{s:g}' for s in SHARES)}; "
            f"farthest {farthest.off:+.2f} at {farthest.share:.2f}; mean distance {by_share}",
        ),
        Figure(f"95 % intervals hold the truth: inputs' part of {name}", _share(covered[0], n)),
        Figure(f"95 % intervals hold the truth: relation's part of {name}", _share(covered[1], n)),
    ]


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count / of:.0%} ({low * 100:.0f}–{high * 100:.0f})"


def _mean_off(found: list[Found]) -> float:
    return sum(abs(one.off) for one in found) / max(len(found), 1)


def main() -> None:
    """Print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console()
    console.print(table_of("Decomposition", run(console)))


if __name__ == "__main__":
    main()
