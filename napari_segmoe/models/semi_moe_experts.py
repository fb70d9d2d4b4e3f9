"""The experts of Semi-MoE: three U-Nets, or three decoders on one encoder."""

from dataclasses import dataclass

from torch import Tensor, nn

from napari_segmoe.models.efficientnet import efficientnet_lite0_encoder
from napari_segmoe.models.unet import UNet, UNetDecoder, initialise

EXPERTS = ("mask expert", "distance expert", "boundary expert")


@dataclass(frozen=True, slots=True, eq=False)
class ExpertMaps:
    """What the experts hand to the gates.

    Attributes
    ----------
    last : tuple of Tensor, (B, c, h, w)
        Last map of each expert, in the order of `EXPERTS`.
    deeper : tuple of Tensor
        The two coarser maps of the mask expert, finest first.
    deepest : Tensor, (B, d, h', w')
        For image classes.
    """

    last: tuple[Tensor, ...]
    deeper: tuple[Tensor, ...]
    deepest: Tensor


class SeparateExperts(nn.Module):
    """Three U-Nets that share no weights, as in the paper.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    widths : tuple of int
        Channels of each U-Net's levels, finest first.

    Attributes
    ----------
    channels, deep_channels : int
        Channels of `ExpertMaps.last` and `ExpertMaps.deepest`.
    deeper_channels : tuple of int
        Channels of `ExpertMaps.deeper`.
    stride, map_stride, stem_stride, stem_channels : int
        Of the whole network, of the last maps, and of the first convolutions; each
        expert gets its own third of the stem's channels.
    """

    def __init__(self, *, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels, self.deep_channels = widths[0], widths[-1]
        self.deeper_channels = tuple(widths[1:-1][:2])
        self.stride = 2 ** (len(widths) - 1)
        self.map_stride = self.stem_stride = 1
        self.stem_channels = widths[0] * len(EXPERTS)
        self.experts = nn.ModuleList(
            UNet(in_channels=in_channels, widths=widths) for _ in EXPERTS
        )
        self.apply(initialise)

    def forward(self, image: Tensor, stem_addition: Tensor | None) -> ExpertMaps:
        """Return the experts' maps of a padded image; ``map_stride`` is 1."""
        additions: tuple[Tensor | None, ...] = (None,) * len(self.experts)
        if stem_addition is not None:
            additions = stem_addition.chunk(len(self.experts), dim=1)
        found = [
            expert(image, addition)
            for expert, addition in zip(self.experts, additions, strict=True)
        ]
        (_, *deeper), deepest = found[0]
        last = tuple(decoded[0] for decoded, _ in found)
        return ExpertMaps(last, tuple(deeper[:2]), deepest)

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the first expert's two deepest maps of a padded image."""
        first = self.experts[0]
        assert isinstance(first, UNet)
        return tuple(first.descend(image)[-2:])


class SharedExperts(nn.Module):
    """Three U-Net decoders on one EfficientNet-Lite0, for two CPU cores.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    taps : tuple of int
        The encoder's five maps are squeezed to these by 1x1 convolutions.
    widths : tuple of int
        Channels of each decoder's four levels, finest first.

    Attributes
    ----------
    channels, deep_channels, deeper_channels, stride, map_stride, stem_stride,
    stem_channels
        As of `SeparateExperts`.
    """

    def __init__(
        self, *, in_channels: int, taps: tuple[int, ...], widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        encoder = efficientnet_lite0_encoder(in_channels=in_channels)
        self.channels, self.deep_channels = widths[0], taps[-1]
        self.deeper_channels = tuple(widths[1:3])
        self.stride = 32
        self.map_stride = self.stem_stride = 2
        self.stem_channels = encoder.stem_channels
        self.squeeze = nn.ModuleList(
            _squeeze(have, want)
            for have, want in zip(encoder.tap_channels, taps, strict=True)
        )
        self.decoders = nn.ModuleList(UNetDecoder(taps, widths) for _ in EXPERTS)
        self.apply(initialise)
        self.encoder = encoder

    def forward(self, image: Tensor, stem_addition: Tensor | None) -> ExpertMaps:
        """Return the experts' maps of a padded image, at half its size."""
        taps = self.encoder(image, stem_addition=stem_addition)
        maps = [
            squeeze(tap) for squeeze, tap in zip(self.squeeze, taps, strict=True)
        ]  # H/2, H/4, H/8, H/16, H/32
        decoded = [decoder(maps) for decoder in self.decoders]
        last = tuple(levels[0] for levels in decoded)
        return ExpertMaps(last, tuple(decoded[0][1:3]), maps[-1])

    def look(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return two of the encoder's maps of a padded image."""
        return self.encoder.look(image)


def _squeeze(have: int, want: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(have, want, 1, bias=False),
        nn.BatchNorm2d(want),
        nn.ReLU(inplace=True),
    )
