"""Why the network answered as it did: maps and tables."""

import numpy as np

from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.types import Explanation


def explain_answer(
    answer: WindowAnswer, network: WindowNetwork, shape: tuple[int, int]
) -> tuple[Explanation, ...]:
    """Return the explanations that this network's answer holds.

    Parameters
    ----------
    answer : WindowAnswer
        Made with ``explain=True``.
    network : WindowNetwork
        Enlarges maps to the image.
    shape : (H, W)
        The image's size.
    """
    found = [_uncertainty(answer, network, shape)]
    for name, trace in answer.output.traces.items():
        key, _, level = name.partition("/")
        if key != "attention":
            continue
        values = trace.float()[0, 0].cpu().numpy()
        found.append(
            Explanation(
                kind="map",
                name=f"Attention gate {level}",
                values=network.enlarge(values, answer.window, shape),
                labels=(),
                value_range=(0.0, 1.0),
                description=(
                    f"How much of the encoder's detail level {level} let through at"
                    " each place."
                ),
            )
        )
    if answer.output.routing:
        found.append(_routing(answer))
    return tuple(found)


def _uncertainty(
    answer: WindowAnswer, network: WindowNetwork, shape: tuple[int, int]
) -> Explanation:
    p = np.clip(answer.probability, 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return Explanation(
        kind="map",
        name="Uncertainty",
        values=network.enlarge(entropy.astype(np.float32), answer.window, shape),
        labels=(),
        value_range=(0.0, 1.0),
        description="Entropy of the mask probability in bits; 1 is a coin toss.",
    )


def _routing(answer: WindowAnswer) -> Explanation:
    routing = answer.output.routing
    rows = [stage.weights.float()[0].cpu().numpy() for stage in routing]
    stages = ", ".join(stage.stage for stage in routing)
    return Explanation(
        kind="table",
        name="Task weights (UPA)",
        values=np.stack(rows).astype(np.float32),
        labels=routing[0].experts,
        value_range=(0.0, 1.0),
        description=(
            f"How far each decoder level ({stages}, one row each) follows the enhanced"
            " features of either task; one number per image, not per pixel."
        ),
    )
