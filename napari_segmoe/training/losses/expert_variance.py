"""Expert-variance loss: all experts of a router should be used about equally."""

from torch import Tensor

EPSILON = 1e-10


def expert_variance_loss(gates: Tensor) -> Tensor:
    """Return the squared coefficient of variation of the experts' use.

    An expert's use is the sum of its gate probabilities over the batch, before top-k.
    0 where all are used equally, N - 1 where one of N does everything. In a batch of
    one it punishes every confident gate; use larger batches.

    Parameters
    ----------
    gates : Tensor, (B, M, N)
        Probabilities of M routers over N experts, e.g. ``state["gates"]`` of UTANet's
        ``encode``.

    Returns
    -------
    Tensor, ()
        Mean over routers. The paper adds 1e-3 of it to the mask loss.

    Raises
    ------
    ValueError
        If the shape is not (B, M, N) with B, M, N >= 1.

    Notes
    -----
    Eq. (11) of UTANet. The authors' code sums over the M routers and divides the
    variance by N - 1: for four of each, 16/3 times this value.
    """
    if gates.ndim != 3 or gates.numel() == 0:
        raise ValueError(
            f"Gates have shape {tuple(gates.shape)}; expected (images, routers,"
            " experts), none of them 0."
        )
    use = gates.sum(dim=0)  # (M, N)
    mean = use.mean(dim=1)
    return (use.var(dim=1, unbiased=False) / (mean + EPSILON).square()).mean()
