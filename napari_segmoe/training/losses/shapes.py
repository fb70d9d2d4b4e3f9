"""The check that all mask losses share."""

from torch import Tensor


def check_same_shape(probability: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both are (B, 1, H, W) of one shape."""
    if probability.shape != target.shape or probability.ndim != 4:
        raise ValueError(
            f"Probability {tuple(probability.shape)} and target"
            f" {tuple(target.shape)} must both be (B, 1, H, W)."
        )
