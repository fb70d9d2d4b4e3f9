"""UTANet: a ResNet U-Net whose skips are a task-adaptive mixture (TA-MoSC).

"UTANet", AAAI 2025. Topology and widths follow the authors' code, formulae the paper;
where they differ an option says so (`MixtureOptions`, ``parity``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.mixture_skips import (
    STAGES,
    MixtureOfSkips,
    MixtureOptions,
    find_unused,
)
from napari_segmoe.models.network import ImageHead, SegmentationNetwork, State
from napari_segmoe.models.outputs import Routing, SegmentationOutput
from napari_segmoe.models.registry import register_model
from napari_segmoe.models.resnet import ResNetEncoder
from napari_segmoe.models.weights import load_tensors
from napari_segmoe.types import Steering

_STRIDE = 16


@dataclass(frozen=True, slots=True)
class _Widths:
    """All widths of one preset; ``decoder`` is coarsest first."""

    encoder: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int]
    decoder: tuple[int, int, int, int]
    stripe: int
    head: int


class UpBlock(nn.Module):
    """One decoder stage: enlarge, join the skip, convolve once."""

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, channels, 2, stride=2)
        self.up_norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(skip_channels + channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """Return (B, channels, h, w) for (B, in, h/2, w/2) and (B, skip, h, w)."""
        up = F.relu(self.up_norm(self.up(deeper)), inplace=True)  # (B, channels, h, w)
        joined = torch.cat([skip, up], dim=1)
        return F.relu(self.norm(self.conv(joined)), inplace=True)


class UnusedStem(nn.Module):
    """Layers of torchvision's ResNet34 that the authors' code holds but never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.fc = nn.Linear(512, 1000)


class UTANet(SegmentationNetwork):
    """ResNet encoder, mixture of skips, four decoder stages, mask head.

    Parameters
    ----------
    widths : _Widths
        All widths.
    classes : int
        Mask channels K.
    image_classes, object_classes : int
        Classes of the image head and of the region head, neither of which the paper
        has; 0 builds none.
    prompts : bool
        Whether a prompt stem is attached.
    mixture : MixtureOptions or None
        How skips are mixed; None passes e1 to e4 on as they are, the network of the
        paper's first training stage. All other parameters keep their names.
    """

    def __init__(
        self,
        *,
        widths: _Widths,
        in_channels: int,
        classes: int,
        image_classes: int,
        object_classes: int,
        prompts: bool,
        mixture: MixtureOptions | None,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            stride=_STRIDE,
            stem_channels=widths.encoder[0],
            stem_stride=1,
        )
        skips = widths.encoder[:4]
        self.encoder = ResNetEncoder(
            in_channels, widths=widths.encoder, depths=widths.depths
        )
        self.mixture = (
            MixtureOfSkips(skips, widths.stripe, options=mixture) if mixture else None
        )
        deeper = (widths.encoder[4], *widths.decoder[:3])
        self.decoder = nn.ModuleList(
            UpBlock(*channels)
            for channels in zip(deeper, reversed(skips), widths.decoder, strict=True)
        )
        self.head = nn.Sequential(
            nn.Conv2d(widths.decoder[3], widths.head, 1),
            nn.BatchNorm2d(widths.head),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths.head, classes, 1),
        )
        self.image_head = (
            ImageHead(widths.encoder[4], image_classes) if image_classes else None
        )
        if object_classes:
            self.attach_region_head(
                tuple(reversed(widths.decoder[:3])),
                embedding_channels=128 if image_classes else 0,
                classes=object_classes,
            )
        if prompts:
            self.attach_prompt_stem()
        self._trains_mixture_only = False

    def encode(self, image: Tensor, prompts: Tensor | None = None) -> State:
        """Compute all that does not depend on steering.

        Returns
        -------
        mapping
            "maps": e1 to e5; "size": (H, W) of the image; with a mixture also
            "stripe", (B, C, H/2, W/2), "gates", (B, 4, experts), probabilities before
            top-k (for `expert_variance_loss`), and "experts", (B, experts, C, H/2,
            W/2).
        """
        height, width = image.shape[-2:]
        image, addition = self.prepare(image, prompts)
        maps = self.encoder(image, stem_addition=addition)
        state: dict[str, Any] = {"maps": maps, "size": (height, width)}
        if self.mixture is not None:
            seen = _half(height, width)
            stripe, gates, experts = self.mixture.look(maps[:4], seen)
            state |= {"stripe": stripe, "gates": gates, "experts": experts}
        return state

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return e4 and e5; see `SegmentationNetwork.look`."""
        return self.encoder(self.prepare(image, None)[0])[-2:]

    def decode(
        self, state: State, explain: bool = False, steering: Steering | None = None
    ) -> SegmentationOutput:
        """Weigh the experts and finish the prediction."""
        maps, (height, width) = state["maps"], state["size"]
        skips: Sequence[Tensor] = maps[:4]
        routing: tuple[Routing, ...] = ()
        traces: dict[str, Tensor] = {}
        if self.mixture is not None:
            skips, routing = self._mix(self.mixture, state, steering)
            if explain:
                traces = _trace(state, routing)
        elif steering is not None:
            raise ModelOptionError(
                "This network has plain skips and no experts to pin or veto. Build it"
                ' with skips="mixture".'
            )
        decoded = [maps[4]]
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            decoded.append(block(decoded[-1], skip))
        scores, embedding = None, None
        if self.image_head is not None:
            scores, embedding = self.image_head(maps[4])
        return SegmentationOutput(
            logits=self.head(decoded[4])[..., :height, :width],  # (B, K, H, W)
            class_logits=scores,
            routing=routing,
            features=(decoded[3], decoded[2], decoded[1]),
            embedding=embedding,
            traces=traces,
        )

    def ask_unused_experts(
        self, state: State, *, generator: Generator | None = None
    ) -> State:
        """Let each expert that no image asks for join one random image's mixture.

        A training step calls it between `encode` and `decode`; see `find_unused`.
        """
        if self.mixture is None:
            return state
        gates = state["gates"]
        extra = find_unused(gates, self.mixture.top_k, generator=generator)
        return {**state, "extra": extra}

    def load_first_stage(self, state: Mapping[str, Tensor]) -> None:
        """Take all but the mixture from a network trained with plain skips.

        Raises
        ------
        WeightsError
            If a tensor besides the mixture's is missing, unknown or of another shape.
        """
        own = {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.startswith("mixture.")
        }
        load_tensors(self, {**state, **own}, source="the first stage")

    def train_mixture_only(self) -> None:
        """Freeze all but the mixture and the region head: the second training stage.

        Frozen batch norms keep their statistics, also after ``train()``. The region
        head, which the paper lacks, reads maps that the mixture changes.
        """
        self._trains_mixture_only = True
        for name, module in self.named_children():
            module.requires_grad_(name in {"mixture", "region_head"})
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training or eval mode; frozen parts stay in eval mode."""
        super().train(mode)
        if self._trains_mixture_only:
            for name, module in self.named_children():
                module.train(mode and name in {"mixture", "region_head"})
        return self

    def _mix(
        self, mixture: MixtureOfSkips, state: State, steering: Steering | None
    ) -> tuple[list[Tensor], tuple[Routing, ...]]:
        weights, chosen = mixture.weigh(
            state["gates"], steering=steering, extra=state.get("extra")
        )
        sizes = [tuple(e.shape[-2:]) for e in state["maps"][:4]]
        routing = tuple(
            Routing(stage, mixture.expert_names, weights[:, number], chosen[number])
            for number, stage in enumerate(STAGES)
        )
        return mixture.mix(state["experts"], weights, sizes), routing


