"""Images of several data sets mixed into one, and the loss on such a mixture.

Eqs. (2) to (4) of Liu et al. 2021, "MixSearch".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_segmoe.models.search_space import softmax
from napari_segmoe.training.search.config import SearchConfig, Weighting
from napari_segmoe.training.search.images import SearchSet

_SMOOTH = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A batch of mixed images.

    Attributes
    ----------
    image : Tensor, (B, 3, n, n) float32
        The weighted sums, normalised to mean 0.5 and deviation 0.5.
    masks : Tensor, (k, B, 1, n, n) float32
        The masks of the images mixed.
    weights : Tensor, (k, B) float32
        Their weights; they sum to 1.
    """

    image: Tensor
    masks: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "Mixture":
        """Return the mixture on a device."""
        return Mixture(
            self.image.to(device), self.masks.to(device), self.weights.to(device)
        )


def mixing_weights(
    rng: np.random.Generator,
    count: int,
    *,
    k: int,
    mu: float,
    weighting: Weighting = Weighting.SOFTMAX,
) -> NDArray[np.float64]:
    """Draw the weights of ``count`` mixtures, (count, k); each row sums to 1.

    Parameters
    ----------
    k : int
        Images in a mixture.
    mu : float
        Of Beta(mu, mu), or of the Dirichlet distribution.
    weighting : Weighting
        SOFTMAX, Eq. (3), stays near the mean: of k = 3 in 0.155 to 0.576.
    """
    if weighting is Weighting.DIRICHLET:
        return rng.dirichlet([mu] * k, size=count)
    return softmax(rng.beta(mu, mu, size=(count, k)))


def draw_mixture(
    sets: Sequence[SearchSet], rng: np.random.Generator, config: SearchConfig
) -> Mixture:
    """Draw a batch; the images of a mixture come from different sets if possible.

    Each set is as likely as the others, whatever its size. A share of the samples,
    ``config.clean_share``, is left unmixed: the composite holds originals as well.
    """
    count, k = config.batch_size, config.k
    weights = mixing_weights(rng, count, k=k, mu=config.mu, weighting=config.weighting)
    weights[rng.random(count) < config.clean_share] = np.eye(k)[0]
    images = torch.empty(k, count, *sets[0].images.shape[1:])
    masks = torch.empty(k, count, *sets[0].masks.shape[1:])
    for row in range(count):
        order = rng.permutation(len(sets))
        for part in range(k):
            chosen = sets[order[part % len(sets)]]
            index = int(rng.integers(len(chosen)))
            pair = chosen.images[index].float(), chosen.masks[index].float()
            if rng.random() < 0.5:
                pair = pair[0].flip(-1), pair[1].flip(-1)
            images[part, row], masks[part, row] = pair
    share = torch.from_numpy(weights.T.astype(np.float32))  # (k, B)
    mixed = (share[:, :, None, None, None] * images).sum(dim=0)  # (B, 3, n, n), Eq. (2)
    return Mixture(normalise(mixed), masks, share)


def normalise(image: Tensor) -> Tensor:
    """Bring 0..255 to mean 0.5 and deviation 0.5, as everywhere."""
    return (image / 255 - 0.5) / 0.5


def mixed_loss(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor,
    *,
    cross_entropy_weight: float,
    dice_weight: float,
) -> Tensor:
    """Return the mean over a batch of the weighted losses against each mask.

    As in the released code, sum_i w_i L(prediction, y_i); of cross-entropy that is
    the loss on the mixed mask, Eq. (4), of Dice it is not.

    Parameters
    ----------
    logits : Tensor, (B, 1, n, n)
    masks : Tensor, (k, B, 1, n, n)
    weights : Tensor, (k, B)
    """
    mixed = (weights[:, :, None, None, None] * masks).sum(dim=0)
    entropy = F.binary_cross_entropy_with_logits(logits.float(), mixed)
    probability = logits.float().sigmoid()
    both = (probability * masks).flatten(2).sum(dim=-1)  # (k, B)
    either = probability.flatten(1).sum(dim=-1) + masks.flatten(2).sum(dim=-1)
    dice = 1 - (2 * both + _SMOOTH) / (either + _SMOOTH)
    return (
        cross_entropy_weight * entropy
        + dice_weight * (weights * dice).sum(dim=0).mean()
    )
