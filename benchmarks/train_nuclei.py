r"""Train the starter weights `nuclei`, calibrate them and ship them.

    python benchmarks/train_nuclei.py --data DATA/dsb2018_he --data DATA/monuseg \
        --out RUN [--resume]
    python benchmarks/train_nuclei.py --data DATA/dsb2018_he --data DATA/monuseg \
        --out RUN --ship

The first trains on the train splits of both folders, from which validation is carved by
group; the second chooses temperatures and thresholds on these validation parts and
writes half-precision weights with their card into the package. No test split is
read.

Neither data set states a pixel size. MoNuSeg's tiles are at 40x, 0.25 um. The nuclei of
the crops of BBBC038 are as wide (median of the images' medians 21 px against 23 px), so
0.25 um is taken for them too: an estimate, as several crops are magnified further.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from starter_weights import open_best, options_of, train, write
from torch import nn

from napari_segmoe.data.splits import DataItem
from napari_segmoe.inference.network import TileAnswers, WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.cases import read_case
from napari_segmoe.training.image_scores import score_image
from napari_segmoe.training.run_parts import RunPart, read_parts

NAME = "nuclei"
TITLE = "Nuclei in H&E sections: mask and signed distance, at 0.25 um"
LICENCE = (
    "Weights for non-commercial research only, to be passed on under the same terms"
    " (CC BY-NC-SA 4.0). Trained on MoNuSeg (Kumar et al. 2017, IEEE TMI 36:1550-1560;"
    " 2020, IEEE TMI 39:1380-1391), which is CC BY-NC-SA 4.0, and on the H&E-like"
    " images of BBBC038 (Caicedo et al. 2019, Nature Methods 16:1247-1253), which is"
    " CC0."
)
PIXEL_SIZE_NOTE = (
    "0.25 um is MoNuSeg's (40x); of BBBC038 it is an estimate from the width of nuclei."
)
# Tried in turn on the validation images; the first of equals is taken.
CHOICES = {
    "part_below": (0.75, 0.6, 0.7, 0.8, 0.85, 0.9),
    "smallest_object_fraction": (5e-4, 3e-4, 8e-4, 1.2e-3),
    "keep_above": (0.0, 0.6, 0.7, 0.8),
    "smoothing_px": (0.0, 0.8),
}
SETTINGS = {
    "name": NAME,
    "title": TITLE,
    "licence": LICENCE,
    "recipe": "supervised",
    "model": "mixsearch_lite",
    "model_options": {
        "genotype": "k3_mu05",
        "distance_head": True,
        "fine_channels": 32,
    },
    "modality": "histology",
    "image_head": False,
    "object_head": False,
    "spacing_um": 0.25,
    "data_spacing_um": 0.25,
    "samples_per_image": 4,
    "epochs": 48,
    "learning_rate": 2e-3,
    "weight_decay": 0.02,
    "ema_decay": 0.995,
    "prompt_share": 0.4,
    "auxiliary_weight": 0.3,
    "distance_weight": 4.0,
    "distance_limit_px": 8.0,
    "largest_zoom": 1.5,
    "scanner_augmentation": True,
    "patience": 100,
    "validate_every": 8,
    "seed": 0,
}


def main() -> None:
    """Train, or calibrate and ship."""
    options = options_of(__doc__).parse_args()
    if options.ship:
        ship(options.out)
    else:
        train(SETTINGS, options)


def ship(run: Path) -> None:
    """Calibrate a run's best weights and write them into the package."""
    network, config = open_best(run, {"refuse_below": 0.0}, RememberingNetwork)
    card = network.card
    described = card.data | {"pixel_size": PIXEL_SIZE_NOTE}
    network.card = card.model_copy(update={"data": described})
    parts = read_parts(config)
    choose_thresholds(network, parts)
    network.forget()
    calibrate(network, [item for part in parts for item in part.validation])
    write(network, config, (*CHOICES, "refuse_below", "split"))


class RememberingNetwork(WindowNetwork):
    """Answers a batch of tiles once, whatever is then made of the answer."""

    def __init__(
        self, model: nn.Module, card: WeightsCard, device: torch.device
    ) -> None:
        super().__init__(model, card, device)
        self._known: dict[tuple[bytes, float], TileAnswers] = {}

    def answer_tiles(self, tiles: NDArray[np.uint8]) -> TileAnswers:
        """Return probability and distance; see `WindowNetwork.answer_tiles`."""
        key = (sha256(tiles.tobytes()).digest(), self.card.smoothing_px)
        if key not in self._known:
            found = super().answer_tiles(tiles)
            nothing = SegmentationOutput(logits=found.output.logits[:0])
            self._known[key] = replace(found, output=nothing)
        return self._known[key]

    def forget(self) -> None:
        """Forget all answers."""
        self._known.clear()


def choose_thresholds(network: WindowNetwork, parts: Sequence[RunPart]) -> None:
    """Give the network's card the values with the best object F1, one after another."""
    for name, values in CHOICES.items():
        scores = {}
        for value in values:
            network.card = network.card.model_copy(update={name: value})
            scores[value] = object_f1(network, parts)
            print(name, value, round(scores[value], 4), flush=True)
        best = max(values, key=lambda value: scores[value])
        network.card = network.card.model_copy(update={name: best})


def object_f1(network: WindowNetwork, parts: Iterable[RunPart]) -> float:
    """Return the mean over folders of their validation images' mean object F1."""
    predictor = SegmentationPredictor(network)
    return float(
        np.mean(
            [
                np.mean([_image_f1(predictor, part, item) for item in part.validation])
                for part in parts
            ]
        )
    )


def _image_f1(predictor: SegmentationPredictor, part: RunPart, item: DataItem) -> float:
    scores = score_image(predictor, read_case(item, part.folder.mask_kind))
    return scores.objects.f1


if __name__ == "__main__":
    main()
