"""ResFormer: a CNN and a Swin transformer at each level, dilated skips, two heads.

Bui et al., "Multi-scale Feature Enhancement in Multi-task Learning for Medical Image
Analysis". Enhancement (DFE) as in the paper, patch embedding and merging as in the
authors' code; where they differ the option says so.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.dilated_enhancement import Enhanced, build_enhancement
from napari_segmoe.models.network import SegmentationNetwork, State
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.registry import register_model
from napari_segmoe.models.resformer_encoder import (
    Arrangement,
    LevelMaps,
    ResFormerEncoder,
    ResFormerPlan,
)
from napari_segmoe.types import Steering

_STRIDE = 16
# Level 4 keeps at least 2 x 2 pixels, so that batch norm can train on one image.
_SMALLEST_SIDE = 32


class DecoderLevel(nn.Module):
    """Upsample by a transposed convolution, join the skip, fuse by a 3x3.

    Parameters
    ----------
    channels, skip_channels : int
        Widths of the deeper map and of the skip, which is the level's width.
    """

    def __init__(self, channels: int, skip_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, skip_channels, 2, stride=2)
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * skip_channels, skip_channels, 3, padding=1),
            nn.BatchNorm2d(skip_channels),
            nn.ReLU(),
        )

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """Return (B, c, h, w) for (B, C, h/2, w/2) and (B, c, h, w)."""
        return self.fuse(torch.cat([self.up(deeper), skip], dim=1))


class MultiLevelImageHead(nn.Module):
    """Image classes from the means of the last two levels (Section III-C).

    Parameters
    ----------
    channels : tuple of int
        Channels of the pooled maps, deepest first.
    width : int
        Length of the vector between the two linear layers.
    classes : int
        Number of image classes.

    Notes
    -----
    Norm and ReLU before the mean are the reference's; the paper draws none. As in
    both, nothing stands between the two linear layers.
    """

    def __init__(self, channels: tuple[int, ...], *, width: int, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        self.embed = nn.Linear(sum(channels), width)
        self.classify = nn.Linear(width, classes)
        for linear in (self.embed, self.classify):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return class scores, (B, classes), and the embedding, (B, width)."""
        pooled = [
            F.relu(norm(level)).mean(dim=(2, 3))
            for norm, level in zip(self.norms, maps, strict=True)
        ]
        embedding = self.embed(torch.cat(pooled, dim=1))  # (B, width)
        return self.classify(embedding), embedding


class ResFormerNet(SegmentationNetwork):
    """ResFormer encoder, DFE on the four levels, decoder, mask and image head.

    Parameters
    ----------
    plan : ResFormerPlan
        All numbers.
    classes : int
        Mask channels K.
    image_classes, object_classes : int
        Classes of the image head and of the region head; 0 builds none. The image
        head's scores serve several labels at once (sigmoid) or one (softmax).
    prompts : bool
        Whether a prompt stem is attached.
    """

    def __init__(
        self,
        plan: ResFormerPlan,
        *,
        in_channels: int,
        classes: int,
        image_classes: int,
        object_classes: int,
        prompts: bool,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            stride=_STRIDE,
            stem_channels=plan.channels[0],
            stem_stride=1,
        )
        self.arrangement = plan.arrangement
        self.encoder = ResFormerEncoder(in_channels, plan)
        self.enhancements = nn.ModuleList(
            build_enhancement(channels, form=plan.dfe) for channels in plan.channels
        )
        first, second, third, fourth = plan.channels
        self.decoder = nn.ModuleList(
            [
                DecoderLevel(fourth, third),
                DecoderLevel(third, second),
                DecoderLevel(second, first),
            ]
        )
        self.head = nn.Conv2d(first, classes, 1, bias=False)
        self.image_head: MultiLevelImageHead | None = None
        if image_classes:
            self.image_head = MultiLevelImageHead(
                (fourth, third), width=plan.embedding, classes=image_classes
            )
        if object_classes:
            told = (classes,) if classes > 2 else ()
            self.attach_region_head(
                (first, second, third, *told),
                embedding_channels=plan.embedding if image_classes else 0,
                classes=object_classes,
                context=plan.region_context,
            )
        if prompts:
            self.attach_prompt_stem()

    def pad(self, image: Tensor) -> Tensor:
        """Pad to multiples of 16, at least 32, so that the deepest map is 2 x 2."""
        height, width = image.shape[-2:]
        missing = (
            0,
            max(0, _SMALLEST_SIDE - width),
            0,
            max(0, _SMALLEST_SIDE - height),
        )
        return super().pad(F.pad(image, missing))

    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Return the encoder's levels; see `SegmentationNetwork.encode`."""
        size = image.shape[-2:]
        image, addition = self.prepare(image, prompts)
        return {"levels": self.encoder(image, addition), "size": size}

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the two deepest levels; see `SegmentationNetwork.look`."""
        levels = self.encoder(self.prepare(image, None)[0], None)
        return levels[-2].map, levels[-1].map

    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Enhance the skips, decode and classify; there are no experts to steer."""
        if steering is not None:
            raise ModelOptionError(
                "This network has no experts to pin or veto: its branches are summed."
            )
        levels, (height, width) = state["levels"], state["size"]
        skips: list[Enhanced] = [
            enhance(level.map)
            for enhance, level in zip(self.enhancements, levels, strict=True)
        ]
        decoded = [skips[3].map]
        for number, level in enumerate(self.decoder):
            decoded.append(level(decoded[-1], skips[2 - number].map))  # H/8, H/4, H/2
        # The 1x1 head first: it commutes with the upsampling and is cheaper here.
        scores = self.head(decoded[3])  # (B, K, H/2, W/2)
        logits = F.interpolate(
            scores, scale_factor=2, mode="bilinear", align_corners=True
        )
        # Where pixels have classes, the class of an object begins with theirs.
        told = (scores.float().softmax(dim=1),) if scores.shape[1] > 2 else ()
        class_logits = embedding = None
        if self.image_head is not None:
            class_logits, embedding = self.image_head((levels[3].map, levels[2].map))
        return SegmentationOutput(
            logits=logits[..., :height, :width],  # (B, K, H, W)
            class_logits=class_logits,
            features=(decoded[3], decoded[2], decoded[1], *told),
            embedding=embedding,
            traces=self._traces(levels, skips) if explain else {},
        )

    def _traces(
        self, levels: list[LevelMaps], skips: list[Enhanced]
    ) -> dict[str, Tensor]:
        traces: dict[str, Tensor] = {}
        for number, (level, skip) in enumerate(
            zip(levels, skips, strict=True), start=1
        ):
            if self.arrangement is Arrangement.PARALLEL:
                traces[f"balance/L{number}"] = balance(level.local, level.distant)
            else:
                traces[f"change/Swin L{number}"] = level.distant - level.local
            if skip.attention is not None:
                traces[f"attention/DFE L{number}"] = skip.attention
            for name, branch in skip.branches.items():
                traces[f"branch/DFE L{number}/{name}"] = _energy(branch)
        return traces


