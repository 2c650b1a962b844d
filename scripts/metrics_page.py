"""Writes ``docs/metrics.md`` from the registry, so that it cannot fall behind."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegauge.metrics import Family, Metric, all_metrics, find_metric

ABOUT = {
    Family.DRIFT: "How far a column's distribution lies from its baseline's.",
    Family.QUALITY: "What is missing, new, out of range or unreadable, and plain figures.",
    Family.PERFORMANCE: "How right the model is, where labels are.",
    Family.SERVICE: "How fast and how reliably it answers.",
    Family.FAIRNESS: (
        "How far the segments of one segment column lie apart: a value for each such column, with "
        "its interval ([fairness](fairness.md))."
    ),
    Family.STALENESS: "How old model, baseline and newest label are at the end of a window.",
}


#: Names that people know from elsewhere, beside ours.
ELSEWHERE = (
    ("Evidently `ks`, NannyML `kolmogorov_smirnov`, Alibi Detect `KSDrift`", "ks"),
    ("Evidently `chisquare`, NannyML `chi2`, Alibi Detect `ChiSquareDrift`", "chi2"),
    ("Evidently `jensenshannon`, NannyML `jensen_shannon`", "js_distance"),
    ("Evidently `kl_div`", "kl_divergence"),
    ("Evidently `TVD`", "total_variation"),
    ("Evidently `cramer_von_mises`, Alibi Detect `CVMDrift`", "cramer_von_mises"),
    ("Evidently `anderson`", "anderson_darling"),
    ("Evidently `mannw`", "mann_whitney"),
    ("Evidently `es`", "epps_singleton"),
    ("Evidently `ed`", "energy_distance"),
    ("Evidently `z`", "z_test"),
    ("Evidently `g_test`", "g_test"),
    ("Evidently `fisher_exact`, Alibi Detect `FETDrift`", "fisher_exact"),
    ("NannyML `l_infinity`", "l_infinity"),
    ("NannyML `DataReconstructionDriftCalculator`", "pca_reconstruction_error"),
    (
        "NannyML `DomainClassifierCalculator`, Alibi Detect `ClassifierDrift`",
        "domain_classifier",
    ),
    ("Alibi Detect `MMDDrift`", "mmd"),
    ("Evidently `mmd` of embeddings", "embedding_mmd"),
    ("Evidently `model` of embeddings", "embedding_domain_classifier"),
    ("Evidently `distance` of embeddings", "embedding_mean_distance"),
    ("Evidently `abs_text_content_drift`", "text_domain_classifier"),
)


def _where(one: Metric) -> str:
    if one.over_segments:
        return "segment columns, " + ", ".join(sorted(task.value for task in one.tasks))
    if one.group:
        return ", ".join(sorted(task.value for task in one.tasks)) or "the model"
    return ", ".join(sorted(kind.value for kind in one.types))


def _judged(one: Metric) -> str:
    tasks = sorted(task.value for task, other in one.by_task.items() if other.get("judged"))
    if not one.judged and not tasks:
        return "when asked" if one.asked else ""
    size = f"from {one.minimum_effect:g}"
    size = f"{size} × what is expected" if one.relative else size
    return size if one.judged else f"{size}, {' and '.join(tasks)}"


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Metrics",
        "",
        "Written by `make docs` from the registry. A metric that is *judged* can raise an alarm,",
        "from the given change on; every other one is shown beside it.",
        "",
        "One marked *when asked* is computed only where somebody asks for it:",
        '`tg.compare(…, metrics=("mmd", "t_test"))`, `tidegauge compare … --metric mmd` (`all`',
        "asks for all), or a [monitor](monitors.md) that names it. Those that need single values",
        "read the sample of up to 2,000 rows that every window keeps, and are of the whole, not of",
        "segments. Classifiers need scikit-learn: `pip install 'tidegauge[multivariate]'`.",
    ]
    for family, about in ABOUT.items():
        lines += ["", f"## {family.value.capitalize()}", "", about, ""]
        lines += ["| metric | of | unit | judged | what it is |", "|---|---|---|---|---|"]
        for _, one in sorted(all_metrics().items()):
            if one.family is family:
                cells = (f"`{one.name}`", _where(one), one.unit, _judged(one), one.summary)
                lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    lines += ["", "## Known from elsewhere", "", "| there | here |", "|---|---|"]
    lines += [f"| {there} | `{find_metric(here).name}` |" for there, here in ELSEWHERE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
