"""Quick figures of a run at a pixel size: whole images by windows, and one click."""

from collections.abc import Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_segmoe.data.click_simulation import distance_inside
from napari_segmoe.data.mask_objects import label_components
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.object_metrics import score_objects
from napari_segmoe.training.samples import Sample
from napari_segmoe.training.sources import ObjectBox, Source
from napari_segmoe.training.spaced_samples import object_at, plain_crop
from napari_segmoe.types import Click, Prompts

_MOST_CLICKED = 6
_OVERLAP = 0.4
_LEAST_OBJECT_PX = 100


@torch.no_grad()
def validate_spaced(
    model: nn.Module,
    sources: Sequence[Source],
    *,
    config: TrainingConfig,
    fabric: Fabric,
) -> dict[str, float]:
    """Return mean figures of the automatic mode and of one click.

    Returns
    -------
    dict
        "dice" and "iou" over images, "object_f1" of the mask's connected pieces,
        "click_iou" and "object_accuracy" over up to six objects an image after one
        click in their middle, and "score" = dice + click_iou / 2, by which the best
        epoch is chosen.
    """
    model.eval()
    network = _Network(model, config, fabric)
    dice, iou, f1 = [], [], []
    for source in sources:
        found, ids = _segment(network, source, config)
        both, either = (found & (ids > 0)).sum(), (found | (ids > 0)).sum()
        dice.append(2 * both / max(both + either, 1) if either else 1.0)
        iou.append(both / either if either else 1.0)
        pieces = label_components(found, min_area_px=_LEAST_OBJECT_PX)
        f1.append(score_objects(pieces, ids).f1)
    figures = {
        "dice": float(np.mean(dice)),
        "iou": float(np.mean(iou)),
        "object_f1": float(np.mean(f1)),
    }
    clicked = [
        _clicked(source, chosen, config)
        for source in sources
        for chosen in _some_objects(source)
    ]
    figures |= _click_figures(network, clicked)
    figures["score"] = figures["dice"] + figures.get("click_iou", 0.0) / 2
    return figures


class _Network:
    """Asks the network about samples, a batch at a time."""

    def __init__(
        self, model: nn.Module, config: TrainingConfig, fabric: Fabric
    ) -> None:
        self.model, self.fabric, self.size = model, fabric, config.batch_size

    def ask(
        self, samples: Sequence[Sample]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return probabilities, (N, n, n), and object scores where there is a head."""
        masks, scores = [], []
        for first in range(0, len(samples), self.size):
            batch = make_batch(samples[first : first + self.size])
            batch = batch.to(self.fabric.device)
            with self.fabric.autocast():
                output = self.model(batch.image, batch.prompts)
                probability = output.foreground.sigmoid()
                if getattr(self.model, "region_head", None) is not None:
                    found = self.model.classify_region(output, probability)  # type: ignore[operator]
                    scores.append(found.float().cpu().numpy())
            masks.append(probability[:, 0].float().cpu().numpy())
        return np.concatenate(masks), np.concatenate(scores) if scores else None


def _segment(
    network: _Network, source: Source, config: TrainingConfig
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return the mask and the true ids on the grid of the run's pixel size."""
    side, step = config.input_px, _step(source, config)
    shape = [max(round(size / step), 1) for size in source.shape]
    rows, columns = (_starts(size, side) for size in shape)
    places = [(y, x) for y in rows for x in columns]
    samples, truths = zip(
        *(_window(source, y, x, config) for y, x in places), strict=True
    )
    probability, _ = network.ask(samples)
    weight = _bell(side)
    height, width = max(shape[0], side), max(shape[1], side)
    total, sums = np.zeros((height, width)), np.zeros((height, width))
    ids = np.zeros((height, width), np.int32)
    for (y, x), found, truth in zip(places, probability, truths, strict=True):
        window = (slice(y, y + side), slice(x, x + side))
        sums[window] += weight * found
        total[window] += weight
        ids[window] = truth
    kept = (slice(0, shape[0]), slice(0, shape[1]))
    return (sums / total)[kept] > 0.5, ids[kept]


def _window(
    source: Source, y: int, x: int, config: TrainingConfig
) -> tuple[Sample, NDArray[np.int32]]:
    step, half = _step(source, config), config.input_px / 2
    image, ids = plain_crop(
        source,
        centre_yx=((y + half) * step - 0.5, (x + half) * step - 0.5),
        output_px=config.input_px,
        spacing_um=config.spacing_um or 1.0,
    )
    return _sample(image, ids > 0, Prompts(), -1), ids


def _clicked(source: Source, chosen: ObjectBox, config: TrainingConfig) -> Sample:
    """Return one object with a click at its deepest pixel, in the window's middle."""
    ids = source.labels[0].numpy()
    depth = distance_inside(ids == chosen.id)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    image, window_ids = plain_crop(
        source,
        centre_yx=(float(y), float(x)),
        output_px=config.input_px,
        spacing_um=config.spacing_um or 1.0,
    )
    middle = config.input_px / 2 - 0.5
    truth = object_at(window_ids, chosen.id, (middle, middle))
    prompts = Prompts(clicks=(Click(middle, middle),))
    own = chosen.class_number if source.mask_classes else source.object_class
    return _sample(image, truth, prompts, own)


def _click_figures(network: _Network, clicked: Sequence[Sample]) -> dict[str, float]:
    if not clicked:
        return {}
    probability, scores = network.ask(clicked)
    masks = probability > 0.5
    truths = np.stack([sample.truth for sample in clicked])
    both = (masks & truths).sum(axis=(1, 2))
    either = (masks | truths).sum(axis=(1, 2))
    figures = {"click_iou": float((both / either).mean())}
    classes = np.array([sample.object_class for sample in clicked])
    known = classes >= 0
    if scores is not None and known.any():
        right = scores[known].argmax(axis=1) == classes[known]
        figures["object_accuracy"] = float(right.mean())
    return figures


def _some_objects(source: Source) -> list[ObjectBox]:
    step = max(len(source.objects) / _MOST_CLICKED, 1)
    chosen = np.arange(0, len(source.objects), step).astype(int)
    return [source.objects[index] for index in chosen]


def _sample(
    image: Tensor, truth: NDArray[np.bool_], prompts: Prompts, object_class: int
) -> Sample:
    return Sample(image, truth, prompts, None, -1, object_class)


def _step(source: Source, config: TrainingConfig) -> float:
    wanted = config.spacing_um or 1.0
    return wanted / (source.spacing_um or wanted)


def _starts(size: int, side: int) -> list[int]:
    """Return where windows begin, so that neighbours share 0.4 of their side."""
    if size <= side:
        return [0]
    count = int(np.ceil((size - side) / (side * (1 - _OVERLAP)))) + 1
    return [round(start) for start in np.linspace(0, size - side, count)]


def _bell(side: int) -> NDArray[np.float64]:
    axis = (np.arange(side) - (side - 1) / 2) / (0.25 * side)
    bell = np.exp(-(axis**2) / 2)
    return np.outer(bell, bell)
