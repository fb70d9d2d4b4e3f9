"""The way prompts enter a network."""

from torch import Tensor, nn

PROMPT_CHANNELS = 5


class PromptStem(nn.Module):
    """Turn prompt maps into an addition to a network's first convolution.

    Free of biases, so that all-zero prompts add exactly zero, and its last
    convolution starts at zero, so that attaching it changes no output bit.

    Parameters
    ----------
    out_channels : int
        Channels of the network's first convolution.
    stride : int
        Stride of that convolution.
    """

    def __init__(self, out_channels: int, *, stride: int, hidden: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(PROMPT_CHANNELS, hidden, 3, padding=1, bias=False)
        self.activation = nn.ReLU()
        self.last = nn.Conv2d(
            hidden, out_channels, 3, stride=stride, padding=1, bias=False
        )
        nn.init.zeros_(self.last.weight)

    def forward(self, prompts: Tensor) -> Tensor:
        """Return the addition, (B, out_channels, H/stride, W/stride).

        Parameters
        ----------
        prompts : Tensor, (B, 5, H, W)
            Positive, negative, previous probability, box interior, mode plane;
            all in 0..1.
        """
        return self.last(self.activation(self.first(prompts)))
