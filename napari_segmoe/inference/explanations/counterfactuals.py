"""What the mask would be without one of the experts."""

from collections.abc import Iterable

from napari_segmoe.inference.explanations.canvas import (
    SHARES,
    SIGNED,
    Canvas,
    Map,
    make_map,
)
from napari_segmoe.inference.explanations.experts import name_of_expert
from napari_segmoe.models.outputs import Routing
from napari_segmoe.types import Explanation, ExplanationGroup, Steering

_GROUP = ExplanationGroup.EXPERTS


def vetoes(canvas: Canvas) -> dict[str, Steering]:
    """Return the steering that leaves out each expert, by its name.

    An expert is left out at every stage that has others. Empty for networks whose
    routing is not among experts (no contributions are traced).
    """
    if not any(True for _ in canvas.traces("contribution")):
        return {}
    stages = [one for one in canvas.answer.output.routing if len(one.experts) > 1]
    return {
        expert: Steering(vetoed=dict.fromkeys(_having(stages, expert), (expert,)))
        for expert in dict.fromkeys(name for one in stages for name in one.experts)
    }


def explain_without(canvas: Canvas, expert: str, probability: Map) -> list[Explanation]:
    """Return the mask without an expert, and what the expert changed.

    Parameters
    ----------
    canvas : Canvas
        Of the answer with all experts.
    expert : str
    probability : (n, n) float32
        Of the mask without the expert, on the window's grid.
    """
    change = canvas.answer.probability - probability
    name = name_of_expert(expert)
    return [
        make_map(
            f"counterfactual/{expert}",
            f"Mask without {name}",
            canvas.paint(probability),
            value_range=SHARES,
            group=_GROUP,
            colormap="viridis",
            description=(
                f"Mask probability if {name} were never asked and the others took"
                " over its share."
            ),
        ),
        make_map(
            f"effect/{expert}",
            f"Effect of {name}",
            canvas.paint(change),
            value_range=SIGNED,
            group=_GROUP,
            colormap="RdBu_r",
            description=(
                f"What {name} does to the mask probability: above 0 it argues for"
                " the object, below 0 against it."
            ),
        ),
    ]


def _having(stages: Iterable[Routing], expert: str) -> list[str]:
    return [one.stage for one in stages if expert in one.experts]
