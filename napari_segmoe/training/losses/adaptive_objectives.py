"""Adaptive multi-objective loss: tasks weigh themselves by learned scales."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PAPER_SHARES = (1.0, 0.5, 1.0)
PAPER_PULL = 0.4
# Settings of the scales' own optimiser (Adam) in the reference.
PAPER_LEARNING_RATE = 0.05
PAPER_WEIGHT_DECAY = 5e-5


class AdaptiveObjectives(nn.Module):
    """Add up task losses with learned weights (AMOL).

    Parameters
    ----------
    shares : sequence of float
        Fixed factor of each task: mask 1, distance 0.5, boundary 1 in the reference.
    pull : float
        How strongly a task's scale is held back; the reference's 0.4.
    start : float
        Value of all scales at the start; the reference's 1.

    Attributes
    ----------
    scales : nn.Parameter, (T,)
        The learned s; train them by an optimiser of their own, Adam with
        `PAPER_LEARNING_RATE` and `PAPER_WEIGHT_DECAY`.

    Raises
    ------
    ValueError
        If there is no task, or a share or the pull is not positive.

    Notes
    -----
    Vu et al., BMVC 2025: L = sum over tasks of share e^-s L_t + pull e^s. Its minimum
    over s is 2 sqrt(pull share L_t), at s = ln(share L_t / pull) / 2; so it acts like a
    sum of square roots, and a task's weight grows as the task is solved.
    """

    def __init__(
        self,
        shares: Sequence[float] = PAPER_SHARES,
        *,
        pull: float = PAPER_PULL,
        start: float = 1.0,
    ) -> None:
        super().__init__()
        if not shares or min(shares) <= 0 or pull <= 0:
            raise ValueError(
                f"Shares {tuple(shares)} and pull {pull} must be positive numbers."
            )
        self.pull = pull
        self.scales = nn.Parameter(torch.full((len(shares),), float(start)))
        self.shares: Tensor
        self.register_buffer("shares", torch.tensor(tuple(shares)), persistent=False)

    @property
    def weights(self) -> Tensor:
        """Present weight of each task's loss, (T,), without gradient."""
        return (self.shares * torch.exp(-self.scales)).detach()

    def forward(self, losses: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum and the scales' cost, a scalar in float32 or finer.

        Parameters
        ----------
        losses : sequence of T scalar Tensor
            Losses of the tasks, not negative, in the order of ``shares``.

        Raises
        ------
        ValueError
            If their number is not that of the tasks, or one is no scalar.
        """
        if len(losses) != len(self.scales) or any(loss.ndim for loss in losses):
            shapes = [tuple(loss.shape) for loss in losses]
            raise ValueError(
                f"Losses have shapes {shapes}; expected {len(self.scales)} scalars."
            )
        scales = self.scales
        weighted = self.shares * torch.exp(-scales) * torch.stack(list(losses))
        return (weighted + self.pull * torch.exp(scales)).sum()
