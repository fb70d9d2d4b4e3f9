"""A second look at a found object, in a window that it fills."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.patches import Patch, clip_box, mask_box
from napari_segmoe.data.windows import zoom_window
from napari_segmoe.inference.grids import spread
from napari_segmoe.inference.merging import agree_with
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.question import Question
from napari_segmoe.types import Click, Prompts

_WORTH_IT = 0.8  # of the first window's side
_LEAST, _MOST = 1e-4, 1 - 1e-4


def look_closer(
    network: WindowNetwork,
    question: Question,
    probability: Patch,
    mask: Patch,
    prompts: Prompts,
) -> Patch | None:
    """Ask again about one object, close up, and join both answers.

    A whole image is shrunk to the network's grid, and a small lesion's outline with
    it. The closer window is asked with the first answer as the previous one; inside
    it the result is the mean of both answers' log-odds.

    Parameters
    ----------
    network : WindowNetwork
        Has the image.
    question : Question
        The first question.
    probability : Patch
        Its answer, float32.
    mask : Patch
        The object found, bool; it has a pixel.
    prompts : Prompts
        What points at it.

    Returns
    -------
    Patch, or None
        Probability, float32, in the closer window; None where the object fills the
        first window already.
    """
    threshold, shape = network.card.mask_threshold, question.image.shape
    y0, x0, y1, x1 = mask_box(mask.values) or (0, 0, 0, 0)
    found = (y0 + mask.y0, x0 + mask.x0, y1 + mask.y0, x1 + mask.x0)
    window = zoom_window(found, prompts, shape=shape, grid_px=network.card.input_px)
    if window.side > _WORTH_IT * question.window.side:
        return None
    box = clip_box(window.box, shape)
    before = probability.cut(box)
    answer = network.answer(
        window,
        prompts,
        Patch(agree_with(before, mask.cut(box), threshold), box[0], box[1]),
        steering=question.steering,
    )
    near = spread(answer.probability, window, shape)
    odds = _log_odds(before) + _log_odds(near.values)
    return Patch(1 / (1 + np.exp(-odds / 2)), box[0], box[1])


def look_at_each(
    network: WindowNetwork,
    question: Question,
    probability: NDArray[np.float32],
    labels: NDArray[np.uint32],
) -> NDArray[np.float32]:
    """Look closer at every object of an automatic answer.

    Each is asked about as if its innermost pixel had been clicked.

    Parameters
    ----------
    network, question
        As for `look_closer`; the question has no prompts.
    probability : (H, W) float32
    labels : (H, W) uint32
        Object ids, from 1.

    Returns
    -------
    (H, W) float32
    """
    joined = probability.copy()
    for number in range(1, int(labels.max()) + 1):
        mask = _one_object(labels, number)
        depth = ndimage.distance_transform_edt(mask.values)
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        click = Click(float(row + mask.y0), float(column + mask.x0))
        closer = look_closer(network, question, Patch(joined), mask, Prompts((click,)))
        if closer is not None:
            y0, x0, y1, x1 = closer.box
            seen = labels[y0:y1, x0:x1]
            others = (seen > 0) & (seen != number)
            part = joined[y0:y1, x0:x1]
            part[:] = np.where(others, part, closer.values)
    return joined


def _one_object(labels: NDArray[np.uint32], number: int) -> Patch:
    """Return an object's rectangle with a margin, where distances are the image's."""
    mask = labels == number
    y0, x0, y1, x1 = mask_box(mask) or (0, 0, 0, 0)
    y0, x0 = max(y0 - 1, 0), max(x0 - 1, 0)
    return Patch(mask[y0 : y1 + 1, x0 : x1 + 1], y0, x0)


def _log_odds(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    p = np.clip(probability, _LEAST, _MOST)
    odds: NDArray[np.float32] = np.log(p / (1 - p))
    return odds
