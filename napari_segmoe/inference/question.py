"""One question about an image: which window it is about, and what its answer marks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.patches import Patch, PixelBox, clip_box
from napari_segmoe.data.windows import (
    Window,
    physical_window,
    whole_window,
    zoom_window,
)
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.merging import component_under, merge_click
from napari_segmoe.inference.selection import check_prompts, touched_by
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import (
    Click,
    Mask,
    Prediction,
    Prompts,
    Steering,
    Stroke,
)

_REACH_GRID_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked, and the window that it is about.

    Attributes
    ----------
    image : AskedImage
    prompts : Prompts
        In the pixels in which the weights answer. Empty: everything is meant.
    window : Window
        In the same pixels.
    previous : Patch or None
        Probability of the answer before, float32, in the same pixels over all of
        the window; None where that marked nothing.
    before : (H, W) float32, or None
        The same in the image's own pixels.
    steering : Steering or None
        Experts that must or must not be asked.
    """

    image: AskedImage
    prompts: Prompts
    window: Window
    previous: Patch | None = None
    before: NDArray[np.float32] | None = None
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
    frame, grid_px = image.frame, card.input_px
    asked = frame.prompts(prompts)
    if not prompts:
        return Question(image, asked, whole_window(frame.shape, grid_px))
    before = _as_probability(previous)
    marked = None if before is None else box_above(before, card.mask_threshold)
    held = None if marked is None else frame.box(marked)
    if image.scaled is None:
        window = zoom_window(held, asked, shape=frame.shape, grid_px=grid_px)
    else:
        window = physical_window(held, asked, grid_px=grid_px)
    if before is None or marked is None:
        return Question(image, asked, window)
    y0, x0, y1, x1 = clip_box(window.box, frame.shape)
    taken = Patch(frame.take(before, (y0, x0, y1, x1)), y0, x0)
    return Question(image, asked, window, taken, before)


def choose_mask(
    probability: Patch,
    question: Question,
    *,
    card: WeightsCard,
    locked: Mask | None,
) -> Mask:
    """Return the part of an answer that the prompts point at.

    Parameters
    ----------
    probability : Patch
        Of the answer, over all that it can change.
    question : Question
        With prompts.
    card : WeightsCard
    locked : (h, w) bool or None
        Pixels of the patch that must not change.

    Returns
    -------
    (h, w) bool
        Over the patch.
    """
    scale = question.window.scale
    prompts = _shifted(question.prompts, probability.y0, probability.x0)
    values = probability.values
    found = values > card.mask_threshold
    if locked is not None:
        found &= ~locked
    obey_px = card.disk_radius_px / scale
    if question.previous is not None:
        if not prompts.clicks:
            return touched_by(found, prompts)
        before = question.previous.cut(probability.box) > card.mask_threshold
        newest = prompts.clicks[-1]
        return merge_click(before, found, newest, locked=locked, obey_px=obey_px)
    positive = [click for click in prompts.clicks if click.positive]
    if prompts.box is None and not prompts.strokes and positive:
        newest = positive[-1]
        reach_px = _REACH_GRID_PX / scale
        mask = component_under(found, newest.y, newest.x, reach_px=reach_px)
        if not mask.any() and card.refuse_below < card.mask_threshold:
            faint = values > card.refuse_below
            if locked is not None:
                faint &= ~locked
            mask = component_under(faint, newest.y, newest.x, reach_px=reach_px)
        peak = float(values[mask].max(initial=0.0))
        if mask.any() and peak < card.refuse_below:
            return np.zeros_like(mask)
        if mask.any() or len(positive) < 2:
            return mask
        return merge_click(mask, mask, newest, locked=locked, obey_px=obey_px)
    return touched_by(found, prompts)


def box_above(values: NDArray[np.float32], threshold: float) -> PixelBox | None:
    """Return the bounding box of what lies above a threshold, None where nothing."""
    rows = np.flatnonzero(values.max(axis=1) > threshold)
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(values[top:bottom].max(axis=0) > threshold)
    return top, int(columns[0]), bottom, int(columns[-1]) + 1


def _shifted(prompts: Prompts, y0: int, x0: int) -> Prompts:
    """Return prompts in the pixels of a patch that begins at (y0, x0)."""
    box = prompts.box
    if box is not None:
        box = replace(
            box, y0=box.y0 - y0, x0=box.x0 - x0, y1=box.y1 - y0, x1=box.x1 - x0
        )
    return replace(
        prompts,
        clicks=tuple(
            Click(click.y - y0, click.x - x0, positive=click.positive)
            for click in prompts.clicks
        ),
        strokes=tuple(
            Stroke(
                tuple((y - y0, x - x0) for y, x in stroke.points),
                positive=stroke.positive,
            )
            for stroke in prompts.strokes
        ),
        box=box,
    )


def _as_probability(
    previous: Prediction | NDArray[Any] | None,
) -> NDArray[np.float32] | None:
    if previous is None:
        return None
    if isinstance(previous, Prediction):
        return previous.probability
    return np.asarray(previous).astype(np.float32)
