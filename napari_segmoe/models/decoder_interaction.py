"""Multi-task network with decoder-level task interaction (TIM, UPA, HMSF).

Al Shafi et al. 2026, "Multi-Level Bidirectional Decoder Interaction for
Uncertainty-Aware Breast Ultrasound Analysis". Topology and widths follow the
authors' released code, formulae the paper; where they differ the option says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.efficientnet import (
    EfficientNetEncoder,
    efficientnet_b4_encoder,
    efficientnet_lite0_encoder,
)
from napari_segmoe.models.interaction_blocks import (
    AttentionGate,
    ResidualBlock,
    TaskInteraction,
    UncertaintyProxyAttention,
    spatial_variance,
)
from napari_segmoe.models.network import SegmentationNetwork, State
from napari_segmoe.models.outputs import Routing, SegmentationOutput
from napari_segmoe.models.registry import register_model
from napari_segmoe.types import Steering

_STRIDE = 32


@dataclass(frozen=True, slots=True)
class _Parts:
    """The dropout, and which of the paper's parts are built: all, but to compare."""

    dropout: float
    fusion: bool
    interaction: bool
    weighing: bool

    def __post_init__(self) -> None:
        if self.weighing and not self.interaction:
            raise ModelOptionError(
                "UPA weighs what TIM changes: weighing=True needs interaction=True."
            )


@dataclass(frozen=True, slots=True)
class _Widths:
    """All widths of one preset.

    ``taps`` are the widths of the five encoder blocks; where they differ from the
    encoder's own, a 1x1 convolution squeezes the tap first.
    """

    taps: tuple[int, int, int, int, int]
    decoder: tuple[int, int, int, int]
    task: int
    head: tuple[int, int]
    classifier: int


class DecoderLevel(nn.Module):
    """One decoder level: upsample, gate the skip, fuse, interact, weigh.

    Parameters
    ----------
    in_channels, skip_channels, channels : int
        Widths of the deeper map, of the skip and of this level.
    source_channels : int
        Width of the encoder map from which the class vector is made.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        skip_channels: int,
        channels: int,
        source_channels: int,
        widths: _Widths,
        parts: _Parts,
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(
            in_channels, channels, 3, stride=2, padding=1, output_padding=1
        )
        self.gate = AttentionGate(skip_channels, channels, inter=channels // 2)
        self.block = ResidualBlock(
            channels + skip_channels,
            channels,
            attention=False,
            fusion=parts.fusion,
        )
        self.dropout = nn.Dropout(parts.dropout)
        self.class_vector = nn.Linear(source_channels, widths.task)
        self.interaction = (
            TaskInteraction(channels, widths.task) if parts.interaction else None
        )
        self.weighing = UncertaintyProxyAttention() if parts.weighing else None

    def forward(
        self, deeper: Tensor, skip: Tensor, source: Tensor, *, explain: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
        """Return the level's map, its class vector, UPA weights and traces.

        Parameters
        ----------
        deeper : Tensor, (B, c_in, h/2, w/2)
        skip : Tensor, (B, c_skip, h, w)
        source : Tensor, (B, c_source, h', w')
        explain : bool
            Whether the last item is filled.

        Returns
        -------
        tuple
            (B, c, h, w), (B, task), (B, 2) or None, and what explanations are made
            of.
        """
        up = self.up(deeper)  # (B, c, h, w)
        gated, attention = self.gate(skip, up)
        fused, scales = self.block(torch.cat([up, gated], dim=1))
        base = self.dropout(fused)  # (B, c, h, w)
        vector = F.relu(self.class_vector(source.mean(dim=(2, 3))))  # (B, task)
        traces = {"attention": attention} if explain else {}
        if explain and scales is not None:
            traces["scales"] = scales
        if self.interaction is None:
            return base, vector, None, traces
        enhanced, enhanced_vector = self.interaction(base, vector)
        change = enhanced - base
        if explain:
            traces["change"] = change.float().norm(dim=1, keepdim=True)  # (B, 1, h, w)
            traces["variance"] = spatial_variance(enhanced)  # (B, 1, h, w)
        if self.weighing is None:
            return enhanced, enhanced_vector, None, traces
        weights = self.weighing(enhanced, enhanced_vector)  # (B, 2)
        map_weight = weights[:, 0, None, None, None].to(base.dtype)
        final = base + map_weight * change  # Eq. (8)
        final_vector = vector + weights[:, 1:] * (enhanced_vector - vector)
        return final, final_vector, weights, traces


class DecoderInteractionNet(SegmentationNetwork):
    """EfficientNet encoder, four interacting decoder levels, two heads.

    Parameters
    ----------
    encoder : EfficientNetEncoder
        Gives four expanded activations and the top activation.
    widths : _Widths
        All widths.
    classes : int
        Mask channels K.
    image_classes : int
        Classes of the image head; 0 builds none.
    object_classes : int
        Classes of the region head; 0 builds none.
    prompts : bool
        Whether a prompt stem is attached.
    parts : _Parts
        Dropout, and which of HMSF, TIM and UPA are built.
    """

    def __init__(
        self,
        encoder: EfficientNetEncoder,
        *,
        widths: _Widths,
        in_channels: int,
        classes: int,
        image_classes: int,
        object_classes: int,
        prompts: bool,
        parts: _Parts,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            stride=_STRIDE,
            stem_channels=encoder.stem_channels,
            stem_stride=2,
        )
        self.encoder = encoder
        self.squeeze = nn.ModuleList(
            _squeeze(have, want)
            for have, want in zip(encoder.tap_channels, widths.taps, strict=True)
        )
        self.encoder_blocks = nn.ModuleList(
            ResidualBlock(width, width, attention=True, fusion=parts.fusion)
            for width in widths.taps
        )
        self.levels = nn.ModuleList(_decoder_levels(widths, parts))
        self.head = _mask_head(widths, classes)
        joined = sum(widths.taps[1:]) + 4 * widths.task
        self.embed = nn.Sequential(
            nn.Linear(joined, widths.classifier),
            nn.ReLU(),
            nn.BatchNorm1d(widths.classifier),
            nn.Dropout(0.3),
        )
        self.classify = (
            nn.Linear(widths.classifier, image_classes) if image_classes else None
        )
        if object_classes:
            self.attach_region_head(
                (widths.decoder[3], widths.decoder[2], widths.decoder[1]),
                embedding_channels=widths.classifier,
                classes=object_classes,
            )
        if prompts:
            self.attach_prompt_stem()

    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Return the encoder's five maps; see `SegmentationNetwork.encode`."""
        height, width = image.shape[-2:]
        image, addition = self.prepare(image, prompts)
        taps = self.encoder(image, stem_addition=addition)
        found = [
            block(squeeze(tap))
            for tap, squeeze, block in zip(
                taps, self.squeeze, self.encoder_blocks, strict=True
            )
        ]
        maps, scales = zip(*found, strict=True)
        return {"maps": maps, "scales": scales, "size": (height, width)}

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return two maps of the encoder; see `SegmentationNetwork.look`."""
        return self.encoder.look(self.prepare(image, None)[0])

    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Decode and classify; UPA's tasks are no experts, so steering is refused."""
        if steering is not None:
            raise ModelOptionError(
                "This network has no experts to pin or veto: UPA weighs two tasks."
            )
        maps, (height, width) = state["maps"], state["size"]
        deeper = maps[4]
        vectors, routing, decoded = [], [], []
        traces = _scales_of_encoder(state["scales"]) if explain else {}
        for number, level in enumerate(self.levels, start=1):
            deeper, vector, weights, found = level(
                deeper, maps[4 - number], maps[5 - number], explain=explain
            )
            vectors.append(vector)
            decoded.append(deeper)
            if weights is not None:
                routing.append(_routing(number, weights))
            traces |= {f"{key}/D{number}": value for key, value in found.items()}
        logits = self.head(deeper)[..., :height, :width]  # (B, K, H, W)
        pooled = [block_map.mean(dim=(2, 3)) for block_map in maps[1:]]
        embedding = self.embed(torch.cat([*pooled, *vectors], dim=1))  # (B, D)
        return SegmentationOutput(
            logits=logits,
            class_logits=None if self.classify is None else self.classify(embedding),
            routing=tuple(routing),
            features=(decoded[3], decoded[2], decoded[1]),
            embedding=embedding,
            traces=traces,
        )


