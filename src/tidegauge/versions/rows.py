"""One version's records as arrays: what it said, what was true, how long it took, what it used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidegauge.profile.columns import encode
from tidegauge.profile.hashing import hash_array, mix64
from tidegauge.profile.profiler import failed
from tidegauge.profile.values import numbers, rows_of, truth
from tidegauge.schema import Column, ColumnType, Role, Schema, Task
from tidegauge.versions.influence import Floats, Ints

#: Names of columns that tell what an answer used, with its unit.
RESOURCE = re.compile(
    r"(cpu|gpu|memory|mem|rss|vram|gpu_memory|gpu_mem)"
    r"_(ms|s|seconds|bytes|kb|mb|mib|gb|gib|percent|share|util|utilisation|utilization)",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Side:
    """The records of one version. NaN stands for what is not known.

    Parameters
    ----------
    name : str
    rows : int
    keys : (n,) uint64 or None
        Tell records that both versions scored; None where nothing does.
    label : (n,) float64 or None
        1 and 0 of a binary model, the class's place of a multiclass one, the value of a regression.
    said : (n,) float64 or None
        The prediction, likewise.
    scores : (n,) or (n, class) float64 or None
        As they are, outside 0–1 too.
    numbers : mapping of str to (n,) float64
        Latency, outcomes and resources by column.
    failures : (n,) float64 or None
        1 where the status tells of a failure.
    groups : mapping of str to (n,) int64
        Place of each segment column's value in ``names``; -1 for none.
    names : mapping of str to tuple of str
    features : pyarrow.Table
    """

    name: str
    rows: int
    keys: NDArray[np.uint64] | None
    label: Floats | None
    said: Floats | None
    scores: Floats | None
    numbers: Mapping[str, Floats]
    failures: Floats | None
    groups: Mapping[str, Ints]
    names: Mapping[str, tuple[str, ...]]
    features: pa.Table = field(repr=False)

    def take(self, rows: Ints) -> Side:
        """Return some of the records, in this order."""

        def some(array: Floats | None) -> Floats | None:
            return None if array is None else array[rows]

        return replace(
            self,
            rows=len(rows),
            keys=None if self.keys is None else self.keys[rows],
            label=some(self.label),
            said=some(self.said),
            scores=some(self.scores),
            numbers={name: array[rows] for name, array in self.numbers.items()},
            failures=some(self.failures),
            groups={name: codes[rows] for name, codes in self.groups.items()},
            features=self.features.take(pa.array(rows)),
        )

    @property
    def labelled(self) -> int:
        """How many records have a label."""
        return 0 if self.label is None else int(np.isfinite(self.label).sum())


def resources_of(schema: Schema, named: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the columns that tell what an answer used: CPU, memory, GPU.

    Those that are named, and numeric ones called after a resource and its unit, such as
    ``cpu_ms``, ``memory_mb``, ``gpu_util``.

    Examples
    --------
    >>> resources_of(Schema((Column("cpu_ms", ColumnType.NUMERIC),
    ...                      Column("cpu_count", ColumnType.NUMERIC))))
    ('cpu_ms',)
    """
    wanted = set(named)
    roles = (Role.FEATURE, Role.TAG, Role.INTERMEDIATE)
    found = [
        c.name
        for c in schema
        if c.name in wanted
        or (c.type is ColumnType.NUMERIC and c.role in roles and RESOURCE.fullmatch(c.name))
    ]
    return tuple(found)


