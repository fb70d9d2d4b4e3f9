"""Score UTANet with plain skips and with its mixture, at top-k 1 to 4.

    python benchmarks/ablate_utanet.py --data DATA/glas --run RUN

RUN is the run folder of the recipe two_stage. Its validation images, and once, with
``--split test``, the test images, are asked of the first stage's weights and of the
second's, which ask 1 to 4 experts an image and stage; all else is the same. Writes
ablations.utanet.json beside this script, keeping the other split's rows.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from napari_segmoe.data.folder import DataFolder, read_data_folder
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.comparison import image_differences
from napari_segmoe.training.config import load_config
from napari_segmoe.training.evaluation import Evaluation, score_folder
from napari_segmoe.training.evaluation_report import EvaluationOptions
from napari_segmoe.training.run_data import divide_items

OUT = Path(__file__).with_name("ablations.utanet.json")
SMALLEST_OBJECT = 0.004  # as in train_glands_routing.py
SETTINGS = {"part_below": 0.6, "smallest_object_fraction": SMALLEST_OBJECT}
FIGURES = ("dice", "iou", "object_f1")
Variant = tuple[str, nn.Module, WeightsCard]


def main() -> None:
    """Score all variants on one split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--first-stage", type=Path, help="else that of the run")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    options = parser.parse_args()
    folder = choose_images(options.data, options.run, options.split)
    first = options.first_stage or options.run / "plain_skips.safetensors"
    known = json.loads(OUT.read_text()) if OUT.exists() else []
    rows = [row for row in known if row["split"] != options.split]
    plain: Evaluation | None = None
    for variant in list_variants(first, options.run):
        found = score(variant, folder, options.split)
        plain = plain or found
        rows.append(make_row(variant, found, plain, options.split))
        print(rows[-1], flush=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


def choose_images(data: Path, run: Path, split: str) -> DataFolder:
    """Return the folder with the images of the split alone."""
    folder = read_data_folder(data)
    items = folder.select("test")
    if split == "validation":
        _, items = divide_items(folder, load_config(run / "config.yaml"))
    chosen = tuple(replace(item, split=split) for item in items)
    return replace(folder, items=chosen)


def list_variants(first: Path, run: Path) -> Iterator[Variant]:
    """Yield the first stage's network, then the second's with each top-k."""
    model, card = load_weights(first)
    yield "plain skips (first stage)", model, card
    model, card = load_weights(run / "best.safetensors")
    for top_k in range(1, 5):
        options = card.options | {"infer_top_k": top_k}
        asked = create_model(card.model, **options).eval()
        asked.load_state_dict(model.state_dict())
        yield f"TA-MoSC, top-k {top_k}", asked, card


def score(variant: Variant, folder: DataFolder, split: str) -> Evaluation:
    """Return the scores of one variant."""
    _, model, card = variant
    network = WindowNetwork(
        model, card.model_copy(update=SETTINGS), choose_device("cpu")
    )
    predictor = SegmentationPredictor(network)
    options = EvaluationOptions(routing=False)
    scoring = score_folder(predictor, folder, split, options)
    while True:
        try:
            next(scoring)
        except StopIteration as end:
            found: Evaluation = end.value
            return found


def make_row(
    variant: Variant, found: Evaluation, plain: Evaluation, split: str
) -> dict[str, Any]:
    """Return the figures of one variant, and its Dice less that of plain skips."""
    name, model, _ = variant
    figures = {key: found.report["segmentation"][key] for key in FIGURES}
    row = {"name": name, "data": "glas", "split": split, "n": found.report["n"]}
    if found is not plain:
        options = EvaluationOptions().bootstrap
        paired = image_differences(found.scores, plain.scores, options)["dice"]
        kept = {key: paired[key] for key in ("mean", "low", "high")}
        figures["Dice less plain skips'"] = kept
    count = sum(value.numel() for value in model.parameters())
    return row | figures | {"parameters": count}


if __name__ == "__main__":
    main()
