"""The table of a search: what was found beside what chance finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_segmoe.training.bootstrap import bootstrap_interval
from napari_segmoe.training.search.contest import (
    RANDOM,
    SEARCHED,
    UNET,
    flatten_scores,
)
from napari_segmoe.training.search.images import SearchSet

Scores = Mapping[str, Sequence[float]]
Interval = dict[str, float | None]


def mean_of_sets(dice: np.ndarray, sets: np.ndarray, count: int) -> float:
    """Return the mean over data sets of their mean Dice; NaN where one is missing."""
    means = [dice[sets == number] for number in range(count)]
    if any(not part.size for part in means):
        return float("nan")
    return float(np.mean([part.mean() for part in means]))


def describe_scores(scores: Scores, held_out: Sequence[SearchSet]) -> dict[str, Any]:
    """Return a network's Dice with 95 % intervals: over all sets, and of each.

    Intervals draw groups of images again; what another training of the same network
    would give is not in them.
    """
    dice, sets, groups = flatten_scores(scores, held_out)
    return {
        "dice": bootstrap_interval(
            dice,
            sets,
            statistic=lambda d, s: mean_of_sets(d, s, len(held_out)),
            groups=groups,
        ),
        "per_data": {
            one.name: bootstrap_interval(scores[one.name], groups=one.groups)
            for one in held_out
        },
    }


def compare_scores(
    scores: Mapping[str, Scores], held_out: Sequence[SearchSet]
) -> dict[str, Interval]:
    """Return by how much the searched network's Dice is above that of others.

    Paired by image: against each other network, and as "random_mean" against the
    mean of the random ones.
    """
    rivals = {name: [name] for name in scores if name != SEARCHED}
    drawn = [name for name in scores if name.startswith(RANDOM)]
    if drawn:
        rivals["random_mean"] = drawn
    own, sets, groups = flatten_scores(scores[SEARCHED], held_out)
    found = {}
    for name, members in rivals.items():
        others = [flatten_scores(scores[each], held_out)[0] for each in members]
        found[name] = bootstrap_interval(
            own - np.mean(others, axis=0),
            sets,
            statistic=lambda d, s: mean_of_sets(d, s, len(held_out)),
            groups=groups,
        )
    return found


def tell_outcome(differences: Mapping[str, Interval]) -> str:
    """Return in one sentence whether the search was worth it."""
    figure = differences.get("random_mean")
    if figure is None or figure["low"] is None:
        return "No random genotypes were trained, so nothing says what it is worth."
    told = f"{figure['mean']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}] Dice"
    assert figure["high"] is not None
    if figure["low"] > 0:
        return f"The searched genotype is better than the random ones: {told}."
    if figure["high"] < 0:
        return f"The searched genotype is worse than the random ones: {told}."
    return f"The searched genotype is no better and no worse than chance: {told}."


def make_report(
    rows: Sequence[dict[str, Any]], held_out: Sequence[SearchSet]
) -> dict[str, Any]:
    """Return table, differences and outcome of all networks that were trained.

    Parameters
    ----------
    rows : sequence of dict
        ``name``, ``parameters``, ``steps``, ``seconds``, ``scores`` and, where there
        is one, ``genotype``.
    """
    scores = {row["name"]: row["scores"] for row in rows}
    differences = compare_scores(scores, held_out)
    return {
        "table": [
            {key: value for key, value in row.items() if key != "scores"}
            | {"kind": _kind(row["name"])}
            | describe_scores(row["scores"], held_out)
            for row in rows
        ],
        "differences": differences,
        "outcome": tell_outcome(differences),
    }


def _kind(name: str) -> str:
    return name if name in {SEARCHED, UNET} else RANDOM
