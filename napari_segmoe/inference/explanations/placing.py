"""Explanations at the weights' pixel size, brought to the image's own pixels."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from napari_segmoe.data.frames import Frame, ScaledFrame
from napari_segmoe.data.patches import Patch
from napari_segmoe.types import Explanation


def maps_to_own(
    explanations: Iterable[Explanation], frame: Frame, shape: tuple[int, int]
) -> tuple[Explanation, ...]:
    """Return explanations whose maps have the image's own pixels.

    Parameters
    ----------
    explanations : iterable of Explanation
        Maps have the frame's shape; tables stay as they are.
    frame : Frame
        In which the weights answered.
    shape : (H, W)
        The image's own.
    """
    if not isinstance(frame, ScaledFrame):
        return tuple(explanations)
    return tuple(_to_own(one, frame, shape) for one in explanations)


def _to_own(
    one: Explanation, frame: ScaledFrame, shape: tuple[int, int]
) -> Explanation:
    if one.kind == "table":
        return one
    if one.kind == "categories":
        values = frame.nearest_to_own(one.values, shape)
    else:
        values = frame.to_own(Patch(one.values), (0, 0, *shape))
        values = np.clip(values, *one.value_range)
    return replace(one, values=values)
