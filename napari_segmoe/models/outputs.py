"""What every network returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """Who was asked at one stage, and how much.

    Attributes
    ----------
    stage : str
        Name of the stage, e.g. "D1".
    experts : tuple of str
        Names of the experts (E of them).
    weights : Tensor, (B, E)
        Weight of each expert; each row sums to 1.
    chosen : Tensor, (B, k) int64
        Experts that were asked, most weighty first.
    """

    stage: str
    experts: tuple[str, ...]
    weights: Tensor
    chosen: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationOutput:
    """Output of every segmentation network's ``forward``.

    Attributes
    ----------
    logits : Tensor, (B, K, H, W)
        Mask scores, same H and W as the input. K = 1: sigmoid; K >= 2: softmax,
        background first.
    class_logits : Tensor, (B, C), or None
        Scores of the image's classes.
    distance : Tensor, (B, 1, H, W), or None
        Signed distance, positive inside, tanh range.
    boundary : Tensor, (B, 1, H, W), or None
        Boundary score; its sigmoid is the probability. Of two channels, the second
        minus the first.
    auxiliary : tuple of Tensor, (B, K, h, w)
        Deep-supervision heads.
    routing : tuple of Routing
        Who was asked, how much.
    features : tuple of Tensor, (B, c, h, w)
        Maps that a region head pools, finest first.
    embedding : Tensor, (B, D), or None
        Vector before the image classifier; context for a region head.
    traces : mapping of str to Tensor
        Inner maps for explanations; filled only when asked for.
    expert_outputs : mapping of str to Tensor, (B, c, H, W)
        What experts with heads of their own say alone, by the expert's name, on the
        scale of the field that the expert stands for.
    """

    logits: Tensor
    class_logits: Tensor | None = None
    distance: Tensor | None = None
    boundary: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()
    routing: tuple[Routing, ...] = ()
    features: tuple[Tensor, ...] = ()
    embedding: Tensor | None = None
    traces: Mapping[str, Tensor] = field(default_factory=dict)
    expert_outputs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def foreground(self) -> Tensor:
        """Scores whose sigmoid is the foreground probability, (B, 1, H, W) float32."""
        return foreground_scores(self.logits)


def foreground_scores(logits: Tensor) -> Tensor:
    """Return scores whose sigmoid is the foreground probability.

    Parameters
    ----------
    logits : Tensor, (B, K, H, W)
        K = 1: sigmoid; K >= 2: softmax, background first.

    Returns
    -------
    Tensor, (B, 1, H, W) float32
        For K >= 2 the log odds of 1 - softmax(logits)[:, 0].
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        return logits
    return logits[:, 1:].logsumexp(dim=1, keepdim=True) - logits[:, :1]
