r"""Write measured figures into the card of shipped weights; tensors stay as they are.

    python benchmarks/record_metrics.py breast_ultrasound \\
        --evaluate E.json --clicks C.json [--off-site stu_hospital]

Run once, after the weights are final: the test split is reported, never chosen on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from napari_segmoe.models.card import find_weights, read_card
from napari_segmoe.models.weights import replace_card

_SEGMENTATION = ("dice", "iou", "hd95")
# where weights are made for many objects
_OBJECTS = (
    *("object_f1", "object_dice", "rq", "boundary_f1"),
    *("distance_sign", "distance_rank"),
)


def main() -> None:
    """Read the figures and rewrite the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--evaluate", type=Path, required=True)
    parser.add_argument("--clicks", type=Path, required=True)
    parser.add_argument(
        "--off-site",
        metavar="DATA",
        help="The figures are of a data set that is not the weights' own.",
    )
    options = parser.parse_args()
    path = find_weights(options.weights)
    card = read_card(path)
    evaluation = _read(options.evaluate)
    test = _summary(evaluation, _read(options.clicks))
    if card.spacing_um is not None:
        known = evaluation["segmentation"]
        test |= {name: known[name] for name in _OBJECTS if name in known}
        test["object_f1_pooled"] = evaluation["pooled"]["object_f1"]
    if evaluation.get("leaky_groups"):
        test["leaky_groups"] = evaluation["leaky_groups"]
    metrics = dict(card.metrics)
    if options.off_site:
        metrics["off_site"] = metrics.get("off_site", {}) | {options.off_site: test}
    else:
        metrics["test"] = test
    replace_card(path, card.model_copy(update={"metrics": metrics}))
    print(json.dumps(test, indent=1))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _summary(evaluation: dict[str, Any], clicks: dict[str, Any]) -> dict[str, Any]:
    found = {name: evaluation["segmentation"][name] for name in _SEGMENTATION}
    found["normal_images_marked"] = evaluation["normal_images_marked"]
    if evaluation["classification"]:
        for name in ("accuracy", "auc", "f1"):
            found[f"class_{name}"] = evaluation["classification"][name]
    found["click_iou"] = {name: clicks["iou_at"][name] for name in ("1", "3")}
    found["clicks_to_85"] = clicks["noc"]["85"]
    return found


if __name__ == "__main__":
    main()
