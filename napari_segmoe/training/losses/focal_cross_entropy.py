"""Focal cross-entropy for classes."""

from torch import Tensor
from torch.nn import functional as F

IGNORED = -1


def focal_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    smoothing: float = 0.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean of (1 - p_t)^gamma * CE over rows whose target counts.

    Parameters
    ----------
    logits : Tensor, (B, C)
        Class scores.
    target : Tensor, (B,) int64
        Class numbers; -1 is ignored.
    gamma : float
        Focus; the paper's 2.
    smoothing : float
        Share of the target spread over all classes; 0 is the paper's.
    weights : Tensor, (C,), or None
        Factor of a row by its class; the mean stays one over rows.

    Returns
    -------
    Tensor, ()
        0 where every row is ignored.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Lin et al. 2017.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"Logits {tuple(logits.shape)} must be (B, C) and target"
            f" {tuple(target.shape)} (B,)."
        )
    counts = target != IGNORED
    if not bool(counts.any()):
        return logits.sum() * 0
    scores, wanted = logits[counts], target[counts]
    entropy = F.cross_entropy(
        scores, wanted, reduction="none", label_smoothing=smoothing
    )
    right = scores.softmax(dim=1).gather(1, wanted[:, None])[:, 0]
    focal = (1 - right).pow(gamma) * entropy
    return (focal if weights is None else focal * weights[wanted]).mean()
