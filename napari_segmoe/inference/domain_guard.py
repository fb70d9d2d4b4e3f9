"""Whether an image looks like those that weights were trained on, decided once.

The verdict is a function of the pixels alone: prompts, their order and what was asked
before do not change it. Weights without a pixel size judge the whole image at a look;
others judge the neighbourhood of a click, which is all of a small image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from napari_segmoe.data.windows import Window, whole_window
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.domain import why_unlike
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.regions.engine import is_uniform
from napari_segmoe.types import Prompts

Block = tuple[int, int]

_WINDOWS = 2  # a block's windows along each axis
_SAMPLED_BLOCKS = 4  # of an image that has more, where all of it is asked about
_WHOLE: Block = (0, 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How strange an image, or a part of it, is to weights.

    Attributes
    ----------
    score : float
        1 is ordinary; see `models.domain_guard.DomainGuard`.
    limit : float
        That of the weights' card.
    """

    score: float
    limit: float

    @property
    def is_outside(self) -> bool:
        """Whether no class is given."""
        return self.score > self.limit


def judge(network: WindowNetwork, image: AskedImage, prompts: Prompts) -> AskedImage:
    """Return the image with its class withheld where it is unlike the training images.

    Parameters
    ----------
    network : WindowNetwork
        Has the image; its weights may have no guard.
    image : AskedImage
        Remembers its verdicts.
    prompts : Prompts
        Of a question, in the pixels in which the weights answer; the first says which
        part is judged, so that further ones change nothing.
    """
    if image.withheld is not None or network.card.domain is None:
        return image
    verdict = score_at(network, image, prompts)
    return _apply(network, image, [] if verdict is None else [verdict])


def score_at(
    network: WindowNetwork, image: AskedImage, prompts: Prompts
) -> Verdict | None:
    """Return the verdict behind `judge`; None where there is nothing to see.

    The weights must have a guard.
    """
    return _verdict(network, image, _block_of(image, prompts, network.card.input_px))


def judge_all(network: WindowNetwork, image: AskedImage) -> AskedImage:
    """Return the image as `judge`, by all of it or, where it is large, by samples."""
    if image.withheld is not None or network.card.domain is None:
        return image
    blocks = list(blocks_of(image, network.card.input_px))
    step = max(len(blocks) / _SAMPLED_BLOCKS, 1.0)
    chosen = [blocks[int((i + 0.5) * step)] for i in range(int(len(blocks) / step))]
    found = [_verdict(network, image, block) for block in chosen]
    return _apply(network, image, [one for one in found if one is not None])


def blocks_of(image: AskedImage, input_px: int) -> dict[Block, tuple[Window, ...]]:
    """Return the parts of an image that are judged apart, with their windows.

    Parameters
    ----------
    image : AskedImage
    input_px : int
        Side of the network's input.
    """
    shape = image.frame.shape
    if image.scaled is None:
        return {_WHOLE: (whole_window(shape, input_px),)}
    rows, columns = (_starts(length, input_px) for length in shape)
    found: dict[Block, tuple[Window, ...]] = {}
    for i, y0 in enumerate(rows):
        for j, x0 in enumerate(columns):
            if (i - j) % _WINDOWS:
                continue  # those on a block's diagonal tell as much as all
            block = (i // _WINDOWS, j // _WINDOWS)
            window = Window(y0, x0, input_px, input_px)
            found[block] = (*found.get(block, ()), window)
    return found


def pool_block(
    network: WindowNetwork,
    windows: Sequence[Window],
    *,
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> NDArray[np.float32] | None:
    """Return what each window that shows something is judged by, (W, D), or None.

    Parameters
    ----------
    network : WindowNetwork
        Has the image.
    windows : sequence of Window
        Glass and empty borders among them are left out.
    change : callable, optional
        See `WindowNetwork.pool`.
    """
    shown = [window for window in windows if not is_uniform(network.pixels(window))]
    if not shown:
        return None
    return np.stack([network.pool(window, change=change) for window in shown])


def score_block(network: WindowNetwork, pooled: NDArray[np.float32]) -> float:
    """Return the domain score of a block: the mean over its windows, (W, D)."""
    guard = network.model.domain_guard
    assert guard is not None, "the card promises one"
    with torch.inference_mode():
        rows = torch.from_numpy(pooled).to(network.device)
        return float(guard(rows).mean())  # type: ignore[operator]


def _verdict(network: WindowNetwork, image: AskedImage, block: Block) -> Verdict | None:
    """Return the verdict on a block, None where it shows nothing; looks once."""
    card = network.card.domain
    assert card is not None, "asked only of weights that have a guard"
    if block not in image.verdicts:
        windows = blocks_of(image, network.card.input_px)[block]
        pooled = pool_block(network, windows)
        image.verdicts[block] = (
            None
            if pooled is None
            else Verdict(score_block(network, pooled), card.limit)
        )
    found: Verdict | None = image.verdicts[block]
    return found


def _apply(
    network: WindowNetwork, image: AskedImage, verdicts: Sequence[Verdict]
) -> AskedImage:
    outside = [one for one in verdicts if one.is_outside]
    if 2 * len(outside) <= len(verdicts):
        return image
    score = median(one.score for one in outside)
    sentence = why_unlike(
        network.card,
        image.pixels,
        modality=image.modality,
        score=score,
        limit=outside[0].limit,
    )
    return replace(image, withheld=sentence)


def _block_of(image: AskedImage, prompts: Prompts, input_px: int) -> Block:
    if image.scaled is None:
        return _WHOLE
    place = []
    for at, length in zip(_first_of(prompts), image.frame.shape, strict=True):
        count = _count(length, input_px)
        place.append(int(np.clip(at * count / length, 0, count - 1)) // _WINDOWS)
    return place[0], place[1]


def _first_of(prompts: Prompts) -> tuple[float, float]:
    box = prompts.box
    if box is not None:
        return (box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2
    if prompts.clicks:
        return prompts.clicks[0].y, prompts.clicks[0].x
    return prompts.strokes[0].points[0]


def _starts(length: int, side: int) -> list[int]:
    """Return where windows begin that stand evenly along an axis."""
    count = _count(length, side)
    return [int((i + 0.5) * length / count - side / 2) for i in range(count)]


def _count(length: int, side: int) -> int:
    return max(-(-length // side), 1)
