"""Bootstrap intervals."""

import numpy as np
import pytest

from napari_segmoe.training.bootstrap import bootstrap_interval


def test_interval_of_the_mean_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(10, 2, 400)
    interval = bootstrap_interval(values)
    half = (interval["high"] - interval["low"]) / 2
    assert interval["mean"] == pytest.approx(values.mean())
    assert half == pytest.approx(1.96 * values.std() / 20, rel=0.12)


def test_same_seed_same_interval():
    values = np.arange(30.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_groups_are_drawn_whole_and_widen_the_interval():
    values = np.repeat(np.random.default_rng(1).normal(size=20), 10)
    groups = [str(index // 10) for index in range(200)]
    alone = bootstrap_interval(values)
    grouped = bootstrap_interval(values, groups=groups)
    assert grouped["high"] - grouped["low"] > 2 * (alone["high"] - alone["low"])


def test_a_statistic_of_two_columns_sees_the_same_rows():
    first = np.arange(20.0)
    interval = bootstrap_interval(first, -first, statistic=lambda a, b: (a + b).max())
    assert interval == {"mean": 0, "low": 0, "high": 0}


def test_undefined_figures_are_null():
    nothing = {"mean": None, "low": None, "high": None}
    assert bootstrap_interval([]) == nothing
    assert bootstrap_interval([1.0], statistic=lambda _: float("nan")) == nothing


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="differ in length"):
        bootstrap_interval([1.0, 2.0], groups=["a"])
