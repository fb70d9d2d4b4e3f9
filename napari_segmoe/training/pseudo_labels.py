"""Pseudo-labels: what a network says of an image, taken for the truth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_segmoe.models.outputs import SegmentationOutput


@dataclass(frozen=True, slots=True, eq=False)
class PseudoLabels:
    """What a network says of images without masks; carries no gradient.

    Attributes
    ----------
    mask : Tensor, (B, 1, H, W) int64
        Class of each pixel, 0 for background.
    distance : Tensor, (B, 1, H, W) float32, or None
        Signed distance in -1..1, positive inside; None without such a head.
    boundary : Tensor, (B, 1, H, W) float32, or None
        1 on the ring around objects; None without such a head.
    confidence : Tensor, (B, 1, H, W) float32
        Probability of the class that ``mask`` states.
    """

    mask: Tensor
    distance: Tensor | None
    boundary: Tensor | None
    confidence: Tensor

    def counted(self, gate: float) -> Tensor | None:
        """Return 1 where the confidence is at least ``gate``, else 0; None for 0."""
        return (self.confidence >= gate).float() if gate else None

    def mixed(self, pasted: Tensor) -> "PseudoLabels":
        """Return labels of mixed images; see `paste`."""
        return PseudoLabels(
            mask=paste(self.mask, pasted),
            distance=None if self.distance is None else paste(self.distance, pasted),
            boundary=None if self.boundary is None else paste(self.boundary, pasted),
            confidence=paste(self.confidence, pasted),
        )


def make_pseudo_labels(output: SegmentationOutput) -> PseudoLabels:
    """Turn a network's prediction into labels.

    Parameters
    ----------
    output : SegmentationOutput
        Of images of any kind. With gates (Semi-MoE) its mask, distance and boundary
        are what the gates made of all experts: the fused pseudo-labels.

    Returns
    -------
    PseudoLabels
        Without gradient: they teach, and are not taught.

    Notes
    -----
    The fuse-and-refine pseudo-labels of Semi-MoE (Vu et al., BMVC 2025): the most
    likely class, the distance after tanh, the most likely of ring and no ring.
    """
    logits = output.logits.detach().float()
    if logits.shape[1] == 1:
        foreground = logits.sigmoid()
        mask = (foreground > 0.5).long()
        confidence = torch.maximum(foreground, 1 - foreground)
    else:
        confidence, mask = logits.softmax(dim=1).max(dim=1, keepdim=True)
    distance, boundary = output.distance, output.boundary
    return PseudoLabels(
        mask=mask,
        distance=None if distance is None else distance.detach().float(),
        boundary=None if boundary is None else (boundary.detach() > 0).float(),
        confidence=confidence,
    )


def paste(maps: Tensor, pasted: Tensor) -> Tensor:
    """Return maps, (B, c, H, W), with the next row's values where ``pasted``.

    Parameters
    ----------
    maps : Tensor, (B, c, H, W)
    pasted : Tensor, (B, 1, H, W) bool
        Where a row is replaced by the next one, the last by the first (CutMix).
    """
    return torch.where(pasted, maps.roll(-1, dims=0), maps)
