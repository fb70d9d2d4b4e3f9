"""ResNet of basic blocks, as U-Nets use it: a full-resolution stem and five maps."""

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016).

    Names of its parts are torchvision's, so that ResNet18 and ResNet34 weights fit.

    Parameters
    ----------
    in_channels, out_channels : int
        Widths; where they differ, or ``stride`` is not 1, the shortcut is a 1x1
        convolution.
    stride : int
        Of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, out, ceil(h / stride), ceil(w / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + shortcut, inplace=True)


def stack_blocks(
    in_channels: int, out_channels: int, *, count: int, stride: int = 1
) -> nn.Sequential:
    """Build one stage: ``count`` basic blocks, the first with width and stride."""
    first = BasicBlock(in_channels, out_channels, stride)
    rest = [BasicBlock(out_channels, out_channels) for _ in range(count - 1)]
    return nn.Sequential(first, *rest)


class ResNetEncoder(nn.Module):
    """ResNet stages behind a 3x3 stem that keeps the full resolution.

    ``layer1`` to ``layer4`` are named as in torchvision. The stem is new in every
    training, as UTANet's authors have it: no pretrained 7x7 convolution.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    widths : tuple of five int
        Channels of the stem and of the four stages; ResNet34 has 64, 64, 128, 256, 512.
    depths : tuple of four int
        Basic blocks of each stage; ResNet34 has 3, 4, 6, 3, ResNet18 2, 2, 2, 2.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        widths: tuple[int, int, int, int, int] = (64, 64, 128, 256, 512),
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
    ) -> None:
        super().__init__()
        self.widths = widths
        self.stem = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.layer1 = stack_blocks(widths[0], widths[1], count=depths[0])
        self.layer2 = stack_blocks(widths[1], widths[2], count=depths[1], stride=2)
        self.layer3 = stack_blocks(widths[2], widths[3], count=depths[2], stride=2)
        self.layer4 = stack_blocks(widths[3], widths[4], count=depths[3], stride=2)
        self._initialise()

    def forward(
        self, image: Tensor, stem_addition: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the maps e1 to e5.

        Parameters
        ----------
        image : Tensor, (B, in_channels, H, W)
            H and W multiples of 16.
        stem_addition : Tensor, (B, widths[0], H, W), or None
            Added to the first convolution's output, before its norm.

        Returns
        -------
        tuple of five Tensor, (B, widths[i], h, w)
            At strides 1, 2, 4, 8 and 16.
        """
        x = self.stem(image)  # (B, c1, H, W)
        if stem_addition is not None:
            x = x + stem_addition
        e1 = F.relu(self.stem_norm(x), inplace=True)
        e2 = self.layer1(F.max_pool2d(e1, 2))  # (B, c2, H/2, W/2)
        e3 = self.layer2(e2)  # (B, c3, H/4, W/4)
        e4 = self.layer3(e3)  # (B, c4, H/8, W/8)
        return e1, e2, e3, e4, self.layer4(e4)  # (B, c5, H/16, W/16)

    def _initialise(self) -> None:
        """He's normal initialisation over the outputs, as torchvision's ResNets."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