def _squeeze(have: int, want: int) -> nn.Module:
    if have == want:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(have, want, 1, bias=False), nn.BatchNorm2d(want), nn.ReLU()
    )


def _decoder_levels(widths: _Widths, parts: _Parts) -> Sequence[DecoderLevel]:
    deeper = (widths.taps[4], *widths.decoder[:3])
    return [
        DecoderLevel(
            in_channels=deeper[number],
            skip_channels=widths.taps[3 - number],
            channels=widths.decoder[number],
            source_channels=widths.taps[4 - number],
            widths=widths,
            parts=parts,
        )
        for number in range(4)
    ]


def _mask_head(widths: _Widths, classes: int) -> nn.Sequential:
    up, last = widths.head
    return nn.Sequential(
        nn.ConvTranspose2d(
            widths.decoder[3], up, 3, stride=2, padding=1, output_padding=1
        ),
        nn.Conv2d(up, last, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(last, classes, 1),
    )


def _scales_of_encoder(scales: Sequence[Tensor | None]) -> dict[str, Tensor]:
    return {
        f"scales/E{number}": one
        for number, one in enumerate(scales, start=1)
        if one is not None
    }


def _routing(number: int, weights: Tensor) -> Routing:
    return Routing(
        stage=f"D{number}",
        experts=("segmentation", "classification"),
        weights=weights,
        chosen=weights.argsort(dim=1, descending=True),
    )


@register_model
def decoder_interaction(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 0,
    prompts: bool = False,
    fusion: bool = True,
    interaction: bool = True,
    weighing: bool = True,
) -> nn.Module:
    """Build the paper's network on EfficientNet-B4 (57.4 M parameters; for GPUs).

    ``fusion`` (HMSF), ``interaction`` (TIM) and ``weighing`` (UPA, which needs TIM)
    leave these parts out for comparison.
    """
    widths = _Widths(
        taps=(144, 192, 336, 960, 1792),
        decoder=(384, 192, 96, 48),
        task=256,
        head=(24, 16),
        classifier=256,
    )
    return DecoderInteractionNet(
        efficientnet_b4_encoder(in_channels=in_channels),
        widths=widths,
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        parts=_Parts(0.3, fusion, interaction, weighing),
    )


@register_model
def decoder_interaction_lite(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
    fusion: bool = True,
    interaction: bool = True,
    weighing: bool = True,
) -> nn.Module:
    """Build the same topology on EfficientNet-Lite0, for a click on two CPU cores.

    The taps are squeezed by 1x1 convolutions, the widths shrunk; nothing is left out
    but where options, as in `decoder_interaction`, say so.
    """
    widths = _Widths(
        taps=(24, 40, 80, 160, 216),
        decoder=(160, 96, 48, 24),
        task=128,
        head=(16, 16),
        classifier=256,
    )
    return DecoderInteractionNet(
        efficientnet_lite0_encoder(in_channels=in_channels),
        widths=widths,
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        parts=_Parts(0.1, fusion, interaction, weighing),
    )
