"""Two-sample tests agree with SciPy, keep their level, and are defined whatever comes in."""

from __future__ import annotations

import warnings
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tidegauge.errors import MissingExtra, NotFound
from tidegauge.metrics import all_metrics, evaluate, registry
from tidegauge.metrics.registry import selected
from tidegauge.metrics.two_sample import cramer_von_mises_p
from tidegauge.schema import Column, ColumnType, Role, Schema

NUMBER = Schema((Column("x", ColumnType.NUMERIC),))
WORD = Schema((Column("x", ColumnType.CATEGORICAL),))
TRUTH = Schema((Column("x", ColumnType.BOOLEAN),))
SAMPLED = ("cramer_von_mises", "anderson_darling", "mann_whitney", "epps_singleton")
OF_NUMBERS = (*SAMPLED, "energy_distance", "t_test", "z_test", "g_test")
OF_WORDS = ("z_test", "fisher_exact", "g_test", "l_infinity")

whole = st.integers(-20_000, 20_000).map(lambda k: k / 16)
few = st.integers(0, 5).map(float)
odd = st.sampled_from([None, float("nan"), float("inf"), float("-inf")])
samples = st.one_of(
    st.lists(whole, min_size=8, max_size=40),
    st.lists(st.one_of(few, odd), min_size=8, max_size=40),
    st.lists(st.one_of(whole, few, odd), min_size=1, max_size=12),
)
words = st.one_of(
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=30),
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30),
)


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


def found_in(profiles, names):
    """Values and p-values by metric, every warning being an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = evaluate(*profiles, names)
    return {
        s.metric.name: (s.value[0, 0], None if s.p_value is None else s.p_value[0, 0])
        for s in series
    }


def finite(values):
    return np.array([v for v in values if v is not None and np.isfinite(v)])


def cramer_von_mises(x, y):
    """SciPy's own where no two values are the same; else gap by gap, row by row."""
    scipys = stats.cramervonmises_2samp(x, y)
    both = np.sort(np.concatenate((x, y)))
    squares, before = 0.0, 0.0
    for value in sorted({*both}):
        gap = (x <= value).mean() - (y <= value).mean()
        times = int((both == value).sum())
        squares += sum((before + (gap - before) * j / times) ** 2 for j in range(1, times + 1))
        before = gap
    t = len(x) * len(y) / len(both) ** 2 * squares
    if len({*both}) == len(both):
        assert scipys.statistic == close(t)
        return scipys
    # Any sample without ties whose statistic is this one has its p-value: SciPy's, too.
    return SimpleNamespace(statistic=t, pvalue=cramer_von_mises_p(t, len(x), len(y)))


def scipy_tests(x, y):
    ran = {
        "cramer_von_mises": cramer_von_mises(x, y),
        "anderson_darling": stats.anderson_ksamp([x, y]),
        "mann_whitney": stats.mannwhitneyu(x, y),
        "t_test": stats.ttest_ind(x, y, equal_var=False),
    }
    out = {name: (one.statistic, one.pvalue) for name, one in ran.items()}
    out["mann_whitney"] = (out["mann_whitney"][0] / (len(x) * len(y)), out["mann_whitney"][1])
    size = min(len(x), len(y))
    if size >= 5 and stats.iqr(np.concatenate((x[:size], y[:size]))) > 0:
        out["epps_singleton"] = tuple(stats.epps_singleton_2samp(x[:size], y[:size]))
    out["energy_distance"] = (stats.energy_distance(x, y), None)
    z = (x.mean() - y.mean()) / np.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    out["z_test"] = (z, 2 * stats.norm.sf(abs(z)))
    return out


@given(samples, samples)
@settings(max_examples=300)
def test_tests_of_numbers_agree_with_scipy_on_the_same_values(two_profiles, then, now):
    reference, current = pa.array(then, pa.float64()), pa.array(now, pa.float64())
    profiles = two_profiles(NUMBER, {"x": reference}, {"x": current})
    found = found_in(profiles, OF_NUMBERS)
    x, y = (finite(p.sample["x"].to_pylist()) for p in profiles)
    assert (sorted(x), sorted(y)) == (sorted(finite(now)), sorted(finite(then)))
    if min(len(x), len(y)) < 2 or len({*x, *y}) < 2:
        assert np.isnan([found[name][0] for name in SAMPLED if name != "mann_whitney"]).all()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scipy_tests(x, y)
    for name, (value, p) in expected.items():
        if np.isfinite(value):
            assert found[name][0] == close(value), name
            assert found[name][1] == (p if p is None else close(p)), name
        else:
            assert np.isnan(found[name][0]), name
    assert ("epps_singleton" in expected) or np.isnan(found["epps_singleton"][0])


