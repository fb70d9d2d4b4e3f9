"""Whether experts are asked by need, and what the mask is without each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.windows import Window, whole_window
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.explanations.canvas import Canvas
from napari_segmoe.inference.explanations.counterfactuals import vetoes
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval
from napari_segmoe.training.cases import Case, ScoredPredictor
from napari_segmoe.types import Mask, Prediction, Prompts

MOST_IMAGES = 32  # each costs a run of the network for every expert
_MOST_WINDOWS = 4
_Stages = dict[str, dict[str, float]]


@runtime_checkable
class OpenPredictor(Protocol):
    """A predictor whose network can be asked directly."""

    @property
    def network(self) -> WindowNetwork:
        """What answers."""
        ...

    def asked_image(self) -> AskedImage:
        """Return the image as the network sees it."""
        ...


@dataclass(frozen=True, slots=True)
class RoutingRow:
    """What one image says.

    Attributes
    ----------
    group : str
        The image's.
    weights : mapping of str to mapping of str to float
        Weight of each expert at each stage, the mean over the image's windows.
    changes : mapping of str to float
        1 - IoU of the mask and the mask without an expert; 0 where both are empty.
    """

    group: str
    weights: Mapping[str, Mapping[str, float]]
    changes: Mapping[str, float]


class RoutingScores:
    """Gathers routing over images; a `MoreScores`.

    Parameters
    ----------
    every : int
        Takes each so manieth image.
    """

    key = "routing"

    def __init__(self, every: int = 1) -> None:
        self._every, self._seen = every, 0
        self._rows: list[RoutingRow] = []

    @classmethod
    def of(cls, predictor: ScoredPredictor, count: int) -> "list[RoutingScores]":
        """Return one for a predictor whose network may be asked, else none."""
        if not isinstance(predictor, OpenPredictor):
            return []
        return [cls(every=-(-count // MOST_IMAGES) or 1)]

    def add(
        self,
        predictor: ScoredPredictor,
        case: Case,
        prediction: Prediction,
    ) -> None:
        """Ask the network of the image that the predictor has, with and without."""
        self._seen += 1
        if (self._seen - 1) % self._every or not isinstance(predictor, OpenPredictor):
            return
        row = study_routing(predictor.network, predictor.asked_image(), case.item.group)
        if row is None:
            self._every = 10**9  # the network has no routing
        else:
            self._rows.append(row)

    def report(self, options: BootstrapOptions) -> dict[str, Any] | None:
        """Return the figures; None for networks without routing."""
        return report_routing(self._rows, options) if self._rows else None


def study_routing(
    network: WindowNetwork, image: AskedImage, group: str = ""
) -> RoutingRow | None:
    """Ask a network about an image, with all experts and without each.

    Parameters
    ----------
    network : WindowNetwork
        Has the image.
    image : AskedImage
        Of weights with a pixel size up to four windows are looked at, else one.
    group : str
        The image's.

    Returns
    -------
    RoutingRow or None
        None where the network has no routing.
    """
    sums: _Stages = {}
    pixels: dict[str, NDArray[np.int_]] = {}
    windows = _windows(image, network.card.input_px)
    for window in windows:
        answer = network.answer(window, Prompts(), explain=True)
        if not answer.output.routing:
            return None
        for stage in answer.output.routing:
            weights = stage.weights[0].float().cpu().numpy() / len(windows)
            kept = sums.setdefault(stage.stage, dict.fromkeys(stage.experts, 0.0))
            for name, weight in zip(stage.experts, weights, strict=True):
                kept[name] += float(weight)
        whole = answer.probability >= network.card.mask_threshold
        for expert, steering in vetoes(Canvas(answer, network, (1, 1))).items():
            other = network.answer(window, Prompts(), steering=steering)
            without = other.probability >= network.card.mask_threshold
            counts = pixels.setdefault(expert, np.zeros(2, int))
            counts += _both_and_either(whole, without)
    changes = {
        expert: 1 - float(both / either) if either else 0.0
        for expert, (both, either) in pixels.items()
    }
    return RoutingRow(group, sums, changes)


def report_routing(
    rows: Sequence[RoutingRow], options: BootstrapOptions
) -> dict[str, Any]:
    """Describe the routing of several images.

    Returns
    -------
    dict
        "images"; "stages": by stage the experts, the mean of their weights and the
        standard deviation between images, and the share of images in which each had
        any weight; "variation": the mean of all these deviations (0: the same for
        every image); "mask_change_without": by expert 1 - IoU, with its interval.
    """
    groups = [row.group for row in rows]
    stages = {stage: _stage(rows, stage) for stage in rows[0].weights}
    spreads = [spread for stage in stages.values() for spread in stage["sd"]]
    return {
        "images": len(rows),
        "stages": stages,
        "variation": float(np.mean(spreads)),
        "mask_change_without": {
            expert: bootstrap_interval(
                [row.changes[expert] for row in rows], groups=groups, **options
            )
            for expert in rows[0].changes
        },
    }


def _stage(rows: Sequence[RoutingRow], stage: str) -> dict[str, Any]:
    experts = list(rows[0].weights[stage])
    weights = np.array([[row.weights[stage][name] for name in experts] for row in rows])
    return {
        "experts": experts,
        "mean": weights.mean(0).tolist(),
        "sd": weights.std(0).tolist(),
        "asked": (weights > 0).mean(0).tolist(),
    }


def _both_and_either(first: Mask, second: Mask) -> NDArray[np.int_]:
    return np.array(
        [
            np.count_nonzero(first & second),
            np.count_nonzero(first | second),
        ]
    )


def _windows(image: AskedImage, grid_px: int) -> list[Window]:
    """Return windows at the weights' pixel size, spread over the image."""
    shape = image.frame.shape
    if image.scaled is None:
        return [whole_window(shape, grid_px)]
    rows, columns = (_starts(length, grid_px) for length in shape)
    places = [(y, x) for y in rows for x in columns]
    step = max(len(places) / _MOST_WINDOWS, 1)
    chosen = np.arange(0, len(places), step).astype(int)
    corners = [places[index] for index in chosen]
    return [Window(y, x, grid_px, grid_px) for y, x in corners]


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [(length - side) // 2]
    count = length // side
    return [round(y) for y in np.linspace(0, length - side, count + 1)]
