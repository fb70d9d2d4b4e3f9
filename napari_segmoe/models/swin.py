"""Swin transformer stages for maps of any size.

Liu et al. 2021, "Swin Transformer", as used by ResFormer (Bui et al., Fig. 3d).
Maps are padded to whole windows; padded tokens are masked, so that they change
nothing. The relative-position table depends on the window only: weights trained at
one image size fit every other.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.models.channel_attention import EfficientChannelAttention

# Finite, so that softmax stays finite in half precision; exp(-1e4) is exactly zero.
_FORBIDDEN = -1e4
Size = tuple[int, int]


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with relative position bias.

    Parameters
    ----------
    channels : int
        Channels C.
    heads : int
        Attention heads; must divide ``channels``.
    window : int
        Side of a window, in tokens.
    shift : int, default: 0
        By how many tokens the windows are moved (SW-MSA: ``window // 2``). A side no
        longer than the window is not shifted: one window covers it.

    Raises
    ------
    ModelOptionError
        If ``heads`` does not divide ``channels``, or the window or shift is impossible.
    """

    def __init__(
        self, channels: int, *, heads: int, window: int, shift: int = 0
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ModelOptionError(
                f"{channels} channels cannot be split among {heads} attention heads."
                " Choose a number of heads that divides the channels."
            )
        if window < 1 or not 0 <= shift < window:
            raise ModelOptionError(
                f"Window {window} with shift {shift} is impossible; expected a window"
                " of at least 1 token and a shift from 0 to window - 1."
            )
        self.heads = heads
        self.window = window
        self.shift = shift
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.position_bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_bias, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the attended tokens, same shape as ``tokens``, (B, h, w, C)."""
        height, width = tokens.shape[1:3]
        window = (min(self.window, height), min(self.window, width))
        shift = (
            self.shift if height > self.window else 0,
            self.shift if width > self.window else 0,
        )
        tokens = F.pad(tokens, (0, 0, 0, -width % window[1], 0, -height % window[0]))
        if any(shift):
            tokens = tokens.roll((-shift[0], -shift[1]), dims=(1, 2))
        regions = token_regions(
            (height, width), window=window, shift=shift, device=tokens.device
        )
        tokens = self._attend(tokens, window, regions)
        if any(shift):
            tokens = tokens.roll(shift, dims=(1, 2))
        return self.proj(tokens[:, :height, :width])

    def _attend(self, tokens: Tensor, window: Size, regions: Tensor | None) -> Tensor:
        """Attend inside windows, (B, h, w, C) to (B, h, w, C)."""
        batch, height, width, channels = tokens.shape
        grid = (batch, height // window[0], window[0], width // window[1], window[1])
        count, area = grid[1] * grid[3], window[0] * window[1]
        depth = channels // self.heads
        qkv = self.qkv(tokens).reshape(*grid, 3, self.heads, depth)
        # One copy: (3, B, rows, columns, heads, wh, ww, depth)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).contiguous()
        bias = self.relative_bias(window)  # (heads, N, N)
        if regions is None:
            qkv = qkv.view(3, batch * count, self.heads, area, depth)
        else:
            apart = regions[:, :, None] != regions[:, None, :]  # (nW, N, N)
            bias = bias.masked_fill(apart[:, None], _FORBIDDEN).flatten(0, 1)
            # Windows and heads in one axis, so that images of a batch share the mask.
            qkv = qkv.view(3, batch, count * self.heads, area, depth)
        query, key, value = qkv.unbind()
        attended = attend(query, key, value, bias.to(qkv.dtype))
        attended = attended.reshape(batch, grid[1], grid[3], self.heads, *window, depth)
        attended = attended.permute(0, 1, 4, 2, 5, 3, 6)
        return attended.reshape(batch, height, width, channels)

    def relative_bias(self, window: Size) -> Tensor:
        """Return the bias between the tokens of a window.

        Parameters
        ----------
        window : (int, int)
            Sides, in tokens; at most the ``window`` the module was built with.

        Returns
        -------
        (heads, N, N) Tensor
            Row: query; column: key; tokens in row-major order.
        """
        device = self.position_bias.device
        y, x = torch.meshgrid(
            torch.arange(window[0], device=device),
            torch.arange(window[1], device=device),
            indexing="ij",
        )
        y, x = y.flatten(), x.flatten()
        down = y[:, None] - y[None, :] + self.window - 1
        across = x[:, None] - x[None, :] + self.window - 1
        index = down * (2 * self.window - 1) + across  # (N, N)
        return self.position_bias[index].permute(2, 0, 1)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Return ``softmax(query key^T / sqrt(d) + bias) value``.

    On CPUs in half precision torch 2.13's fused kernel takes more than twice the time
    of two batched products on windows of 64 tokens; so these are used there.

    Parameters
    ----------
    query, key, value : Tensor, (B, heads, N, d)
    bias : Tensor, (heads, N, N)
        Of the same dtype.

    Returns
    -------
    (B, heads, N, d) Tensor
    """
    half = query.dtype in (torch.bfloat16, torch.float16)
    if query.device.type != "cpu" or not half:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
    scale = query.shape[-1] ** -0.5
    bias = bias.expand(query.shape[0], *bias.shape).flatten(0, 1)
    # Without autocast, which would copy the scores; softmax sums in float32 anyway.
    with torch.autocast("cpu", enabled=False):
        scores = torch.baddbmm(
            bias, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=scale
        )
        attended = torch.bmm(scores.softmax(dim=-1), value.flatten(0, 1))
    return attended.view(value.shape)


def token_regions(
    size: Size, *, window: Size, shift: Size, device: torch.device
) -> Tensor | None:
    """Say which tokens of a window may see each other.

    A shifted window at the border holds tokens of opposite sides of the map, which
    must not meet; neither must tokens of the map and of the padding.

    Parameters
    ----------
    size : (int, int)
        Map without padding, in tokens.
    window, shift : (int, int)
        Sides of a window and their shift, in tokens.
    device : torch.device
        Where the answer lives.

    Returns
    -------
    (nW, wh * ww) uint8 Tensor or None
        Tokens with the same number see each other; None where all of a window do.
    """
    if not any(shift) and all(s % w == 0 for s, w in zip(size, window, strict=True)):
        return None
    down, across = (
        _side_regions(size[axis], window[axis], shift[axis], device) for axis in (0, 1)
    )
    regions = 3 * down.view(-1, 1, window[0], 1) + across.view(1, -1, 1, window[1])
    return regions.flatten(0, 1).flatten(1)  # (nW, wh * ww)


def _side_regions(length: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Give each token of one shifted side its number: 0 map, 1 wrapped, 2 padding."""
    padded = length + -length % window
    regions = torch.zeros(padded, dtype=torch.uint8, device=device)
    regions[:shift] = 1
    regions[length:] = 2
    return regions.roll(-shift)


class FeedForward(nn.Module):
    """Linear, GELU, Linear, and channel attention over the whole map.

    Parameters
    ----------
    channels : int
        Channels C.
    ratio : int, default: 4
        Hidden channels over C.
    channel_attention : bool, default: True
        Whether ECA follows, as in the reference; the paper has none (False).

    Notes
    -----
    The reference views its tokens as a map without moving the channels first, which
    mixes tokens with channels. Here each channel is weighed as a channel.
    """

    def __init__(
        self, channels: int, *, ratio: int = 4, channel_attention: bool = True
    ) -> None:
        super().__init__()
        self.first = nn.Linear(channels, ratio * channels)
        self.second = nn.Linear(ratio * channels, channels)
        self.attention = EfficientChannelAttention() if channel_attention else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Return new tokens, same shape as ``tokens``, (B, h, w, C)."""
        tokens = self.second(F.gelu(self.first(tokens)))
        if self.attention is None:
            return tokens
        return self.attention.weigh_tokens(tokens)


class DropPath(nn.Module):
    """Leave a residual branch out for some images while training.

    Parameters
    ----------
    rate : float
        Share of images without the branch, in 0..1 (1 excluded).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Return ``branch``, zero for some images, scaled up for the others."""
        if not self.training or self.rate == 0:
            return branch
        shape = (branch.shape[0], *(1 for _ in branch.shape[1:]))
        kept = branch.new_empty(shape).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)


class SwinBlock(nn.Module):
    """Window attention and feed-forward layer, each normed first and added.

    Parameters
    ----------
    channels, heads, window, shift : int
        See `WindowAttention`.
    drop_path : float, default: 0
        See `DropPath`.
    channel_attention : bool, default: True
        See `FeedForward`.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        window: int,
        shift: int = 0,
        drop_path: float = 0.0,
        channel_attention: bool = True,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = WindowAttention(
            channels, heads=heads, window=window, shift=shift
        )
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, channel_attention=channel_attention)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return new tokens, same shape as ``tokens``, (B, h, w, C)."""
        attended = self.attention(self.attention_norm(tokens))
        tokens = tokens + self.drop_path(attended)
        fed = self.feed_forward(self.feed_forward_norm(tokens))
        return tokens + self.drop_path(fed)


class SwinStage(nn.Module):
    """Blocks with plain and shifted windows by turns, on maps.

    Parameters
    ----------
    channels, heads, window : int
        See `WindowAttention`.
    drop_paths : tuple of float
        Drop-path rate of each block; their number is the stage's depth.
    channel_attention : bool, default: True
        See `FeedForward`.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        window: int,
        drop_paths: tuple[float, ...] = (0.0, 0.0),
        channel_attention: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(
                channels,
                heads=heads,
                window=window,
                shift=number % 2 * (window // 2),
                drop_path=rate,
                channel_attention=channel_attention,
            )
            for number, rate in enumerate(drop_paths)
        )
        self._initialise()

    def _initialise(self) -> None:
        """Draw truncated normal weights of deviation 0.02, as Swin's authors."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape as ``x``, (B, C, h, w)."""
        tokens = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.permute(0, 3, 1, 2)  # (B, C, h, w)
