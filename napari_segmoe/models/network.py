"""What all networks share: checks, padding, prompts and the class of a region."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.domain_guard import DomainGuard
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS, PromptStem
from napari_segmoe.models.region_head import RegionContext, RegionHead
from napari_segmoe.types import Steering

State = Mapping[str, Any]


class SegmentationNetwork(nn.Module, ABC):
    """Base of the five networks.

    A network's ``forward`` is `encode` and `decode`: what does not depend on how
    experts are weighed, and what does. So experts can be pinned or vetoed without
    computing them again.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    stride : int
        Images are padded with zeros at the bottom and right to a multiple of it.
    stem_channels, stem_stride : int
        Channels and stride of the first convolution, to whose output prompts add.

    Attributes
    ----------
    prompt_stem : PromptStem or None
        Set by `attach_prompt_stem`.
    region_head : RegionHead or None
        Set by `attach_region_head`.
    domain_guard : DomainGuard or None
        Set by `attach_domain_guard`.
    """

    def __init__(
        self, *, in_channels: int, stride: int, stem_channels: int, stem_stride: int
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stride = stride
        self.stem_channels = stem_channels
        self.stem_stride = stem_stride
        self.prompt_stem: PromptStem | None = None
        self.region_head: RegionHead | None = None
        self.domain_guard: DomainGuard | None = None

    def attach_prompt_stem(self) -> None:
        """Let the network take prompts; changes no output bit until trained."""
        self.prompt_stem = PromptStem(self.stem_channels, stride=self.stem_stride)

    def attach_region_head(
        self,
        feature_channels: tuple[int, ...],
        *,
        embedding_channels: int,
        classes: int,
        context: str = RegionContext.RING,
    ) -> None:
        """Let the network classify objects; see `RegionHead`.

        Raises
        ------
        ModelOptionError
            If there is no such context.
        """
        if context not in set(RegionContext):
            raise ModelOptionError(
                f"No region context {context!r}; it is one of"
                f" {', '.join(RegionContext)}."
            )
        self.region_head = RegionHead(
            feature_channels,
            embedding_channels=embedding_channels,
            classes=classes,
            context=context,
        )

    def attach_domain_guard(self, features: int, components: int) -> DomainGuard:
        """Make room for the description of the training images; see `DomainGuard`."""
        self.domain_guard = DomainGuard(features, components)
        return self.domain_guard

    def forward(
        self,
        image: Tensor,
        prompts: Tensor | None = None,
        *,
        explain: bool = False,
        steering: Steering | None = None,
    ) -> SegmentationOutput:
        """Return mask and class scores of normalised images of any size.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
        prompts : Tensor, (B, 5, H, W), or None
        explain : bool
            Whether `SegmentationOutput.traces` is filled.
        steering : Steering or None
            Experts that must or must not be asked.

        Raises
        ------
        ModelOptionError
            If the channels do not fit, prompts come to a network without stem, the
            steering leaves a stage without experts or names unknown ones, or a batch
            is too small to train on.
        """
        try:
            return self.decode(self.encode(image, prompts), explain, steering)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ModelOptionError(
                "Batch normalisation has nothing to compare in a batch this small."
                " Train on two or more images at a time, or on larger ones."
            ) from error

    @abstractmethod
    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Compute all that does not depend on steering."""

    @abstractmethod
    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Weigh the experts of an encoded image and finish the prediction."""

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return maps of images without prompts, (B, c, h, w), for a domain guard.

        Networks with an encoder give its maps at an eighth and a sixteenth of the size
        and stop there: finer ones tell cameras apart rather than what is seen, deeper
        ones have forgotten all but the trained classes.
        """
        return self(image).features

    def prepare(
        self, image: Tensor, prompts: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Check and pad an input.

        Returns
        -------
        tuple
            The padded image, and what is added to the first convolution's output,
            (B, stem_channels, H'/stem_stride, W'/stem_stride), or None.
        """
        self._check(image, prompts)
        addition = None
        if prompts is not None and self.prompt_stem is not None:
            addition = self.prompt_stem(self.pad(prompts))
        return self.pad(image), addition

    def pad(self, image: Tensor) -> Tensor:
        """Pad bottom and right with zeros to a multiple of the stride."""
        height, width = image.shape[-2:]
        return F.pad(image, (0, -width % self.stride, 0, -height % self.stride))

    def classify_region(self, output: SegmentationOutput, mask: Tensor) -> Tensor:
        """Return class scores of the object under ``mask``, (B, object classes).

        Parameters
        ----------
        output : SegmentationOutput
            Of the same images.
        mask : Tensor, (B, 1, H, W)
            Object probability in 0..1.

        Raises
        ------
        ModelOptionError
            If the network has no region head.
        """
        if self.region_head is None:
            raise ModelOptionError(
                "This network has no region head. Build it with object_classes >= 2."
            )
        mask = self.pad(mask)
        return self.region_head(output.features, output.embedding, mask)

    def _check(self, image: Tensor, prompts: Tensor | None) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ModelOptionError(
                f"Input has shape {tuple(image.shape)}; expected"
                f" (B, {self.in_channels}, H, W). Convert the image first."
            )
        if image.numel() == 0:
            raise ModelOptionError(
                f"Input has shape {tuple(image.shape)}; expected at least one image of"
                " at least one pixel."
            )
        if prompts is None:
            return
        if self.prompt_stem is None:
            raise ModelOptionError(
                "This network takes no prompts. Build it with prompts=True."
            )
        expected = (image.shape[0], PROMPT_CHANNELS, *image.shape[-2:])
        if tuple(prompts.shape) != expected:
            raise ModelOptionError(
                f"Prompts have shape {tuple(prompts.shape)}; expected {expected}."
            )


class ImageHead(nn.Module):
    """Image classes from the mean of a deep map, for networks without a class head.

    Parameters
    ----------
    channels : int
        Channels of the deep map.
    classes : int
        Number of image classes.
    width : int
        Length of the embedding before the scores.
    """

    def __init__(self, channels: int, classes: int, *, width: int = 128) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(width, classes)

    def forward(self, deep: Tensor) -> tuple[Tensor, Tensor]:
        """Return class scores, (B, classes), and the embedding, (B, width)."""
        embedding = F.relu(self.embed(deep.mean(dim=(2, 3))))
        return self.classify(self.dropout(embedding)), embedding


def steer_weights(
    gates: Tensor,
    *,
    stage: str,
    experts: tuple[str, ...],
    most: int,
    steering: Steering | None,
) -> tuple[Tensor, Tensor]:
    """Choose the most weighty experts and make their weights sum to one.

    Parameters
    ----------
    gates : Tensor, (B, E)
        Softmax over experts.
    stage : str
        Whose steering counts.
    experts : tuple of str
        Names, in the order of the columns.
    most : int
        How many experts are asked at most (k); pinned ones come first.
    steering : Steering or None

    Returns
    -------
    tuple
        Weights, (B, E), zero where not chosen, rows sum to 1; and the chosen columns,
        (B, k), most weighty first.

    Raises
    ------
    ModelOptionError
        If all experts are vetoed or a name is unknown.
    """
    rank = gates.float()
    if steering is not None:
        pinned, vetoed = steering.of(stage)
        _check_names({*pinned, *vetoed}, experts, stage)
        allowed = torch.tensor([name not in vetoed for name in experts])
        if not bool(allowed.any()):
            raise ModelOptionError(
                f"Every expert of stage {stage} is vetoed. Allow at least one of"
                f" {', '.join(experts)}."
            )
        wanted = torch.tensor([name in pinned for name in experts])
        rank = rank + 2.0 * wanted.to(rank.device)
        rank = rank.masked_fill(~allowed.to(rank.device), -1.0)
        most = min(most, int(allowed.sum()))
        if pinned:
            most = min(most, len(set(pinned) - set(vetoed)) or most)
    chosen = rank.topk(min(most, len(experts)), dim=1).indices
    kept = torch.zeros_like(rank).scatter(1, chosen, 1.0)
    weights = gates.float() * kept
    total = weights.sum(dim=1, keepdim=True)
    even = kept / kept.sum(dim=1, keepdim=True)
    weights = torch.where(total > 1e-12, weights / total.clamp_min(1e-12), even)
    order = weights.gather(1, chosen).argsort(dim=1, descending=True)
    return weights.to(gates.dtype), chosen.gather(1, order)


def _check_names(named: set[str], experts: tuple[str, ...], stage: str) -> None:
    unknown = sorted(named - set(experts))
    if unknown:
        raise ModelOptionError(
            f"Stage {stage} has no expert {unknown[0]!r}. It has {', '.join(experts)}."
        )
