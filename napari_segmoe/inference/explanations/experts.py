"""What each expert adds at each place."""

from torch import Tensor

from napari_segmoe.inference.explanations.canvas import (
    Canvas,
    leading,
    make_map,
    up_to,
)
from napari_segmoe.types import Explanation, ExplanationGroup

_GROUP = ExplanationGroup.EXPERTS


def explain_experts(canvas: Canvas) -> list[Explanation]:
    """Return contributions and the leading expert of each stage, and energies."""
    found = []
    for stage, experts in _by_stage(canvas, "contribution").items():
        found += _contributions(canvas, stage, experts)
    for stage, experts in _by_stage(canvas, "energy").items():
        found += _energies(canvas, stage, experts)
    return found


def _by_stage(canvas: Canvas, kind: str) -> dict[str, dict[str, Tensor]]:
    stages: dict[str, dict[str, Tensor]] = {}
    for rest, trace in canvas.traces(kind):
        stage, _, expert = rest.rpartition("/")
        stages.setdefault(stage, {})[expert] = trace
    return stages


def _contributions(
    canvas: Canvas, stage: str, experts: dict[str, Tensor]
) -> list[Explanation]:
    maps = {
        expert: canvas.paint(canvas.on_grid(trace)) for expert, trace in experts.items()
    }
    largest = up_to(*maps.values())
    found = [
        make_map(
            f"contribution/{stage}/{expert}",
            f"{_title(expert)} at {stage}",
            values,
            value_range=largest,
            group=_GROUP,
            description=(
                f"What {expert} adds at each place for {stage}: the strength of its"
                " features times its weight, which is one number for the whole image."
            ),
        )
        for expert, values in maps.items()
    ]
    if len(maps) > 1:
        leader = leading(
            maps,
            key=f"dominant/{stage}",
            name=f"Leading expert at {stage}",
            group=_GROUP,
            description=(
                f"The expert that adds most at each place for {stage}; the weights"
                " behind it are one number each for the whole image."
            ),
        )
        found.append(leader)
    return found


def _energies(
    canvas: Canvas, stage: str, experts: dict[str, Tensor]
) -> list[Explanation]:
    maps = {
        expert: canvas.paint(canvas.on_grid(trace)) for expert, trace in experts.items()
    }
    largest = up_to(*maps.values())
    place = f" at {stage}" if stage else ""
    return [
        make_map(
            f"energy/{stage}/{expert}" if stage else f"energy/{expert}",
            f"Features of {expert}{place}",
            values,
            value_range=largest,
            group=_GROUP,
            colormap="viridis",
            description=(
                f"How strongly {expert} responds at each place before any weight is"
                " applied, so also where it was not asked."
            ),
        )
        for expert, values in maps.items()
    ]


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