def features_of(schema: Schema, resources: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns that tell what traffic a version got: features and segments."""
    kinds = (ColumnType.NUMERIC, ColumnType.CATEGORICAL, ColumnType.BOOLEAN)
    return tuple(
        c
        for c in schema
        if c.type in kinds
        and c.name not in resources
        and (c.role is Role.FEATURE or c.name in schema.segment_columns)
    )


def columns_of(schema: Schema, resources: Sequence[str]) -> list[str]:
    """Return the columns that a comparison of versions reads."""
    roles = (
        Role.PREDICTION_ID,
        Role.LABEL,
        Role.PREDICTION,
        Role.SCORE,
        Role.LATENCY,
        Role.STATUS,
        Role.OUTCOME,
    )
    features = {c.name for c in features_of(schema, resources)}
    kept = [c.name for c in schema if c.role in roles or c.name in features]
    return [*kept, *(name for name in resources if name not in kept)]


def classes_of(schema: Schema, tables: Sequence[pa.Table]) -> tuple[str, ...]:
    """Return the classes of a multiclass model: of its scores, and of labels and predictions."""
    if schema.task is not Task.MULTICLASS:
        return ()
    found = {c.class_ for c in schema.with_role(Role.SCORE) if c.class_ is not None}
    for role in (Role.LABEL, Role.PREDICTION):
        column = schema.role(role)
        for table in tables:
            if column is not None and column.name in table.column_names:
                words = encode(_one(table, column.name)).dictionary.to_pylist()
                found |= {word for word in words if word is not None}
    return tuple(sorted(found))


def values_of(schema: Schema, tables: Sequence[pa.Table]) -> dict[str, tuple[str, ...]]:
    """Return the values of each segment column that all tables have."""
    out: dict[str, tuple[str, ...]] = {}
    for name in schema.plain_segments:
        if all(name in table.column_names for table in tables):
            found: set[str] = set()
            for table in tables:
                words = encode(_one(table, name)).dictionary.to_pylist()
                found |= {word for word in words if word is not None}
            out[name] = tuple(sorted(found))
    return out


def side_of(
    table: pa.Table,
    name: str,
    schema: Schema,
    *,
    classes: Sequence[str] = (),
    resources: Sequence[str] = (),
    names: Mapping[str, tuple[str, ...]],
) -> Side:
    """Return one version's records as arrays.

    Parameters
    ----------
    table : pyarrow.Table
    name : str
    schema : Schema
    classes : sequence of str
        Of both versions.
    resources : sequence of str
    names : mapping
        Values of the segment columns, numbered alike for both versions.
    """
    table = table.combine_chunks()
    held = set(table.column_names)
    measured = [c.name for c in schema if c.role in (Role.LATENCY, Role.OUTCOME)]
    measured = [one for one in (*measured, *resources) if one in held]
    groups: dict[str, Ints] = {}
    for column, values in names.items():
        groups[column] = _coded(_one(table, column), values)
    features = [c.name for c in features_of(schema, resources) if c.name in held]
    return Side(
        name=name,
        rows=len(table),
        keys=_keys(table, schema, features),
        label=_answers(table, schema, Role.LABEL, classes),
        said=_said(table, schema, classes),
        scores=_scores(table, schema, classes),
        numbers={one: numbers(_one(table, one))[0] for one in measured},
        failures=_failures(table, schema),
        groups=groups,
        names=names,
        features=table.select(features),
    )


def _one(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def _keys(table: pa.Table, schema: Schema, features: Sequence[str]) -> NDArray[np.uint64] | None:
    """Hash the ids; without a column of ids, all that the version was asked."""
    column = schema.role(Role.PREDICTION_ID)
    if column is not None:
        return hash_array(_one(table, column.name)) if column.name in table.column_names else None
    if not features or not len(table):
        return None
    whole = np.zeros(len(table), dtype=np.uint64)
    for name in sorted(features):
        held = _one(table, name)
        # Whole numbers and floats of one value are one value.
        if pa.types.is_integer(held.type):
            held = pc.cast(held, pa.float64(), safe=False)
        whole = mix64(whole * np.uint64(0x9E3779B97F4A7C15) ^ hash_array(held))
    return whole


def _coded(column: pa.Array, names: tuple[str, ...]) -> Ints:
    encoded = encode(column)
    words = encoded.dictionary.to_pylist()
    places = {word: at for at, word in enumerate(names)}
    table = np.array([*(places.get(word, -1) for word in words), -1], dtype=np.int64)
    codes: Ints = table[rows_of(encoded, len(words))]
    return codes


def _answers(table: pa.Table, schema: Schema, role: Role, classes: Sequence[str]) -> Floats | None:
    column = schema.role(role)
    if column is None or column.name not in table.column_names:
        return None
    held = _one(table, column.name)
    if schema.task is Task.BINARY:
        told = truth(held, schema.positive).astype(np.float64)
        return np.where(told < 0, np.nan, told)
    if schema.task is Task.MULTICLASS:
        codes = _coded(held, tuple(classes))
        return np.where(codes < 0, np.nan, codes.astype(np.float64))
    values = numbers(held)[0]
    return np.where(np.isfinite(values), values, np.nan)


def _scores(table: pa.Table, schema: Schema, classes: Sequence[str]) -> Floats | None:
    held = [c for c in schema.with_role(Role.SCORE) if c.name in table.column_names]
    if schema.task is Task.MULTICLASS:
        by_class = {c.class_: c.name for c in held}
        if not held or not all(one in by_class for one in classes):
            return None
        columns = [numbers(_one(table, by_class[one]))[0] for one in classes]
        return np.column_stack(columns) if columns else None
    if not held or schema.task is not Task.BINARY:
        return None
    return numbers(_one(table, held[0].name))[0]


def _said(table: pa.Table, schema: Schema, classes: Sequence[str]) -> Floats | None:
    """Return what was predicted; where only scores tell, what follows from them."""
    told = _answers(table, schema, Role.PREDICTION, classes)
    if told is not None:
        return told
    if schema.task is Task.REGRESSION:
        return _answers(table, schema, Role.SCORE, classes)
    scores = _scores(table, schema, classes)
    if scores is None:
        return None
    if scores.ndim == 1:
        return np.where(np.isfinite(scores), (scores >= 0.5).astype(np.float64), np.nan)
    known = np.isfinite(scores).all(axis=1)
    return np.where(known, np.nan_to_num(scores).argmax(axis=1).astype(np.float64), np.nan)


def _failures(table: pa.Table, schema: Schema) -> Floats | None:
    column = schema.role(Role.STATUS)
    if column is None or column.name not in table.column_names:
        return None
    encoded = encode(_one(table, column.name))
    told = [float(failed(word)) for word in encoded.dictionary.to_pylist()]
    told_or_none: Floats = np.array([*told, np.nan])[rows_of(encoded, len(told))]
    return told_or_none


def thinned(table: pa.Table, schema: Schema, most: int) -> pa.Table:
    """Return at most so many records: those whose id hashes smallest, so that pairs stay pairs."""
    column = schema.role(Role.PREDICTION_ID)
    if len(table) <= most:
        return table
    if column is None or column.name not in table.column_names:
        features = [c.name for c in features_of(schema, ()) if c.name in table.column_names]
        hashes = _keys(table, schema, features)
        if hashes is None:
            return table.slice(0, most)
    else:
        hashes = hash_array(_one(table, column.name))
    order = np.sort(np.argpartition(hashes, most)[:most])
    return table.take(pa.array(order))
