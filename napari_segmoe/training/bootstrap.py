"""Confidence intervals by drawing the images again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[..., float]
_UNDEFINED: Mapping[str, float | None] = {"mean": None, "low": None, "high": None}


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
    (figure,) = bootstrap_intervals(
        *columns,
        statistic=lambda *rows: np.array([statistic(*rows)]),
        groups=groups,
        resamples=resamples,
        seed=seed,
    )
    return figure


def bootstrap_intervals(
    *columns: ArrayLike,
    statistic: Callable[..., NDArray[np.float64]],
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, float | None]]:
    """Estimate several statistics of the same draws; see `bootstrap_interval`.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays as there are columns, returns (K,) numbers, of which any
        may be NaN.

    Returns
    -------
    list of dict
        K intervals; one that says nothing where there is no row.
    """
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    lengths = {len(array) for array in arrays} | ({len(groups)} if groups else {n})
    if lengths != {n}:
        raise ValueError(f"Columns and groups differ in length: {sorted(lengths)}.")
    if n == 0:
        return [dict(_UNDEFINED)]
    draws = np.array(
        [
            statistic(*(array[rows] for array in arrays))
            for rows in _draw(groups, n, resamples, seed)
        ]
    )
    values = np.asarray(statistic(*arrays), float)
    return [_interval(values[k], draws[:, k]) for k in range(values.size)]


def _interval(mean: float, draws: NDArray[np.float64]) -> dict[str, float | None]:
    defined = draws[~np.isnan(draws)]
    if np.isnan(mean) or defined.size == 0:
        return dict(_UNDEFINED)
    low, high = np.percentile(defined, [2.5, 97.5])
    return {"mean": float(mean), "low": float(low), "high": float(high)}


def _draw(
    groups: Sequence[str] | None, n: int, resamples: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    members = _members(groups, n)
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        chosen = rng.integers(len(members), size=len(members))
        yield np.concatenate([members[index] for index in chosen])


def _members(groups: Sequence[str] | None, n: int) -> list[np.ndarray]:
    if groups is None:
        return [np.array([row]) for row in range(n)]
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    return [np.flatnonzero(index == which) for which in range(len(names))]
