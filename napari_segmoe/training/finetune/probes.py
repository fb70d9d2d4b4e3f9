"""Views around accepted objects by which networks are judged, and their scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_segmoe.data.click_simulation import distance_inside
from napari_segmoe.training.finetune.known import Ids
from napari_segmoe.training.finetune.network import (
    Machine,
    answer,
    stack_images,
    stack_prompts,
)
from napari_segmoe.training.finetune.views import PartialSample
from napari_segmoe.types import Click, Prompts


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A view of an accepted object, not augmented.

    Attributes
    ----------
    image : Tensor, (3, n, n) uint8
    ids : (n, n) int32
        What is known of it; -1 where nothing is.
    object_id : int
        Whose view it is.
    object_class : int
        Number among the weights' classes; -1 where none is known.
    record : str
        Name of the image.
    place : str
        The image, or the tile where images are parted: scores are paired by it.
    unit : str
        Patient, slide, image or tile.
    fold : int
        Of the hold-out.
    """

    image: Tensor
    ids: Ids
    object_id: int
    object_class: int
    record: str
    place: str
    unit: str
    fold: int

    @property
    def own(self) -> NDArray[np.bool_]:
        """The object, (n, n)."""
        return np.asarray(self.ids == self.object_id)


@dataclass(frozen=True, slots=True, eq=False)
class ProbeAnswer:
    """What a network says of a probe.

    Attributes
    ----------
    scores : (n, n) float32
        Foreground scores of the automatic mode.
    click_iou : float
        After one click in the object's middle.
    class_scores : (C,) float32 or None
        Of the true object.
    """

    scores: NDArray[np.float32]
    click_iou: float
    class_scores: NDArray[np.float32] | None


@torch.no_grad()
def ask_probes(
    model: nn.Module, probes: Sequence[Probe], machine: Machine
) -> Iterator[ProbeAnswer]:
    """Yield a network's answers, automatic and after a click."""
    takes_clicks = getattr(model, "prompt_stem", None) is not None
    for first in range(0, len(probes), machine.batch):
        chosen = probes[first : first + machine.batch]
        images = stack_images([one.image.float() / 255 for one in chosen])
        images = images.to(machine.device)
        with machine.autocast():
            output = answer(model, images, None)
        scores = output.foreground[:, 0].float().cpu().numpy()
        classes = None
        if getattr(model, "region_head", None) is not None:
            own = torch.from_numpy(np.stack([one.own for one in chosen])[:, None])
            found = model.classify_region(output, own.float().to(machine.device))  # type: ignore[operator]
            classes = found.float().cpu().numpy()
        clicked = scores
        if takes_clicks:
            prompts = stack_prompts([_clicked(one) for one in chosen])
            with machine.autocast():
                output = answer(model, images, prompts.to(machine.device))
            clicked = output.foreground[:, 0].float().cpu().numpy()
        for number, one in enumerate(chosen):
            yield ProbeAnswer(
                scores[number],
                _iou(clicked[number] > 0, one.own),
                None if classes is None else classes[number],
            )


def _clicked(probe: Probe) -> PartialSample:
    depth = distance_inside(probe.own)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    prompts = Prompts((Click(float(y), float(x)),))
    return PartialSample(probe.image, probe.ids, prompts)


def _iou(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return float((found & wanted).sum() / max((found | wanted).sum(), 1))


@dataclass(frozen=True, slots=True)
class PlaceScores:
    """Figures of one image: Dice of what is known, click IoU, right classes."""

    dice: float
    click_iou: float
    accuracy: float | None
    objects: int

    @property
    def score(self) -> float:
        """Mean of both masks' figures: what is marked by itself, and after a click."""
        return (self.dice + self.click_iou) / 2


def score_places(
    probes: Sequence[Probe], answers: Sequence[ProbeAnswer]
) -> dict[str, PlaceScores]:
    """Return figures by image.

    Dice is over the known pixels of all views of an image together, so that background
    counts only where somebody said that it is.
    """
    by_place: dict[str, list[tuple[Probe, ProbeAnswer]]] = {}
    for probe, found in zip(probes, answers, strict=True):
        by_place.setdefault(probe.place, []).append((probe, found))
    return {place: _score(pairs) for place, pairs in by_place.items()}


def _score(pairs: Sequence[tuple[Probe, ProbeAnswer]]) -> PlaceScores:
    both = sizes = 0
    for probe, found in pairs:
        known = probe.ids >= 0
        marked, wanted = (found.scores > 0) & known, probe.ids > 0
        both += int((marked & wanted).sum())
        sizes += int(marked.sum() + wanted.sum())
    right = [
        float(found.class_scores.argmax() == probe.object_class)
        for probe, found in pairs
        if found.class_scores is not None and probe.object_class >= 0
    ]
    return PlaceScores(
        dice=2 * both / sizes if sizes else 1.0,
        click_iou=float(np.mean([found.click_iou for _, found in pairs])),
        accuracy=float(np.mean(right)) if right else None,
        objects=len(pairs),
    )


def mean_scores(scores: Mapping[str, PlaceScores]) -> dict[str, float]:
    """Return the means over images."""
    found = {
        "dice": float(np.mean([one.dice for one in scores.values()])),
        "click_iou": float(np.mean([one.click_iou for one in scores.values()])),
    }
    known = [one.accuracy for one in scores.values() if one.accuracy is not None]
    if known:
        found["accuracy"] = float(np.mean(known))
    return found
