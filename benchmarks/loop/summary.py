"""Means over seeds of the cells that are done, and whether the promises hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loop.users import Mistake
from napari_segmoe.training.summary import paired_t_interval, t_interval

Cell = Mapping[str, Any]
Round = Mapping[str, Any]
FIGURES = ("new_before", "new_after", "old_before", "old_after")
POISONED = (Mistake.INVERTED, Mistake.SHIFTED, Mistake.SWAPPED)
MOST_LOST = 0.01
GOOD = 20


def summarise(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the figures of every arm, comparisons, and the promises.

    Parameters
    ----------
    cells : sequence of mapping
        As `loop.cells.run_cell` returns them.
    """
    rows = [describe(rounds) for rounds in _by_arm(cells).values()]
    return {
        "arms": rows,
        "guard": [_guard(cells, arm) for arm in ("good", *POISONED)],
        "naive": [compare(cells, "naive", count) for count in _counts(cells, "naive")],
        "pseudo": compare(cells, "pseudo", GOOD),
        "with_data": compare(cells, "with_data", GOOD),
        "promises": promises(cells),
    }


def describe(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the means over seeds of one arm and count of objects."""
    first = rounds[0]
    found: dict[str, Any] = {name: first[name] for name in ("data", "arm", "count")}
    found |= {
        "seeds": [one["seed"] for one in rounds],
        "published": sum(bool(one.get("published")) for one in rounds),
    }
    scored = [one for one in rounds if "new_after" in one]
    if scored:
        found |= {name: t_interval([one[name] for one in scored]) for name in FIGURES}
        found["gain"] = t_interval([gain(one) for one in scored])
        found["old_loss"] = t_interval([old_loss(one) for one in scored])
        found["most_lost"] = max(old_loss(one) for one in scored)
    return found


def compare(cells: Sequence[Cell], arm: str, count: int) -> dict[str, Any]:
    """Return an arm's Dice less that of the loop, paired by seed; glas only."""
    loop = {**_rounds_of(cells, "rounds", count), **_rounds_of(cells, "good", count)}
    other = _rounds_of(cells, arm, count)
    seeds = sorted(loop.keys() & other.keys())
    return {
        "arm": arm,
        "count": count,
        "seeds": seeds,
        **{
            name: paired_t_interval(
                [loop[seed][name] for seed in seeds],
                [other[seed][name] for seed in seeds],
            )
            for name in ("new_after", "old_after")
        },
    }


def promises(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return what was promised, and whether it holds for the cells that are done."""
    good = list(_rounds_of(cells, "good", GOOD).values())
    published = [one for one in good if one["published"]]
    poisoned = [
        one for arm in POISONED for one in _rounds_of(cells, arm, GOOD).values()
    ]
    learnt = [
        one
        for cell in cells
        if cell["arm"] in {"good", "rounds"} and cell["data"] == "glas"
        for one in cell["rounds"]
        if one.get("published") and "old_after" in one
    ]
    return [
        _promise(
            "good corrections (20 objects) are published, of 5 seeds",
            len(published) * 5 / len(good) if good else None,
            4,
            at_least=True,
        ),
        _promise(
            "smallest gain on held-out images when published",
            min((gain(one) for one in published), default=None),
            0,
            at_least=True,
        ),
        _promise(
            "poisoned corrections that are published",
            sum(bool(one["published"]) for one in poisoned) if poisoned else None,
            0,
        ),
        _promise(
            "largest loss on the old domain after a published round",
            max((old_loss(one) for one in learnt), default=None),
            MOST_LOST,
        ),
    ]


def gain(one: Round) -> float:
    """Return what held-out images gained over the shipped weights."""
    return float(one["new_after"] - one["new_before"])


def old_loss(one: Round) -> float:
    """Return what the old domain lost."""
    return float(one["old_before"] - one["old_after"])


def _promise(
    name: str, value: float | None, bound: float, *, at_least: bool = False
) -> dict[str, Any]:
    holds = value is not None and (value >= bound if at_least else value <= bound)
    return {
        "name": name,
        "value": value,
        "bound": bound,
        "at_least": at_least,
        "holds": holds,
    }


def _guard(cells: Sequence[Cell], arm: str) -> dict[str, Any]:
    rounds = _rounds_of(cells, arm, GOOD)
    reasons = [str(one.get("reason", "")) for one in rounds.values()]
    return {
        "arm": arm,
        "seeds": sorted(rounds),
        "published": sum(bool(one["published"]) for one in rounds.values()),
        "reasons": sorted({reason for reason in reasons if reason}),
    }


def _by_arm(cells: Iterable[Cell]) -> dict[tuple[str, str, int], list[Round]]:
    found: dict[tuple[str, str, int], list[Round]] = {}
    for cell in cells:
        for one in cell["rounds"]:
            key = (cell["data"], cell["arm"], one["count"])
            told = {name: cell[name] for name in ("data", "arm", "seed")}
            found.setdefault(key, []).append({**one, **told})
    return found


def _rounds_of(cells: Iterable[Cell], arm: str, count: int) -> dict[int, Round]:
    """Return the rounds of an arm on glas with so many objects, by seed."""
    return {
        cell["seed"]: one
        for cell in cells
        if cell["arm"] == arm and cell["data"] == "glas"
        for one in cell["rounds"]
        if one["count"] == count
    }


def _counts(cells: Iterable[Cell], arm: str) -> list[int]:
    return sorted({cell["count"] for cell in cells if cell["arm"] == arm})