def table_of(then, now):
    names = sorted({*then, *now} - {None})
    return np.array([[side.count(name) for name in names] for side in (now, then)]), names


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(21, 60), st.floats(0, 3))
@settings(max_examples=200)
def test_the_p_value_of_the_cramer_von_mises_limit_is_that_of_scipy(seed, n, m, shift):
    rng = np.random.default_rng(seed)
    found = stats.cramervonmises_2samp(rng.normal(size=n) + shift, rng.normal(size=m))
    assert cramer_von_mises_p(found.statistic, n, m) == pytest.approx(found.pvalue, abs=1e-7)


def null_p_values(two_profiles, name, draw, n=200, m=1_500, pairs=200):
    """p-values of pairs that differ by chance alone."""
    out = []
    for seed in range(pairs):
        rng = np.random.default_rng(seed)
        profiles = two_profiles(NUMBER, {"x": draw(rng, m)}, {"x": draw(rng, n)})
        out.append(found_in(profiles, [name])[name][1])
    return np.array(out)


@pytest.mark.parametrize("name", SAMPLED)
def test_sides_of_unlike_size_keep_the_level(two_profiles, name):
    p = null_p_values(two_profiles, name, lambda rng, n: rng.normal(size=n))
    assert (p < 0.05).mean() < 0.05 + 3.1 * np.sqrt(0.05 * 0.95 / len(p))


@pytest.mark.parametrize("name", SAMPLED)
def test_few_different_values_keep_the_level(two_profiles, name):
    p = null_p_values(two_profiles, name, lambda rng, n: rng.poisson(2, n).astype(float))
    assert (p < 0.05).mean() < 0.05 + 3.1 * np.sqrt(0.05 * 0.95 / len(p))


