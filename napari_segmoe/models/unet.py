"""The plain U-Net that serves Semi-MoE as an expert.

Vu et al., "Semi-MoE", BMVC 2025: widths 64 to 1024, two convolutions a level, nearest
upsampling followed by a convolution. Kept apart from the head, since the gate wants
the last map and not the scores.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAPER_WIDTHS = (64, 128, 256, 512, 1024)


class ConvBlock(nn.Sequential):
    """A 3x3 convolution with bias, batch norm and ReLU; keeps the size."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class DoubleConv(nn.Module):
    """Two `ConvBlock`, with room for an addition to the first convolution's output."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, channels)
        self.second = ConvBlock(channels, channels)

    def forward(self, x: Tensor, addition: Tensor | None = None) -> Tensor:
        """Return (B, channels, h, w) for (B, in_channels, h, w)."""
        if addition is None:
            return self.second(self.first(x))
        convolution, norm, activation = self.first
        return self.second(activation(norm(convolution(x) + addition)))


class UpLevel(nn.Module):
    """One level of a decoder: upsample, convolve, join the skip, convolve twice.

    Parameters
    ----------
    in_channels, skip_channels, channels : int
        Channels of the deeper map, of the skip and of the result.
    """

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.up = ConvBlock(in_channels, channels)
        self.join = DoubleConv(channels + skip_channels, channels)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """Return (B, channels, 2h, 2w).

        Parameters
        ----------
        deeper : Tensor, (B, in_channels, h, w)
        skip : Tensor, (B, skip_channels, 2h, 2w)
        """
        up = F.interpolate(deeper, scale_factor=2.0, mode="nearest")
        up = self.up(up)  # (B, channels, 2h, 2w)
        return self.join(torch.cat([skip, up], dim=1))


class UNetDecoder(nn.Module):
    """The way up of a U-Net.

    Parameters
    ----------
    skip_channels : tuple of int
        Channels of the encoder's maps, finest first, the deepest included.
    widths : tuple of int
        Channels of the decoder's levels, finest first; one less than the maps.
    """

    def __init__(self, skip_channels: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        deeper = (*widths[1:], skip_channels[-1])
        self.levels = nn.ModuleList(
            UpLevel(deeper[level], skip_channels[level], widths[level])
            for level in range(len(widths))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the decoded maps, finest first.

        Parameters
        ----------
        maps : list of Tensor
            The encoder's maps, finest first, each half the size of the one before.
        """
        decoded = [maps[-1]]
        for level, skip in zip(reversed(self.levels), reversed(maps[:-1]), strict=True):
            decoded.append(level(decoded[-1], skip))
        return decoded[:0:-1]


class UNet(nn.Module):
    """U-Net without a head; 34.527 M parameters with the paper's widths and a head.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    widths : tuple of int
        Channels of the levels, finest first; the paper's are `PAPER_WIDTHS`.
    """

    def __init__(
        self, *, in_channels: int, widths: tuple[int, ...] = PAPER_WIDTHS
    ) -> None:
        super().__init__()
        into = (in_channels, *widths[:-1])
        self.down = nn.ModuleList(
            DoubleConv(before, after)
            for before, after in zip(into, widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = UNetDecoder(widths, widths[:-1])

    def forward(
        self, image: Tensor, stem_addition: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Return the decoded maps, finest first, and the deepest map.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
            Sides are multiples of 2^(levels - 1).
        stem_addition : Tensor, (B, widths[0], H, W), or None
            Added to the first convolution's output, before its norm.
        """
        maps = self.descend(image, stem_addition)
        return self.decoder(maps), maps[-1]

    def descend(
        self, image: Tensor, stem_addition: Tensor | None = None
    ) -> list[Tensor]:
        """Return the maps on the way down, finest first."""
        first, *deeper = self.down
        maps = [first(image, stem_addition)]  # (B, widths[0], H, W)
        for block in deeper:
            maps.append(block(self.pool(maps[-1])))
        return maps


def initialise(module: nn.Module) -> None:
    """Draw weights as Semi-MoE's code does; to be used with ``apply``.

    He's normal initialisation over the inputs, batch norms around 1 with a deviation
    of 0.02, biases zero.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_in")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
