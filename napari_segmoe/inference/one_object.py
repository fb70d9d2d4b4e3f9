"""The object that prompts mean, from the network's answer to the finished mask."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.frames import Found, ScaledFrame
from napari_segmoe.data.patches import Patch, PixelBox
from napari_segmoe.inference.areas import area_of, grow, pointed_at
from napari_segmoe.inference.closer_look import look_closer
from napari_segmoe.inference.grids import spread
from napari_segmoe.inference.merging import agree_with, reach_of_pull
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.question import Question, choose_mask
from napari_segmoe.inference.wider_look import is_cut, shows_the_same, widened
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class FoundObject:
    """The object that prompts mean; it may have no pixel.

    Attributes
    ----------
    seen : Patch
        Its mask in the pixels in which the weights answer.
    own : Found
        Probability and mask in the image's own pixels.
    """

    seen: Patch
    own: Found


def find_object(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    locked: Mask | None,
) -> FoundObject:
    """Return the object that a question's prompts mean.

    Parameters
    ----------
    network : WindowNetwork
        Has the image.
    question : Question
        With prompts.
    answer : WindowAnswer
        The network's.
    locked : (H, W) bool or None
        Pixels of the image that must not change.
    """
    threshold, frame = network.card.mask_threshold, question.image.frame
    whole = spread(answer.probability, answer.window, frame.shape)
    mask = _choose(network, question, answer, whole, locked)
    if question.previous is None and mask.values.any():
        look = _look_closer if question.image.scaled is None else _look_wider
        whole, mask = look(network, question, answer, (whole, mask), locked)
    before = whole.cut(mask.box).copy()
    np.minimum(whole.values, np.float32(threshold), out=whole.values)
    agreed = agree_with(before, mask.values, threshold)
    found = Found(whole.with_part(Patch(agreed, mask.y0, mask.x0)), mask)
    own = frame.give(found, threshold)
    if isinstance(frame, ScaledFrame):
        own = _settle(frame, question, found, own, locked=locked, threshold=threshold)
    return FoundObject(mask, own)


def _look_closer(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    found: tuple[Patch, Patch],
    locked: Mask | None,
) -> tuple[Patch, Patch]:
    """Return probability and mask after a look at a small object from close by."""
    whole, mask = found
    closer = look_closer(network, question, whole, mask, question.prompts)
    if closer is None:
        return found
    whole = whole.with_part(closer)
    return whole, _choose(
        network, question, answer, whole, locked, looked_at=closer.box
    )


def _look_wider(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    found: tuple[Patch, Patch],
    locked: Mask | None,
) -> tuple[Patch, Patch]:
    """Return probability and mask after a look at all of an object that was cut."""
    shape = question.image.frame.shape
    if not is_cut(found[1], answer.window, shape):
        return found
    wider = replace(question, window=widened(answer.window))
    more = network.answer(wider.window, wider.prompts, steering=wider.steering)
    whole = spread(more.probability, more.window, shape)
    mask = _choose(network, wider, more, whole, locked)
    return (whole, mask) if shows_the_same(found[1], mask) else found


def _choose(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    whole: Patch,
    locked: Mask | None,
    *,
    looked_at: PixelBox | None = None,
) -> Patch:
    """Return the mask, over no more than it can touch."""
    card, frame = network.card, question.image.frame
    boxes = pointed_at(question.prompts)
    if looked_at is not None:
        boxes.append(looked_at)
    if question.previous is not None:
        boxes.append(question.previous.box)
    area = area_of(
        answer.probability,
        answer.window,
        frame.shape,
        threshold=min(card.mask_threshold, card.refuse_below),
        boxes=boxes,
    )
    if question.prompts.clicks:
        area = grow(area, _reach_px(question, area, card), frame.shape)
    taken = None if locked is None else frame.take(locked, area) > 0.5
    values = Patch(whole.cut(area), area[0], area[1])
    mask = choose_mask(values, question, card=card, locked=taken)
    return Patch(mask, area[0], area[1])


def _reach_px(question: Question, area: PixelBox, card: WeightsCard) -> float:
    """Return how far beyond the area the newest click can move the outline."""
    newest, before = question.prompts.clicks[-1], np.zeros((1, 1), bool)
    if question.previous is not None:
        before = question.previous.cut(area) > card.mask_threshold
    return reach_of_pull(
        before,
        newest.y - area[0],
        newest.x - area[1],
        least_px=card.disk_radius_px / question.window.scale,
    )


def _settle(
    frame: ScaledFrame,
    question: Question,
    found: Found,
    own: Found,
    *,
    locked: Mask | None,
    threshold: float,
) -> Found:
    """Leave own pixels as they were where nothing changed, and locked ones free."""
    values, box = own.probability.values, own.probability.box
    if question.previous is not None and question.before is not None:
        seen = found.probability.box
        before = question.previous.cut(seen) > threshold
        changed = ndimage.binary_dilation(
            found.mask.cut(seen) ^ before, np.ones((3, 3), bool), iterations=2
        )
        near = frame.to_own(Patch(changed, seen[0], seen[1]), box) > 0
        values = np.where(near, values, Patch(question.before).cut(box))
    mask: NDArray[np.bool_] = values > threshold
    if locked is not None:
        mask &= ~Patch(locked).cut(box)
    agreed = agree_with(values, mask, threshold)
    return Found(Patch(agreed, box[0], box[1]), Patch(mask, box[0], box[1]))
