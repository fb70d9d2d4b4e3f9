"""Task-Adaptive Mixture of Skip Connections (TA-MoSC), the skips of UTANet.

"UTANet", AAAI 2025: a feature stripe (Eq. 3-4), one router a decoder stage (Eq. 5-6),
experts shared by all routers (Eq. 7-8), one docker a stage (Eq. 9-10). Structure
follows the authors' code; the paper's variants are options of `MixtureOptions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.mixture_experts import (
    PaperExperts,
    ReferenceExperts,
    mix_maps,
)
from napari_segmoe.models.network import steer_weights
from napari_segmoe.types import Steering

STAGES = ("S1", "S2", "S3", "S4")


@dataclass(frozen=True, slots=True)
class MixtureOptions:
    """How TA-MoSC routes and mixes.

    Attributes
    ----------
    experts : int
        Experts shared by all stages (N); the paper's 4.
    train_top_k, infer_top_k : int
        Experts asked per image and stage while training (the paper's 2) and otherwise
        (the paper's 3 for one class, 4 for many). The code has one number, 2.
    gate_pool : "average" or "max"
        Pooling of the stripe before the routers: the code's average, Eq. (5)'s max.
    expert : "reference" or "paper"
        Conv-Conv-BN-ReLU-Conv as in the code, or (Conv-BN-ReLU) twice, Eq. (7).
    reweigh : "renormalise" or "softmax"
        Weights of the chosen experts: probabilities over their sum, so that they keep
        their meaning, or the code's second softmax, which flattens them. The paper
        only sets the others to zero.
    mixture_norm : bool
        Whether each stage's mixture is batch-normalised, as Eq. (8) has it and the code
        has not.
    """

    experts: int = 4
    train_top_k: int = 2
    infer_top_k: int = 3
    gate_pool: Literal["average", "max"] = "average"
    expert: Literal["reference", "paper"] = "reference"
    reweigh: Literal["renormalise", "softmax"] = "renormalise"
    mixture_norm: bool = False

    def __post_init__(self) -> None:
        _check_choice("gate_pool", self.gate_pool, ("average", "max"))
        _check_choice("expert", self.expert, ("reference", "paper"))
        _check_choice("reweigh", self.reweigh, ("renormalise", "softmax"))
        if self.experts < 1:
            raise ModelOptionError(f"experts is {self.experts}; give 1 or more.")
        for name in ("train_top_k", "infer_top_k"):
            if not 1 <= getattr(self, name) <= self.experts:
                raise ModelOptionError(
                    f"{name} is {getattr(self, name)}; there are {self.experts}"
                    f" experts. Give 1 to {self.experts}."
                )


class FeatureStripe(nn.Module):
    """Encoder maps at half resolution, fused by one 1x1 convolution (Eq. 3-4).

    A 1x1 convolution and bilinear enlargement commute, so maps coarser than the
    stripe are convolved before they are enlarged: the result is Eq. (4)'s to
    rounding, at a quarter of its cost.

    Parameters
    ----------
    in_channels : sequence of int
        Channels of the encoder maps, finest first.
    channels : int
        Channels of the stripe.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.in_channels = list(in_channels)
        self.conv = nn.Conv2d(sum(in_channels), channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the stripe, (B, channels, H/2, W/2).

        Parameters
        ----------
        maps : sequence of Tensor, (B, in_channels[i], h, w)
            The first at full resolution.
        """
        height, width = maps[0].shape[-2:]
        size = (height // 2, width // 2)
        bias, total = self.conv.bias, None
        weights = torch.split(self.conv.weight, self.in_channels, dim=1)
        for one, weight in zip(maps, weights, strict=True):
            if one.shape[-1] > size[1]:
                part = F.conv2d(_resize(one, size), weight, bias)
            else:
                part = _resize(F.conv2d(one, weight, bias), size)
            total = part if total is None else total + part
            bias = None
        assert total is not None
        return F.relu(self.norm(total), inplace=True)


class Routers(nn.Module):
    """One gate a decoder stage, all reading the pooled stripe (Eq. 5-6).

    Gates are one number per image and expert, not per pixel.
    """

    def __init__(self, channels: int, *, stages: int, experts: int, pool: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(stages, channels, experts))
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)
        self.pool = pool

    def forward(self, stripe: Tensor) -> Tensor:
        """Return gate probabilities, (B, stages, experts) float32; rows sum to 1."""
        with torch.autocast(device_type=stripe.device.type, enabled=False):
            full = stripe.float()
            pooled = (  # (B, C)
                full.amax(dim=(2, 3)) if self.pool == "max" else full.mean(dim=(2, 3))
            )
            scores = torch.einsum("bc,sce->bse", pooled, self.weight.float())
            return scores.softmax(dim=2)


class Docker(nn.Module):
    """Fit a mixture to its decoder stage: convolve, then resize.

    Eq. (9) resizes first and has no batch norm; this is the authors' code.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, mixture: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, out_channels, *size) for (B, channels, h, w)."""
        if not self.training:  # training needs all pixels for the batch statistics
            mixture = _keep_pixels_read(mixture, size)
        return _resize(F.relu(self.norm(self.conv(mixture)), inplace=True), size)


class MixtureOfSkips(nn.Module):
    """TA-MoSC: four encoder maps in, four skips of the same shapes out.

    `look` does what does not depend on how experts are weighed; `weigh` and `mix` do
    the rest, so experts can be pinned or vetoed without computing them again.

    Parameters
    ----------
    skip_channels : sequence of four int
        Channels of e1 to e4, which the skips have too.
    channels : int
        Channels of the stripe; 64 in the paper.
    options : MixtureOptions
    """

    def __init__(
        self,
        skip_channels: Sequence[int],
        channels: int = 64,
        *,
        options: MixtureOptions | None = None,
    ) -> None:
        super().__init__()
        options = options or MixtureOptions()
        self.options = options
        self.expert_names = tuple(f"expert {n + 1}" for n in range(options.experts))
        self.fuse = FeatureStripe(skip_channels, channels)
        self.routers = Routers(
            channels,
            stages=len(STAGES),
            experts=options.experts,
            pool=options.gate_pool,
        )
        family = PaperExperts if options.expert == "paper" else ReferenceExperts
        self.experts = family(channels, experts=options.experts)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels) if options.mixture_norm else nn.Identity()
            for _ in STAGES
        )
        self.dockers = nn.ModuleList(Docker(channels, out) for out in skip_channels)

    def look(
        self, maps: Sequence[Tensor], seen: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the stripe, the gates and every expert's map.

        Parameters
        ----------
        maps : sequence of four Tensor
            e1 to e4, finest first.
        seen : (h, w)
            Rows and columns of the stripe that show the image, not its padding; only
            these are pooled by the routers.

        Returns
        -------
        tuple
            (B, C, H/2, W/2), (B, 4, experts) and (B, experts, C, H/2, W/2).
        """
        stripe = self.fuse(maps)
        gates = self.routers(stripe[..., : seen[0], : seen[1]])
        return stripe, gates, self.experts(stripe)

    def weigh(
        self,
        gates: Tensor,
        *,
        steering: Steering | None = None,
        extra: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Choose experts and weigh them.

        Parameters
        ----------
        gates : Tensor, (B, 4, experts)
        steering : Steering or None
            Experts that must or must not be asked, by stage "S1" to "S4" or "*".
        extra : Tensor, (B, 4, experts) bool, or None
            Experts asked besides; see `find_unused`.

        Returns
        -------
        tuple
            Weights, (B, 4, experts), rows sum to 1; and for each stage the chosen
            experts, (B, k), most weighty first.

        Raises
        ------
        ModelOptionError
            If all experts of a stage are vetoed or a name is unknown.
        """
        weights, chosen = [], []
        for number, stage in enumerate(STAGES):
            own = gates[:, number]
            weight, best = steer_weights(
                own,
                stage=stage,
                experts=self.expert_names,
                most=self.top_k,
                steering=steering,
            )
            more = None if extra is None else extra[:, number]
            if more is not None or self.options.reweigh == "softmax":
                weight = _reweigh(own, best, more=more, how=self.options.reweigh)
            weights.append(weight)
            chosen.append(best)
        return torch.stack(weights, dim=1), chosen

    def mix(
        self, expert_maps: Tensor, weights: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Return the four skips (Eq. 8-10), finest first.

        Parameters
        ----------
        expert_maps : Tensor, (B, experts, C, h, w)
        weights : Tensor, (B, 4, experts)
        sizes : sequence of four (int, int)
            Height and width of each skip.
        """
        mixtures = mix_maps(expert_maps, weights)  # (B, 4, C, h, w)
        return [
            docker(norm(mixtures[:, number]), size)
            for number, (norm, docker, size) in enumerate(
                zip(self.norms, self.dockers, sizes, strict=True)
            )
        ]

    @property
    def top_k(self) -> int:
        """Experts asked per image and stage in the present mode."""
        return self.options.train_top_k if self.training else self.options.infer_top_k


def find_unused(
    gates: Tensor, top_k: int, *, generator: Generator | None = None
) -> Tensor:
    """Give each expert that a stage asks for no image one random image of the batch.

    Parameters
    ----------
    gates : Tensor, (B, stages, experts)
    top_k : int
        Experts asked per image and stage.
    generator : torch.Generator or None
        On the CPU; chooses the images.

    Returns
    -------
    Tensor, (B, stages, experts) bool
        True where an image asks an expert besides its own ``top_k``.

    Notes
    -----
    Eq. (13-14). The expert's map joins that image's mixture with the expert's own gate
    probability, so its gate learns as well; the authors' code draws from the wrong
    index range and takes another expert's weight.
    """
    batch, _, experts = gates.shape
    chosen = gates.topk(min(top_k, experts), dim=2).indices
    asked = torch.zeros_like(gates, dtype=torch.bool).scatter(2, chosen, value=True)
    unused = ~asked.any(dim=0)  # (stages, experts)
    image = torch.randint(batch, tuple(unused.shape), generator=generator)
    lucky = F.one_hot(image.to(gates.device), batch).bool()  # (stages, experts, B)
    return lucky.permute(2, 0, 1) & unused


def _reweigh(gates: Tensor, chosen: Tensor, *, more: Tensor | None, how: str) -> Tensor:
    """Weigh the chosen experts and those asked besides; rows sum to 1."""
    kept = torch.zeros_like(gates, dtype=torch.bool).scatter(1, chosen, value=True)
    if more is not None:
        kept = kept | more
    if how == "softmax":
        return gates.masked_fill(~kept, -torch.inf).softmax(dim=1)
    # A probability that underflowed still counts as the smallest share.
    shares = gates.clamp_min(1e-12) * kept
    return shares / shares.sum(dim=1, keepdim=True)


def _keep_pixels_read(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Leave out what bilinear shrinking to a quarter does not read: 12 pixels of 16."""
    height, width = size
    if x.shape[-2:] != (4 * height, 4 * width):
        return x
    blocks = x.reshape(*x.shape[:2], height, 4, width, 4)
    return blocks[..., 1:3, :, 1:3].reshape(*x.shape[:2], 2 * height, 2 * width)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly; shrinking to a half or a quarter is a mean of 2x2 pixels."""
    height, width = size
    if x.shape[-2:] == size:
        return x
    x = _keep_pixels_read(x, size)
    if x.shape[-2:] == (2 * height, 2 * width):
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelOptionError(f"{name} is {value!r}; use one of {', '.join(known)}.")
