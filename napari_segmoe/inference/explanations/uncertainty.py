"""How sure the network is of its mask."""

import numpy as np

from napari_segmoe.inference.explanations.canvas import SHARES, Canvas, Map, make_map
from napari_segmoe.types import Explanation, ExplanationGroup


def explain_uncertainty(canvas: Canvas) -> list[Explanation]:
    """Return the entropy of the mask probability."""
    entropy = entropy_bits(canvas.answer.probability)
    return [
        make_map(
            "uncertainty",
            "Uncertainty",
            canvas.paint(entropy),
            value_range=SHARES,
            group=ExplanationGroup.UNCERTAINTY,
            colormap="inferno",
            description=(
                "How undecided the mask is at each place: entropy of its probability"
                " in bits, 0 is certain and 1 is a coin toss."
            ),
        )
    ]


def entropy_bits(probability: Map) -> Map:
    """Return the entropy of a yes-or-no probability in bits, 0..1."""
    p = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return entropy.astype(np.float32)
