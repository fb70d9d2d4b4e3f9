"""Between an image's own pixels and those in which its weights answer. No torch.

Weights without a pixel size answer in the image's own pixels; others at theirs, and
what they find is brought back.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels

from napari_segmoe.data.patches import Patch, PixelBox, clip_box, cut
from napari_segmoe.data.scaled_image import ScaledImage
from napari_segmoe.data.slides.resampling import regrid
from napari_segmoe.types import Prompts, RegionProgress

_LABEL_REACH_PX = 3


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Probability and mask of one object, where they are not zero."""

    probability: Patch
    mask: Patch


class Frame(Protocol):
    """The pixels in which weights answer."""

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the image in this frame."""
        ...

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return prompts, given in the image's own pixels, in this frame."""
        ...

    def box(self, own: PixelBox) -> PixelBox:
        """Return the box that holds a box of own pixels."""
        ...

    def take(self, own: NDArray[np.generic], box: PixelBox) -> NDArray[np.float32]:
        """Return a box, in this frame, of an array of own pixels; zero beyond it."""
        ...

    def give(self, found: Found, threshold: float) -> Found:
        """Return what was found in own pixels."""
        ...


@dataclass(frozen=True, slots=True)
class OwnFrame:
    """The image's own pixels.

    Attributes
    ----------
    shape : (H, W)
    """

    shape: tuple[int, int]

    def prompts(self, prompts: Prompts) -> Prompts:
        """See `Frame.prompts`."""
        return prompts

    def box(self, own: PixelBox) -> PixelBox:
        """See `Frame.box`."""
        return own

    def take(self, own: NDArray[np.generic], box: PixelBox) -> NDArray[np.float32]:
        """See `Frame.take`."""
        return cut(own, box).astype(np.float32, copy=False)

    def give(self, found: Found, threshold: float) -> Found:
        """See `Frame.give`."""
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ScaledFrame:
    """Pixels of another size than the image's own.

    Attributes
    ----------
    image : ScaledImage
    """

    image: ScaledImage

    @property
    def shape(self) -> tuple[int, int]:
        """See `Frame.shape`."""
        return self.image.shape

    def prompts(self, prompts: Prompts) -> Prompts:
        """See `Frame.prompts`."""
        return self.image.prompts_to_scaled(prompts)

    def box(self, own: PixelBox) -> PixelBox:
        """See `Frame.box`."""
        step_y, step_x = self.image.step_yx
        return (
            math.floor(own[0] / step_y),
            math.floor(own[1] / step_x),
            math.ceil(own[2] / step_y),
            math.ceil(own[3] / step_x),
        )

    def take(self, own: NDArray[np.generic], box: PixelBox) -> NDArray[np.float32]:
        """See `Frame.take`."""
        step_y, step_x = self.image.step_yx
        y0, x0, y1, x1 = self._own_box(box, margin=1)
        part = cut(own, (y0, x0, y1, x1))
        return regrid(
            part,
            start_yx=(box[0] * step_y - y0, box[1] * step_x - x0),
            step_yx=(step_y, step_x),
            shape=(box[2] - box[0], box[3] - box[1]),
        )

    def give(self, found: Found, threshold: float) -> Found:
        """See `Frame.give`; the mask is cut after the probability is interpolated."""
        box = found.probability.box
        soft = fold_at(found.probability.values, found.mask.cut(box), threshold)
        own = clip_box(self._own_box(box, margin=0), self.image.own_shape)
        values = self.to_own(Patch(soft, box[0], box[1]), own)
        return Found(
            Patch(values, own[0], own[1]),
            Patch(values > threshold, own[0], own[1]),
        )

    def to_own(self, patch: Patch, box: PixelBox) -> NDArray[np.float32]:
        """Return a patch of this frame over a box of own pixels, interpolated."""
        step_y, step_x = (1 / step for step in self.image.step_yx)
        y0, x0, y1, x1 = box
        return regrid(
            patch.values,
            start_yx=(y0 * step_y - patch.y0, x0 * step_x - patch.x0),
            step_yx=(step_y, step_x),
            shape=(y1 - y0, x1 - x0),
        )

    def progress(self, step: RegionProgress) -> RegionProgress:
        """Return progress with its part in own pixels."""
        if step.box is None or step.mask is None:
            return step
        own = clip_box(self._own_box(step.box, margin=0), self.image.own_shape)
        rows, columns = self._nearest(own, step.box)
        return replace(step, box=own, mask=step.mask[rows[:, None], columns])

    def labels_to_own(
        self, labels: NDArray[np.uint32], mask: NDArray[np.bool_]
    ) -> NDArray[np.uint32]:
        """Return object ids of this frame on the image's own pixels.

        Parameters
        ----------
        labels : (h, w) uint32
            Ids of the whole image, in this frame.
        mask : (H, W) bool
            What is an object, in own pixels; its pixels get the nearest id.
        """
        wide = expand_labels(labels, _LABEL_REACH_PX)
        found = self.nearest_to_own(wide, (mask.shape[0], mask.shape[1]))
        found[~mask] = 0
        return found

    def nearest_to_own(
        self, values: NDArray[Any], shape: tuple[int, int]
    ) -> NDArray[Any]:
        """Return values of this whole frame on the own pixels, (H, W), over them."""
        height, width = values.shape
        rows, columns = self._nearest((0, 0, *shape), (0, 0, height, width))
        found: NDArray[Any] = values[rows[:, None], columns]
        return found

    def _nearest(
        self, own: PixelBox, box: PixelBox
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return rows and columns, of a box of this frame, under own pixels."""
        rows, columns = (
            (
                ((np.arange(own[i], own[i + 2]) + 0.5) / step).astype(np.intp) - box[i]
            ).clip(0, box[i + 2] - box[i] - 1)
            for i, step in enumerate(self.image.step_yx)
        )
        return rows, columns

    def _own_box(self, box: PixelBox, *, margin: int) -> PixelBox:
        step_y, step_x = self.image.step_yx
        return (
            math.floor(box[0] * step_y) - margin,
            math.floor(box[1] * step_x) - margin,
            math.ceil(box[2] * step_y) + margin,
            math.ceil(box[3] * step_x) + margin,
        )


def fold_at(
    probability: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float
) -> NDArray[np.float32]:
    """Return probabilities that lie above a threshold on a mask and nowhere else.

    Where the mask was changed against the probability, that is mirrored at the
    threshold, so that the outline stays where it is when it is interpolated.
    """
    least = np.nextafter(np.float32(threshold), np.float32(1))
    folded = 2 * np.float32(threshold) - probability
    inside = np.maximum(np.where(probability > threshold, probability, folded), least)
    outside = np.where(probability > threshold, folded, probability)
    return np.clip(np.where(mask, inside, outside), 0, 1)
