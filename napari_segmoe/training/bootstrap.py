"""Confidence intervals by drawing the images again."""

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

Statistic = Callable[..., float]


class BootstrapOptions(TypedDict):
    """Size and seed of a bootstrap, as keyword arguments."""

    resamples: int
    seed: int


def bootstrap_interval(
    *columns: ArrayLike,
    statistic: Statistic = np.mean,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, float | None]:
    """Estimate a statistic with its 95 % percentile bootstrap interval.

    Parameters
    ----------
    *columns : (N, ...) arrays
        One row an image; all are drawn together and passed to ``statistic``.
    statistic : callable
        Takes as many arrays as there are columns, returns one number. Resamples in
        which it is NaN are left out.
    groups : sequence of str, optional
        Images of one group (patient, near-duplicates) are drawn together.
    resamples : int
        Number of draws.
    seed : int
        Same seed, same interval.

    Returns
    -------
    dict
        ``{"mean", "low", "high"}``: the statistic on the data and the 2.5th and
        97.5th percentile; None where it is undefined.

    Raises
    ------
    ValueError
        If the columns or groups differ in length.
    """
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    lengths = {len(array) for array in arrays} | ({len(groups)} if groups else {n})
    if lengths != {n}:
        raise ValueError(f"Columns and groups differ in length: {sorted(lengths)}.")
    if n == 0:
        return {"mean": None, "low": None, "high": None}
    members = _members(groups, n)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        chosen = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[index] for index in chosen])
        draws.append(float(statistic(*(array[rows] for array in arrays))))
    defined = np.asarray(draws)[~np.isnan(draws)]
    mean = float(statistic(*arrays))
    if np.isnan(mean) or defined.size == 0:
        return {"mean": None, "low": None, "high": None}
    low, high = np.percentile(defined, [2.5, 97.5])
    return {"mean": mean, "low": float(low), "high": float(high)}


def _members(groups: Sequence[str] | None, n: int) -> list[np.ndarray]:
    if groups is None:
        return [np.array([row]) for row in range(n)]
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    return [np.flatnonzero(index == which) for which in range(len(names))]