def balance(one: Tensor, other: Tensor) -> Tensor:
    """Compare the channel norms of two maps, pixel by pixel.

    Parameters
    ----------
    one, other : Tensor, (B, C, h, w)

    Returns
    -------
    (B, 1, h, w) Tensor
        1 where only ``one`` is active, -1 where only ``other`` is, 0 where they are
        equally strong or both silent.
    """
    first, second = _energy(one), _energy(other)
    return (first - second) / (first + second).clamp_min(1e-12)


def _energy(x: Tensor) -> Tensor:
    return x.float().norm(dim=1, keepdim=True)  # (B, 1, h, w)


@register_model
def resformer_sequential(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 0,
    prompts: bool = False,
    window: int = 14,
    dfe: str = "paper",
    merging: str = "multi_scale",
) -> nn.Module:
    """Build the paper's sequential network: CNN, then Swin (44.2 M; for GPUs).

    ``window`` is 14 as the paper's at 224 px, and serves every size. ``dfe`` is
    "paper", "reference" (56.3 M) or "none" (33.7 M); ``merging`` "multi_scale" as in
    the reference or "paper".
    """
    return ResFormerNet(
        ResFormerPlan(
            arrangement=Arrangement.SEQUENTIAL, window=window, dfe=dfe, merging=merging
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
    )


@register_model
def resformer_parallel(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 0,
    prompts: bool = False,
    window: int = 14,
    dfe: str = "paper",
    merging: str = "multi_scale",
) -> nn.Module:
    """Build the paper's parallel network: CNN plus Swin (44.2 M; for GPUs).

    Options as in `resformer_sequential`.
    """
    return ResFormerNet(
        ResFormerPlan(
            arrangement=Arrangement.PARALLEL, window=window, dfe=dfe, merging=merging
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
    )


@register_model
def resformer_lite(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
    window: int = 8,
    dfe: str = "paper",
    merging: str = "multi_scale",
) -> nn.Module:
    """Build a narrow parallel network, for a click on two CPU cores.

    The topology is whole, widths and depths of the CNN are shrunk; the feed-forward
    layers are the paper's, without the reference's channel attention. Options as in
    `resformer_sequential`.
    """
    return ResFormerNet(
        ResFormerPlan(
            arrangement=Arrangement.PARALLEL,
            window=window,
            dfe=dfe,
            merging=merging,
            feed_forward_attention=False,
            channels=(16, 32, 64, 128),
            heads=(1, 2, 4, 8),
            cnn_depths=(1, 1, 2, 2),
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
    )