@given(words, words)
@settings(max_examples=300)
def test_tests_of_words_agree_with_scipy_on_all_counts(two_profiles, then, now):
    reference, current = pa.array(then, pa.string()), pa.array(now, pa.string())
    found = found_in(two_profiles(WORD, {"x": reference}, {"x": current}), OF_WORDS)
    table, names = table_of(then, now)
    if not table.sum(axis=1).all():
        assert np.isnan([value for value, _ in found.values()]).all()
        return
    shares = table / table.sum(axis=1, keepdims=True)
    known = np.array([name in then for name in names])
    changes = [*np.diff(shares[:, known], axis=0)[0], shares[0, ~known].sum()]
    assert found["l_infinity"][0] == close(np.abs(changes).max())
    # Values that the baseline does not have are one.
    pooled = np.column_stack([table[:, known], table[:, ~known].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        assert found["g_test"] == (0.0, 1.0)
    else:
        g = stats.chi2_contingency(pooled, correction=False, lambda_="log-likelihood")
        assert found["g_test"] == (close(g.statistic), close(g.pvalue))
    if pooled.shape[1] != 2:
        assert np.isnan([*found["fisher_exact"], *found["z_test"]]).all()
        return
    chi2 = stats.chi2_contingency(pooled, correction=False)
    assert found["z_test"][0] ** 2 == close(chi2.statistic)
    assert found["z_test"][1] == close(chi2.pvalue)
    fisher = stats.fisher_exact(pooled)
    assert found["fisher_exact"][1] == close(fisher.pvalue)
    if pooled.all():
        odds = found["fisher_exact"][0]
        assert odds in (close(fisher.statistic), close(1 / fisher.statistic))


@given(st.lists(st.booleans(), min_size=1), st.lists(st.booleans(), min_size=1))
@settings(max_examples=200)
def test_z_of_a_truth_value_is_that_of_the_share_of_true(two_profiles, then, now):
    found = found_in(two_profiles(TRUTH, {"x": pa.array(then)}, {"x": pa.array(now)}), ["z_test"])
    n, m, a, b = len(now), len(then), sum(now), sum(then)
    pooled = (a + b) / (n + m)
    if pooled in (0, 1):
        assert np.isnan(found["z_test"][0])
    else:
        z = (a / n - b / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        assert found["z_test"] == (close(z), close(2 * stats.norm.sf(abs(z))))


def test_the_odds_are_those_of_the_more_frequent_value_and_finite_where_a_cell_is_empty(
    two_profiles,
):
    then, now = ["a"] * 60 + ["b"] * 40, ["a"] * 80 + ["b"] * 20
    found = found_in(two_profiles(WORD, {"x": then}, {"x": now}), ["fisher_exact"])
    assert found["fisher_exact"][0] == close((80 * 40) / (20 * 60))
    found = found_in(two_profiles(WORD, {"x": then}, {"x": ["a"] * 100}), ["fisher_exact"])
    assert found["fisher_exact"][0] == close((100.5 * 40.5) / (0.5 * 60.5))


@pytest.mark.parametrize("name", [*SAMPLED, "energy_distance"])
def test_more_rows_than_the_sample_holds_are_tested_by_those_it_holds(two_profiles, name):
    rng = np.random.default_rng(3)
    schema = Schema((Column("id", ColumnType.TEXT, Role.PREDICTION_ID), *NUMBER.columns))
    sides = [
        {"id": [f"{side}{k}" for k in range(3_000)], "x": rng.normal(size=3_000)} for side in "ab"
    ]
    now, then = two_profiles(schema, *sides)
    held = [p.sample["x"].to_numpy() for p in (now, then)]
    assert [len(x) for x in held] == [2_000, 2_000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scipy_tests(*held)[name]
    assert found_in((now, then), [name])[name][0] == close(expected[0])


def test_without_ids_samples_of_the_same_row_numbers_keep_the_level(two_profiles):
    p = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        sides = [{"x": rng.normal(size=2_500)} for _ in range(2)]
        now, then = two_profiles(NUMBER, *sides)
        assert now.sample["_hash"].equals(then.sample["_hash"])
        p.append(found_in((now, then), ["cramer_von_mises"])["cramer_von_mises"][1])
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_each_window_is_tested_by_its_own_rows_and_segments_by_counts_alone(two_profiles):
    schema = Schema(
        (
            Column("when", ColumnType.DATETIME, Role.TIMESTAMP),
            Column("x", ColumnType.NUMERIC),
            Column("where", ColumnType.CATEGORICAL, Role.SEGMENT),
        )
    )
    rng = np.random.default_rng(0)
    n = 600
    day = np.repeat([0, 2], n // 2)
    when = pa.array(day * 86_400_000_000 + 10**15, pa.timestamp("us", "UTC"))
    then = {"when": when, "x": rng.normal(size=n), "where": rng.choice(["a", "b"], n)}
    now = {**then, "x": rng.normal(size=n) + day}
    profiles = two_profiles(schema, then, now, timedelta(days=1))
    of_sample, of_sums = evaluate(*profiles, ["mann_whitney", "t_test"])[:2]
    assert of_sample.value.shape == (2, 4)
    for window, d in enumerate((0, 2)):
        u = stats.mannwhitneyu(now["x"][day == d], then["x"])
        assert of_sample.value[window, 0] == close(u.statistic / (n / 2 * n))
        inside = (day == d) & (now["where"] == "a")
        t = stats.ttest_ind(now["x"][inside], then["x"][then["where"] == "a"], equal_var=False)
        index = [s and s.value for s in profiles[0].layout.segments].index("a")
        assert of_sums.value[window, index] == close(t.statistic)
    assert np.isnan(of_sample.value[:, 1:]).all()


@pytest.mark.parametrize("n", [5, 8, 30])
def test_huge_values_are_no_traceback_and_no_warning(two_profiles, n):
    for far in (1e300, 1.7e308, 5e-324):
        then = {"x": far * np.linspace(-1, 1, n)}
        now = {"x": far * np.linspace(-0.5, 1, n)}
        for value, p in found_in(two_profiles(NUMBER, then, now), OF_NUMBERS).values():
            assert not np.isinf(value)
            assert p is None or np.isnan(p) or 0 <= p <= 1


def test_what_must_be_asked_for_is_left_out_unless_it_is(two_profiles):
    profiles = two_profiles(NUMBER, {"x": [1.0, 2.0, 3.0]}, {"x": [1.0, 2.0, 4.0]})
    usual = {s.metric.name for s in evaluate(*profiles)}
    assert not any(all_metrics()[name].asked for name in usual)
    assert not any(one.asked and one.judged for one in all_metrics().values())
    asked = {s.metric.name for s in evaluate(*profiles, selected("t_test"))}
    assert asked == usual | {"t_test"}
    everything = {s.metric.name for s in evaluate(*profiles, selected("all"))}
    assert everything > asked
    with pytest.raises(NotFound, match="did you mean 'cramer_von_mises'"):
        selected(["t_test", "cramer_von_mise"])


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    two_profiles, monkeypatch
):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    profiles = two_profiles(NUMBER, {"x": [1.0, 2.0]}, {"x": [1.0, 2.0]})
    assert evaluate(*profiles)
    for ask in (lambda: selected("all"), lambda: evaluate(*profiles, ["domain_classifier"])):
        with pytest.raises(MissingExtra, match=r"pip install 'tidegauge\[multivariate\]'"):
            ask()
