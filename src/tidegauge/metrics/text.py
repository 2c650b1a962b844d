"""Drift of text columns, from the coordinated sample: length, words, and what a classifier sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.metrics.registry import Direction, Family, Scale, Values, View, metric
from tidegauge.metrics.sampled import hashes, of_whole, values_of
from tidegauge.metrics.two_domains import told_apart
from tidegauge.profile.columns import encode
from tidegauge.schema import ColumnType
from tidegauge.schema.types import WATCHED_ROLES

_TEXTS = frozenset({ColumnType.TEXT})


def _texts(view: View) -> tuple[pa.Array, ...]:
    """Texts of each window's sample, null where missing."""
    return view.once(
        "texts", lambda: tuple(encode(column).dictionary_decode() for column in values_of(view))
    )


@metric(
    "text_length",
    Family.QUALITY,
    types=_TEXTS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    unit="characters",
    direction=Direction.NEITHER,
    scale=Scale.LOG,
    uses_reference=False,
)
def text_length(current: View, reference: View) -> Values:
    """Mean length of the texts of the sample, in characters; of the whole only."""
    means = (pc.mean(pc.utf8_length(texts)).as_py() for texts in _texts(current))
    return of_whole(current, (np.nan if mean is None else mean for mean in means))


def words(texts: pa.Array) -> pa.Array:
    """Return all words of texts, in lower case: runs of letters, marks and digits.

    Examples
    --------
    >>> words(pa.array(["Ça va, ça va?", None, "42!"])).to_pylist()
    ['ça', 'va', 'ça', 'va', '42']
    """
    parts = pc.split_pattern_regex(pc.utf8_lower(texts), r"[^\pL\pM\pN]+")
    found = pc.list_flatten(parts)
    return found.filter(pc.not_equal(found, ""))


@metric(
    "out_of_vocabulary_share",
    Family.DRIFT,
    types=_TEXTS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    unit="share",
    scale=Scale.ARCSINE,
    asked=True,
)
def out_of_vocabulary_share(current: View, reference: View) -> Values:
    """Share of the words that never occur in the baseline; both from the samples.

    Rare words make it more than 0 even if nothing changed.
    """
    known = reference.once("vocabulary", lambda: pc.unique(words(_texts(reference)[0])))
    return of_whole(current, (_unknown(words(texts), known) for texts in _texts(current)))


def _unknown(found: pa.Array, known: pa.Array) -> float:
    if not len(found) or not len(known):
        return float("nan")
    return 1.0 - float(pc.mean(pc.is_in(found, value_set=known)).as_py())


@metric(
    "text_domain_classifier",
    Family.DRIFT,
    types=_TEXTS,
    roles=WATCHED_ROLES,
    needs=("missing",),
    asked=True,
    requires="sklearn",
)
def text_domain_classifier(current: View, reference: View) -> Values:
    """ROC AUC of a classifier that tells current texts from the baseline's; 0.5 if unchanged.

    Logistic regression over single words and pairs, hashed to 16,384 places, of the sample, five
    parts.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    hashing = HashingVectorizer(n_features=2**14, ngram_range=(1, 2), alternate_sign=False)
    model = LogisticRegression(solver="liblinear", random_state=0)

    def read(view: View) -> list[tuple[Any, NDArray[np.uint64]]]:
        out = []
        for texts, table in zip(_texts(view), view.samples, strict=True):
            ids = hashes(table)[np.asarray(texts.is_valid())]
            # Nothing can be hashed of no texts; one stands in, and is left out again.
            rows = hashing.transform([*texts.drop_null().to_pylist(), ""])[:-1]
            out.append((rows, ids))
        return out

    ((y, ids_y),) = read(reference)
    return of_whole(current, (told_apart(model, x, y, ids_x, ids_y) for x, ids_x in read(current)))