def _trace(state: State, routing: tuple[Routing, ...]) -> dict[str, Tensor]:
    """Return maps for explanations, cut to the image at half its resolution."""
    height, width = _half(*state["size"])
    stripe = state["stripe"][..., :height, :width].float()
    traces = {"feature/stripe": torch.linalg.vector_norm(stripe, dim=1, keepdim=True)}
    experts = state["experts"][..., :height, :width].float()
    energy = torch.linalg.vector_norm(experts, dim=2)  # (B, experts, h, w)
    for stage in routing:
        for number, name in enumerate(stage.experts):
            own = energy[:, number, None]
            weight = stage.weights[:, number, None, None, None].float()
            traces[f"energy/{stage.stage}/{name}"] = own
            traces[f"contribution/{stage.stage}/{name}"] = weight * own
    return traces


def _half(height: int, width: int) -> tuple[int, int]:
    return (height + 1) // 2, (width + 1) // 2


def _mixture_options(skips: str, routing: Mapping[str, Any]) -> MixtureOptions | None:
    if skips not in {"mixture", "plain"}:
        raise ModelOptionError(f'skips is {skips!r}; use "mixture" or "plain".')
    options = MixtureOptions(**routing)
    return options if skips == "mixture" else None


@register_model
def utanet(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 0,
    object_classes: int = 0,
    prompts: bool = False,
    skips: Literal["mixture", "plain"] = "mixture",
    parity: Literal["live", "code"] = "live",
    **routing: Any,
) -> nn.Module:
    """Build the paper's network on ResNet34 (23.8 M parameters; for GPUs).

    Parameters
    ----------
    skips : "mixture" or "plain"
        "plain" is the first training stage: e1 to e4 go straight to the decoder.
    parity : "live" or "code"
        "code" adds the 0.523 M parameters that the authors' code holds and never runs,
        and takes its second softmax unless ``reweigh`` says otherwise. Its single
        top-k is ``infer_top_k=2``.
    **routing
        Fields of `MixtureOptions`.
    """
    if parity not in {"live", "code"}:
        raise ModelOptionError(f'parity is {parity!r}; use "live" or "code".')
    if parity == "code":
        routing = {"reweigh": "softmax", **routing}
    network = UTANet(
        widths=_Widths(
            encoder=(64, 64, 128, 256, 512),
            depths=(3, 4, 6, 3),
            decoder=(256, 128, 64, 32),
            stripe=64,
            head=16,
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        mixture=_mixture_options(skips, routing),
    )
    if parity == "code":
        network.unused_stem = UnusedStem()
    return network


@register_model
def utanet_lite(
    *,
    in_channels: int = 3,
    classes: int = 1,
    image_classes: int = 3,
    object_classes: int = 2,
    prompts: bool = True,
    skips: Literal["mixture", "plain"] = "mixture",
    **routing: Any,
) -> nn.Module:
    """Build the same topology, narrower and with ResNet18's depth, for two CPU cores.

    ``skips`` and ``routing`` are those of `utanet`.
    """
    return UTANet(
        widths=_Widths(
            encoder=(16, 32, 64, 128, 256),
            depths=(2, 2, 2, 2),
            decoder=(96, 48, 24, 16),
            stripe=24,
            head=16,
        ),
        in_channels=in_channels,
        classes=classes,
        image_classes=image_classes,
        object_classes=object_classes,
        prompts=prompts,
        mixture=_mixture_options(skips, routing),
    )
