"""Class of one object from the maps inside it, around it, and its shape."""

from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SHAPE_NUMBERS = 5
_MOST_RING_STEPS = 8
_LAYER_REACH = 0.1  # of the map's height


class RegionContext(StrEnum):
    """What a region head looks at besides the object itself.

    ``RING`` is the ring around it; ``LAYERS`` also what lies above and below it, within
    a tenth of the view: in a scan through tissue the layer tells the class.
    """

    RING = "ring"
    LAYERS = "layers"


class RegionHead(nn.Module):
    """Classify the object under a soft mask.

    Pools each feature map inside the mask and in a ring around it (0.15 of the
    object's diameter wide), and adds five numbers of shape and the network's image
    embedding.

    Parameters
    ----------
    feature_channels : sequence of int
        Channels of the pooled maps.
    embedding_channels : int
        Length of the image embedding; 0 where the network has none.
    classes : int
        Number of object classes.
    context : str
        A `RegionContext`.
    """

    def __init__(
        self,
        feature_channels: tuple[int, ...],
        *,
        embedding_channels: int,
        classes: int,
        hidden: int = 128,
        dropout: float = 0.3,
        context: str = RegionContext.RING,
    ) -> None:
        super().__init__()
        self.context = RegionContext(context)
        pooled = 3 if self.context is RegionContext.RING else 5
        width = pooled * sum(feature_channels) + _SHAPE_NUMBERS + embedding_channels
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, classes)

    def forward(
        self, features: tuple[Tensor, ...], embedding: Tensor | None, mask: Tensor
    ) -> Tensor:
        """Return class scores, (B, classes); parameters as in `describe`."""
        with torch.autocast(device_type=mask.device.type, enabled=False):
            return self.classify(self.describe(features, embedding, mask))

    def describe(
        self, features: tuple[Tensor, ...], embedding: Tensor | None, mask: Tensor
    ) -> Tensor:
        """Return what the classes are told by, (B, width) float32.

        Parameters
        ----------
        features : tuple of Tensor, (B, c, h, w) or (1, c, h, w)
            Maps of `SegmentationOutput.features`; one for many objects of an image.
        embedding : Tensor, (B, D), or None
            `SegmentationOutput.embedding`.
        mask : Tensor, (B, 1, H, W)
            Object probability in 0..1.
        """
        with torch.autocast(device_type=mask.device.type, enabled=False):
            mask = mask.float()
            parts = [_shape_numbers(mask)]
            for feature in features:
                parts.extend(_pool_inside_and_around(feature.float(), mask))
                if self.context is RegionContext.LAYERS:
                    parts.extend(_pool_above_and_below(feature.float(), mask))
            if embedding is not None:
                parts.append(embedding.float())
            return torch.cat(parts, dim=1)

    def classify(self, description: Tensor) -> Tensor:
        """Return class scores, (B, classes), of what `describe` returned."""
        vector = self.norm(description)
        return self.out(self.dropout(F.relu(self.hidden(vector))))


def _pool_inside_and_around(feature: Tensor, mask: Tensor) -> list[Tensor]:
    small = F.interpolate(mask, size=feature.shape[-2:], mode="area")
    ring = _ring(small)
    inside = _masked_mean(feature, small)
    around = _masked_mean(feature, ring)
    return [inside, around, inside - around]


def _pool_above_and_below(feature: Tensor, mask: Tensor) -> list[Tensor]:
    small = F.interpolate(mask, size=feature.shape[-2:], mode="area")
    reach = max(round(_LAYER_REACH * small.shape[2]), 1)
    above, below = (
        F.max_pool2d(F.pad(small, padding), (reach + 1, 1), stride=1) - small
        for padding in ((0, 0, 0, reach), (0, 0, reach, 0))
    )
    return [_masked_mean(feature, above), _masked_mean(feature, below)]


def _masked_mean(feature: Tensor, weight: Tensor) -> Tensor:
    total = torch.einsum("bchw,bhw->bc", feature, weight[:, 0])
    return total / weight.sum(dim=(2, 3)).clamp_min(1e-3)


def _ring(mask: Tensor) -> Tensor:
    """Return what dilation by 0.15 diameters adds to ``mask``."""
    diameter = mask.sum(dim=(1, 2, 3)).clamp_min(0).sqrt()
    steps = (0.15 * diameter).round().clamp(1, _MOST_RING_STEPS)
    grown = torch.empty_like(mask)
    for reach in steps.unique().int().tolist():  # type: ignore[no-untyped-call]
        chosen = steps == reach
        grown[chosen] = _dilate(_dilate(mask[chosen], reach, dim=2), reach, dim=3)
    return grown - mask


def _dilate(mask: Tensor, reach: int, *, dim: int) -> Tensor:
    """Return the largest value within ``reach`` along a dimension.

    Windows double until they are wide enough: a few operations for any reach.
    """
    length, width = mask.shape[dim], 2 * reach + 1
    padding = (reach, reach) if dim == 3 else (0, 0, reach, reach)
    grown, side = F.pad(mask, padding), 1
    while 2 * side <= width:
        size = grown.shape[dim] - side
        grown = torch.maximum(grown.narrow(dim, 0, size), grown.narrow(dim, side, size))
        side *= 2
    return torch.maximum(
        grown.narrow(dim, 0, length), grown.narrow(dim, width - side, length)
    )


def _shape_numbers(mask: Tensor) -> Tensor:
    """Return log area, height, width, log width/height and fill, (B, 5)."""
    height, width = mask.shape[-2:]
    area = mask.mean(dim=(1, 2, 3))
    tall = mask.amax(dim=3).sum(dim=(1, 2)) / height
    wide = mask.amax(dim=2).sum(dim=(1, 2)) / width
    ratio = torch.log((wide + 1e-2) / (tall + 1e-2))
    fill = area / (tall * wide).clamp_min(1e-4)
    return torch.stack([torch.log(area + 1e-4), tall, wide, ratio, fill], dim=1)
