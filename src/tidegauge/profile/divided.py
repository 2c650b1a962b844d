"""Which segment a record belongs to, where segments are combinations or numbers in bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidegauge.profile.bins import CategoryBins
from tidegauge.profile.columns import encode
from tidegauge.profile.layout import OTHER, Layout, Segment
from tidegauge.profile.values import column_of, numbers, rows_of
from tidegauge.schema import Division, Part

#: Combinations that are counted at most, while a baseline is looked at.
_COUNTED = 20_000


class Combinations:
    """Counts a division's combinations over a baseline.

    Parameters
    ----------
    division : Division

    Examples
    --------
    >>> held = Combinations(Division((Part("a"), Part("x", (0.0,)))))
    >>> held.update(pa.record_batch({"a": ["u", "u", None], "x": [1.0, 2.0, 3.0]}))
    >>> [segment.value for segment in held.segments(20)]
    ['u × >=0', '(other)']
    """

    def __init__(self, division: Division) -> None:
        self.division = division
        self._counts: Counter[tuple[str, ...]] = Counter()

    def update(self, batch: pa.RecordBatch) -> None:
        """Count the combinations of a batch."""
        read = [_read(batch, part) for part in self.division.parts]
        whole = np.zeros(batch.num_rows, dtype=np.int64)
        known = np.ones(batch.num_rows, dtype=np.bool_)
        for codes, words in read:
            known &= codes >= 0
            whole = whole * max(len(words), 1) + codes
        found, times = np.unique(whole[known], return_counts=True)
        for cell, n in zip(found.tolist(), times.tolist(), strict=True):
            values: list[str] = []
            for _, words in reversed(read):
                cell, at = divmod(cell, len(words))
                values.append(words[at])
            self._counts[tuple(reversed(values))] += n
        if len(self._counts) > 2 * _COUNTED:
            self._counts = Counter(dict(self._counts.most_common(_COUNTED)))

    def segments(self, most: int) -> list[Segment]:
        """Return the segments: all bins of one column, else the most frequent; then the rest."""
        parts = self.division.parts
        if len(parts) == 1:
            values: list[tuple[str, ...]] = [(label,) for label in parts[0].labels]
        else:
            ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
            values = [one for one, _ in ranked if OTHER not in one][:most]
        rest = (OTHER,) * len(parts)
        return [Segment.of(self.division.columns, one) for one in (*values, rest)]


def segment_codes(batch: pa.RecordBatch, layout: Layout, name: str) -> NDArray[np.int64]:
    """Return each record's place among the segments of one group.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or Table's part
    layout : Layout
    name : str
        Of ``layout.segment_groups``.

    Returns
    -------
    (n,) int64
        The last place for records that belong to none that is told apart.
    """
    held = [one for one in layout.segments if one is not None and one.column == name]
    division = layout.schema.division(name)
    if division.plain:
        values = tuple(one.value for one in held)
        known = CategoryBins(tuple(v for v in values if v != OTHER))
        codes, _ = known.codes(encode(column_of(batch, name)))
        clipped: NDArray[np.int64] = np.minimum(codes, len(values) - 1).astype(np.int64)
        return clipped
    return _combined(batch, division, [tuple(one.values) for one in held[:-1]])


def _combined(
    batch: pa.RecordBatch, division: Division, combinations: Sequence[tuple[str, ...]]
) -> NDArray[np.int64]:
    """Place of each record's combination; ``len(combinations)`` for none of them."""
    whole = np.zeros(batch.num_rows, dtype=np.int64)
    lost = np.zeros(batch.num_rows, dtype=np.bool_)
    place = np.zeros(len(combinations), dtype=np.int64)
    for axis, part in enumerate(division.parts):
        wanted = list(dict.fromkeys(one[axis] for one in combinations))
        at = {value: k for k, value in enumerate(wanted)}
        codes, words = _read(batch, part)
        table = np.array([*(at.get(word, -1) for word in words), -1], dtype=np.int64)
        own = table[codes]
        lost |= own < 0
        whole = whole * max(len(wanted), 1) + own
        place = place * max(len(wanted), 1) + np.array([at[one[axis]] for one in combinations])
    order = np.argsort(place)
    found = np.searchsorted(place[order], whole)
    found = np.minimum(found, max(len(place) - 1, 0))
    out = np.full(batch.num_rows, len(combinations), dtype=np.int64)
    if len(combinations):
        hit = ~lost & (place[order][found] == whole)
        out[hit] = order[found[hit]]
    return out


def _read(batch: pa.RecordBatch, part: Part) -> tuple[NDArray[np.int64], list[str]]:
    """Place of each record's value among some words, -1 for none; and the words."""
    column = column_of(batch, part.column)
    if part.bins:
        values = numbers(column)[0]
        codes = np.searchsorted(np.array(part.bins), values, side="right").astype(np.int64)
        codes[np.isnan(values)] = -1
        return codes, list(part.labels)
    encoded = encode(column)
    words = encoded.dictionary.to_pylist()
    rows = rows_of(encoded, len(words)).astype(np.int64)
    rows[rows == len(words)] = -1
    return rows, [str(word) for word in words]
