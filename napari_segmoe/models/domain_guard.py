"""How far an image's deep map is from those of the images a network was trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DomainGuard(nn.Module):
    """Score pooled maps by probabilistic principal components.

    Its numbers are buffers: they travel with the weights, and training leaves them
    alone. `fill` sets them.

    Parameters
    ----------
    features : int
        Pooled numbers of an image, D: see `pool_maps`.
    components : int
        Principal components, k < D.

    Notes
    -----
    Mahalanobis distance under Tipping and Bishop 1999 (J. R. Stat. Soc. B
    61:611-622), Eq. (7): variances of the k components as they are, one variance for
    all other directions. Divided by D and rooted, so that 1 is an ordinary image.
    """

    centre: Tensor
    scale: Tensor
    basis: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, features: int, components: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("basis", torch.zeros(components, features))
        self.register_buffer("variances", torch.zeros(components))
        self.register_buffer("rest", torch.ones(1))

    def fill(self, pooled: Tensor) -> None:
        """Describe pooled maps, (N, D), N > 2, as half precision keeps them."""
        pooled = pooled.double()
        centre = pooled.mean(dim=0)
        deviation = pooled.std(dim=0)
        scale = deviation + 1e-3 * deviation.mean() + 1e-6
        points = (pooled - centre) / scale
        _, singular, axes = torch.linalg.svd(points, full_matrices=False)
        variances = singular.square() / (len(points) - 1)
        kept = len(self.variances)
        rest = variances[kept:].sum() / max(points.shape[1] - kept, 1)
        found = {
            "centre": centre,
            "scale": scale,
            "basis": _at_least_rows(axes[:kept], kept),
            "variances": _at_least_rows(variances[:kept], kept),
            "rest": rest.clamp_min(1e-3)[None],
        }
        for name, value in found.items():
            getattr(self, name).copy_(value.half().float())

    def forward(self, pooled: Tensor) -> Tensor:
        """Return scores, (B,), of pooled maps, (B, D); 1 is ordinary."""
        points = (pooled.float() - self.centre) / self.scale
        along = points @ self.basis.T
        explained = (along.square() / (self.variances + self.rest)).sum(dim=1)
        beyond = points.square().sum(dim=1) - along.square().sum(dim=1)
        total = explained + beyond.clamp_min(0) / self.rest
        return (total / points.shape[1]).sqrt()


def pool_maps(maps: Sequence[Tensor], inside: Tensor) -> Tensor:
    """Return mean and standard deviation of each map's channels, (B, D) float32.

    Parameters
    ----------
    maps : sequence of Tensor, (B, c, h, w)
        A network's.
    inside : Tensor, (B, 1, H, W)
        Which part of the input shows the image, in 0..1; the rest is padding.
    """
    return torch.cat([_pool(found.float(), inside) for found in maps], dim=1)


def _pool(found: Tensor, inside: Tensor) -> Tensor:
    small = nn.functional.interpolate(
        inside.float(), size=found.shape[-2:], mode="area"
    )
    weight = small / small.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    mean = (found * weight).sum(dim=(2, 3))
    apart = (found - mean[..., None, None]).square()
    deviation = (apart * weight).sum(dim=(2, 3)).sqrt()
    return torch.cat([mean, deviation], dim=1)


def _at_least_rows(values: Tensor, rows: int) -> Tensor:
    """Append zeros where few images leave fewer components than there is room for."""
    missing = rows - len(values)
    if missing <= 0:
        return values
    return torch.cat([values, values.new_zeros((missing, *values.shape[1:]))])
