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
)
from napari_segmoe.models.outputs import Routing, SegmentationOutput
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS, PromptStem
from napari_segmoe.models.region_head import RegionHead
from napari_segmoe.models.registry import register_model

_STRIDE = 32


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
        dropout: float,
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
        )
        self.dropout = nn.Dropout(dropout)
        self.class_vector = nn.Linear(source_channels, widths.task)
        self.interaction = TaskInteraction(channels, widths.task)
        self.weighing = UncertaintyProxyAttention()

    def forward(
        self, deeper: Tensor, skip: Tensor, source: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Return the level's map, its class vector, UPA weights and traces.

        Parameters
        ----------
        deeper : Tensor, (B, c_in, h/2, w/2)
        skip : Tensor, (B, c_skip, h, w)
        source : Tensor, (B, c_source, h', w')

        Returns
        -------
        tuple
            (B, c, h, w), (B, task), (B, 2) and the maps for explanations.
        """
        up = self.up(deeper)  # (B, c, h, w)
        gated, attention = self.gate(skip, up)
        base = self.dropout(self.block(torch.cat([up, gated], dim=1)))  # (B, c, h, w)
        vector = F.relu(self.class_vector(source.mean(dim=(2, 3))))  # (B, task)
        enhanced, enhanced_vector = self.interaction(base, vector)
        weights = self.weighing(enhanced, enhanced_vector)  # (B, 2)
        map_weight = weights[:, 0, None, None, None].to(base.dtype)
        final = base + map_weight * (enhanced - base)  # Eq. (8)
        final_vector = vector + weights[:, 1:] * (enhanced_vector - vector)
        traces = {"attention": attention, "change": enhanced - base, "base": base}
        return final, final_vector, weights, traces


class DecoderInteractionNet(nn.Module):
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
        Classes of the image head.
    object_classes : int
        Classes of the region head; 0 builds none.
    prompts : bool
        Whether a prompt stem is attached.
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
        dropout: float,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder = encoder
        self.squeeze = nn.ModuleList(
            _squeeze(have, want)
            for have, want in zip(encoder.tap_channels, widths.taps, strict=True)
        )
        self.encoder_blocks = nn.ModuleList(
            ResidualBlock(width, width, attention=True) for width in widths.taps
        )
        self.levels = nn.ModuleList(_decoder_levels(widths, dropout))
        self.head = _mask_head(widths, classes)
        joined = sum(widths.taps[1:]) + 4 * widths.task
        self.embed = nn.Sequential(
            nn.Linear(joined, widths.classifier),
            nn.ReLU(),
            nn.BatchNorm1d(widths.classifier),
            nn.Dropout(0.3),
        )
        self.classify = nn.Linear(widths.classifier, image_classes)
        self.region_head: RegionHead | None = None
        if object_classes:
            self.region_head = RegionHead(
                (widths.decoder[3], widths.decoder[2], widths.decoder[1]),
                embedding_channels=widths.classifier,
                classes=object_classes,
            )
        self.prompt_stem: PromptStem | None = None
        if prompts:
            self.attach_prompt_stem()

    def attach_prompt_stem(self) -> None:
        """Let the network take prompts; changes no output bit until trained."""
        self.prompt_stem = PromptStem(self.encoder.stem_channels, stride=2)

    def forward(
        self, image: Tensor, prompts: Tensor | None = None, *, explain: bool = False
    ) -> SegmentationOutput:
        """Return mask and class scores of normalised images of any size.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
        prompts : Tensor, (B, 5, H, W), or None
        explain : bool
            Whether `SegmentationOutput.traces` is filled.

        Raises
        ------
        ModelOptionError
            If the channels do not fit, or prompts come to a network without stem.
        """
        self._check(image, prompts)
        height, width = image.shape[-2:]
        image = _pad_to_stride(image)
        addition = None
        if prompts is not None and self.prompt_stem is not None:
            addition = self.prompt_stem(_pad_to_stride(prompts))
        taps = self.encoder(image, stem_addition=addition)
        maps = [
            block(squeeze(tap))
            for tap, squeeze, block in zip(
                taps, self.squeeze, self.encoder_blocks, strict=True
            )
        ]
        deeper = maps[4]
        vectors, routing, decoded = [], [], []
        traces: dict[str, Tensor] = {}
        for number, level in enumerate(self.levels, start=1):
            deeper, vector, weights, found = level(
                deeper, maps[4 - number], maps[5 - number]
            )
            vectors.append(vector)
            decoded.append(deeper)
            routing.append(_routing(number, weights))
            if explain:
                traces |= {f"{key}/D{number}": value for key, value in found.items()}
        logits = self.head(deeper)[..., :height, :width]  # (B, K, H, W)
        pooled = [block_map.mean(dim=(2, 3)) for block_map in maps[1:]]
        embedding = self.embed(torch.cat([*pooled, *vectors], dim=1))  # (B, D)
        return SegmentationOutput(
            logits=logits,
            class_logits=self.classify(embedding),
            routing=tuple(routing),
            features=(decoded[3], decoded[2], decoded[1]),
            embedding=embedding,
            traces=traces,
        )

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
        mask = _pad_to_stride(mask)
        return self.region_head(output.features, output.embedding, mask)

    def _check(self, image: Tensor, prompts: Tensor | None) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ModelOptionError(
                f"Input has shape {tuple(image.shape)}; expected"
                f" (B, {self.in_channels}, H, W). Convert the image first."
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


def _squeeze(have: int, want: int) -> nn.Module:
    if have == want:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(have, want, 1, bias=False), nn.BatchNorm2d(want), nn.ReLU()
    )


def _decoder_levels(widths: _Widths, dropout: float) -> Sequence[DecoderLevel]:
    deeper = (widths.taps[4], *widths.decoder[:3])
    return [
        DecoderLevel(
            in_channels=deeper[number],
            skip_channels=widths.taps[3 - number],
            channels=widths.decoder[number],
            source_channels=widths.taps[4 - number],
            widths=widths,
            dropout=dropout,
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


def _routing(number: int, weights: Tensor) -> Routing:
    return Routing(
        stage=f"D{number}",
        experts=("segmentation", "classification"),
        weights=weights,
        chosen=weights.argsort(dim=1, descending=True),
    )


def _pad_to_stride(image: Tensor) -> Tensor:
    """Pad bottom and right with zeros to a multiple of the network's stride."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % _STRIDE, 0, -height % _STRIDE))


@register_model
def decoder_interaction(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 0,
    prompts: bool = False,
) -> nn.Module:
    """Build the paper's network on EfficientNet-B4 (57.4 M parameters; for GPUs)."""
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
        dropout=0.3,
    )


@register_model
def decoder_interaction_lite(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
) -> nn.Module:
    """Build the same topology on EfficientNet-Lite0, for a click on two CPU cores.

    The taps are squeezed by 1x1 convolutions, the widths shrunk; nothing is left out.
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
        dropout=0.1,
    )
