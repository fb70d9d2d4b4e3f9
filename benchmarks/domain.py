r"""Measure the domain guards: each shipped weights against each data set.

    python benchmarks/domain.py --data DATA [--weights NAME ...]

Writes `domain.json` beside this script. A guard's score of an image is that of its
part in the middle, as a click there gets it. In domain is the test split of the data
that the weights were trained on; every other data set is out of domain, but those of
the same modality and organ (another hospital), which are told apart. Images are seen
as `segmoe evaluate` sees them: where neither file nor row states a pixel size, the
weights' assumed one is taken; `monuseg@0.25` states its own. Weights that were not
asked for keep their rows.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.splits import DataItem
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.domain_guard import score_at
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.card import find_weights, list_weights
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.domain_fit import show_item
from napari_segmoe.types import Click, Prompts

FILE = Path(__file__).with_name("domain.json")
DATA_SETS = (
    *("busi", "stu_hospital", "glas", "monuseg", "dsb2018_he", "cvc_clinicdb"),
    *("isic_subset", "oct_kermany_lesions", "medscribble"),
)
SIMILAR = {  # other hospitals: neither in domain by training nor foreign
    "breast_ultrasound": ("stu_hospital",),
    "nuclei": (),
}
STATED = (("monuseg", 0.25),)
MOST_IMAGES = 120  # of a foreign data set
RESAMPLES = 1000

Scores = NDArray[np.float64]


def main() -> None:
    """Score all data sets by all weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", nargs="*")
    options = parser.parse_args()
    found = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else {}
    for name in options.weights or [name for name, _ in list_weights()]:
        row = measure(name, options.data)
        if row is not None:
            found[name] = row
            FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(name, json.dumps(row, indent=1), flush=True)


def measure(name: str, data: Path) -> dict[str, Any] | None:
    """Return one weights' row; None where they have no guard."""
    model, card = load_weights(find_weights(name))
    if card.domain is None:
        return None
    network = WindowNetwork(model, card, choose_device("cpu"))
    trained_on = set(str(card.data.get("folder", "")).split(" + "))
    own = [
        one
        for folder in sorted(trained_on)
        for one in _scores(network, _items(data / folder, "test"))
    ]
    inside = np.array([score for _, score in own])
    groups = np.array([group for group, _ in own])
    limit = card.domain.limit
    row: dict[str, Any] = {
        "in_domain": f"{' + '.join(sorted(trained_on))} / test",
        "n": len(inside),
        "limit": limit,
        "images_fitted": card.domain.images,
        "false_alarms": _share(int((inside > limit).sum()), len(inside)),
        "median_score": round(float(np.median(inside)), 3),
        "against": {},
    }
    for other in DATA_SETS:
        if other in trained_on:
            continue
        for label, spacing in ((other, None), *_stated(other)):
            if spacing is not None and card.spacing_um is None:
                continue
            items = _some(_items(data / other, None))
            foreign = np.array([s for _, s in _scores(network, items, spacing)])
            row["against"][label] = {
                "n": len(foreign),
                "auroc": _interval(_aurocs(inside, groups, foreign)),
                "withheld": round(float((foreign > limit).mean()), 3),
                "similar": other in SIMILAR.get(name, ()),
            }
    return row


def _stated(folder: str) -> Iterator[tuple[str, float]]:
    for name, spacing in STATED:
        if name == folder:
            yield f"{name}@{spacing:g}", spacing


def _items(folder: Path, split: str | None) -> tuple[DataItem, ...]:
    return read_data_folder(folder).select(split)


def _some(items: tuple[DataItem, ...]) -> list[DataItem]:
    step = max(len(items) / MOST_IMAGES, 1.0)
    return [items[int(i * step)] for i in range(int(len(items) / step))]


def _scores(
    network: WindowNetwork,
    items: tuple[DataItem, ...] | list[DataItem],
    spacing_um: float | None = None,
) -> Iterator[tuple[str, float]]:
    """Give group and score of each image, as a click in its middle gets it."""
    for item in items:
        asked = show_item(network, item, spacing_um)
        height, width = asked.frame.shape
        middle = Prompts((Click((height - 1) / 2, (width - 1) / 2),))
        verdict = score_at(network, asked, middle)
        if verdict is not None:
            yield item.group, verdict.score


def _interval(values: Scores) -> dict[str, float]:
    """Return the first value and the percentiles of the others."""
    low, high = np.percentile(values[1:], (2.5, 97.5))
    return {
        "mean": round(float(values[0]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _share(count: int, total: int) -> dict[str, float]:
    """Return a share with Wilson's interval, which knows that 0 of 64 is not none."""
    found = binomtest(count, total).proportion_ci(method="wilson")
    return {
        "mean": round(count / total, 4),
        "low": round(float(found.low), 4),
        "high": round(float(found.high), 4),
    }


def _aurocs(inside: Scores, groups: NDArray[np.str_], outside: Scores) -> Scores:
    rng = np.random.default_rng(0)
    drawn = [
        _auroc(
            inside[_resample(groups, rng)],
            outside[rng.integers(len(outside), size=len(outside))],
        )
        for _ in range(RESAMPLES)
    ]
    return np.array([_auroc(inside, outside), *drawn])


def _resample(groups: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return rows of as many groups, drawn with replacement."""
    names = np.unique(groups)
    chosen = names[rng.integers(len(names), size=len(names))]
    return np.concatenate([np.flatnonzero(groups == name) for name in chosen])


def _auroc(inside: Scores, outside: Scores) -> float:
    ranks = rankdata(np.concatenate([inside, outside]))
    most = len(inside) * len(outside)
    beyond = ranks[len(inside) :].sum() - len(outside) * (len(outside) + 1) / 2
    return float(beyond / most)


if __name__ == "__main__":
    main()
