"""A second look at a found object, in a window that it fills."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.windows import zoom_window
from napari_segmoe.inference.merging import agree_with
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.question import Question
from napari_segmoe.types import Click, Mask, Prompts

_WORTH_IT = 0.8  # of the first window's side
_LEAST, _MOST = 1e-4, 1 - 1e-4


def look_closer(
    network: WindowNetwork,
    question: Question,
    probability: NDArray[np.float32],
    mask: Mask,
    prompts: Prompts,
) -> NDArray[np.float32] | None:
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
    probability : (H, W) float32
        Its answer.
    mask : (H, W) bool
        The object found.
    prompts : Prompts
        What points at it.

    Returns
    -------
    (H, W) float32, or None
        None where the object fills the first window already.
    """
    threshold, shape = network.card.mask_threshold, question.image.shape
    window = zoom_window(mask, prompts, shape=shape, grid_px=network.card.input_px)
    if window.side > _WORTH_IT * question.window.side:
        return None
    closer = replace(question, window=window, prompts=prompts)
    answer = network.answer(
        closer.window,
        closer.prompts,
        agree_with(probability, mask, threshold),
        steering=closer.steering,
    )
    near = network.enlarge(answer.probability, window, shape)
    in_image, _ = window.overlap(shape)
    joined = probability.copy()
    odds = _log_odds(probability[in_image]) + _log_odds(near[in_image])
    joined[in_image] = 1 / (1 + np.exp(-odds / 2))
    return joined


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
    network, question, probability
        As for `look_closer`; the question has no prompts.
    labels : (H, W) uint32
        Object ids, from 1.

    Returns
    -------
    (H, W) float32
    """
    joined = probability
    for number in range(1, int(labels.max()) + 1):
        mask = labels == number
        depth = ndimage.distance_transform_edt(mask)
        row, column = np.unravel_index(int(depth.argmax()), mask.shape)
        click = Click(float(row), float(column))
        closer = look_closer(network, question, joined, mask, Prompts((click,)))
        if closer is not None:
            others = (labels > 0) & ~mask
            joined = np.where(others, joined, closer)
    return joined


def _log_odds(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    p = np.clip(probability, _LEAST, _MOST)
    odds: NDArray[np.float32] = np.log(p / (1 - p))
    return odds
