"""Versions whose records are made up, so that their true difference is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def made(
    n: int = 2_000, *, seed: int = 1, noise: float = 1.0, world: int = 1, shift: float = 0.0,
    ids: str | None = "p", **more: Any,
) -> pa.Table:  # fmt: skip
    """Records of one version of a binary model; the same ``world`` asks the same of it."""
    asked, own = np.random.default_rng(world), np.random.default_rng([seed, 7])
    x = asked.normal(shift, 1.0, n)
    group = np.asarray(["a", "b", "c"])[asked.choice(3, n, p=[0.5, 0.3, 0.2])]
    logit = 1.2 * x + 0.7 * (group == "b") - 0.5
    label = asked.random(n) < 1 / (1 + np.exp(-logit))
    score = 1 / (1 + np.exp(-(logit + noise * own.standard_normal(n))))
    columns: dict[str, Any] = {"x": x, "group": group, "score": score, "label": label}
    columns |= {"latency_ms": own.gamma(4, 5, n), "status": np.full(n, "200")} | more
    if ids is not None:
        columns = {"prediction_id": [f"{ids}{i}" for i in range(n)], **columns}
    return pa.table(columns)
