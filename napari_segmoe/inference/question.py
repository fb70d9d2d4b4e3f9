"""One question about an image: which window it is about, and what its answer marks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.windows import Window, whole_window, zoom_window
from napari_segmoe.inference.merging import component_under, merge_click
from napari_segmoe.inference.selection import check_prompts, touched_by
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask, Prediction, Prompts, Spacing, Steering

_REACH_GRID_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class AskedImage:
    """The image asked about.

    Attributes
    ----------
    pixels : (H, W) or (H, W, 3) uint8
    spacing_um : (y, x) or None
        Micrometres per pixel.
    withheld : str or None
        Why no class is given.
    """

    pixels: NDArray[np.uint8]
    spacing_um: Spacing | None
    withheld: str | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked, and the window that it is about.

    Attributes
    ----------
    image : AskedImage
    prompts : Prompts
        Empty: everything is meant.
    window : Window
    previous : (H, W) float32, or None
        Probability of the answer before; None where that marked nothing.
    steering : Steering or None
        Experts that must or must not be asked.
    """

    image: AskedImage
    prompts: Prompts
    window: Window
    previous: NDArray[np.float32] | None = None
    steering: Steering | None = None


def ask(
    image: AskedImage,
    prompts: Prompts,
    previous: Prediction | NDArray[Any] | None,
    *,
    card: WeightsCard,
) -> Question:
    """Check a question and choose its window.

    Raises
    ------
    PromptError
        If a prompt lies outside the image or has no extent.
    """
    check_prompts(prompts, image.shape)
    if not prompts:
        return Question(image, prompts, whole_window(image.shape, card.input_px))
    before = _as_probability(previous)
    mask = None if before is None else before > card.mask_threshold
    if mask is not None and not mask.any():
        before = mask = None
    window = zoom_window(mask, prompts, shape=image.shape, grid_px=card.input_px)
    return Question(image, prompts, window, before)


def choose_mask(
    probability: NDArray[np.float32],
    question: Question,
    *,
    card: WeightsCard,
    locked: Mask | None,
) -> Mask:
    """Return the part of an answer that the prompts point at.

    Parameters
    ----------
    probability : (H, W) float32
        Of the answer.
    question : Question
        With prompts.
    card : WeightsCard
    locked : (H, W) bool or None
        Pixels that must not change.
    """
    prompts, scale = question.prompts, question.window.scale
    found = probability > card.mask_threshold
    if locked is not None:
        found &= ~locked
    obey_px = card.disk_radius_px / scale
    if question.previous is not None:
        if not prompts.clicks:
            return touched_by(found, prompts)
        before, newest = question.previous > card.mask_threshold, prompts.clicks[-1]
        return merge_click(before, found, newest, locked=locked, obey_px=obey_px)
    positive = [click for click in prompts.clicks if click.positive]
    if prompts.box is None and not prompts.strokes and positive:
        newest = positive[-1]
        reach_px = _REACH_GRID_PX / scale
        mask = component_under(found, newest.y, newest.x, reach_px=reach_px)
        if not mask.any() and card.refuse_below < card.mask_threshold:
            faint = probability > card.refuse_below
            if locked is not None:
                faint &= ~locked
            mask = component_under(faint, newest.y, newest.x, reach_px=reach_px)
        peak = float(probability[mask].max(initial=0.0))
        if mask.any() and peak < card.refuse_below:
            return np.zeros_like(mask)
        if mask.any() or len(positive) < 2:
            return mask
        return merge_click(mask, mask, newest, locked=locked, obey_px=obey_px)
    return touched_by(found, prompts)


def _as_probability(
    previous: Prediction | NDArray[Any] | None,
) -> NDArray[np.float32] | None:
    if previous is None:
        return None
    if isinstance(previous, Prediction):
        return previous.probability
    return np.asarray(previous).astype(np.float32)
