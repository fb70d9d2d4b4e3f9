"""What each expert adds at each place."""

import torch
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
    found: list[Explanation] = []
    for stage, experts in _by_stage(canvas, "contribution").items():
        found += _contributions(canvas, stage, experts)
    return found + _energies(canvas)


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
    largest, place = up_to(*maps.values()), name_of_stage(stage)
    found = []
    if len(maps) > 1:
        leader = leading(
            maps,
            key=f"dominant/{stage}",
            name=f"Leading expert {_where(stage)}",
            group=_GROUP,
            description=(
                f"The expert that adds most to {place} at each place; the weights"
                " behind it are one number each for the whole image."
            ),
        )
        found.append(leader)
    found += [
        make_map(
            f"contribution/{stage}/{expert}",
            f"{capitalise(expert)} {_where(stage)}",
            values,
            value_range=largest,
            group=_GROUP,
            description=(
                f"What {name_of_expert(expert)} adds to {place} at each place: the"
                " strength of its features times its weight, which is one number for"
                " the whole image."
            ),
        )
        for expert, values in maps.items()
    ]
    return found


def _energies(canvas: Canvas) -> list[Explanation]:
    """Return each expert's own strength; once where all stages share the expert."""
    stages = _by_stage(canvas, "energy")
    first = next(iter(stages.values()), {})
    shared = all(
        experts.keys() == first.keys()
        and all(torch.equal(experts[name], first[name]) for name in first)
        for experts in stages.values()
    )
    if shared:
        return _energies_of(canvas, "", first)
    return [
        one
        for stage, experts in stages.items()
        for one in _energies_of(canvas, stage, experts)
    ]


def _energies_of(
    canvas: Canvas, stage: str, experts: dict[str, Tensor]
) -> list[Explanation]:
    maps = {
        expert: canvas.paint(canvas.on_grid(trace)) for expert, trace in experts.items()
    }
    largest = up_to(*maps.values())
    place = f" {_where(stage)}" if stage else ""
    return [
        make_map(
            f"energy/{stage}/{expert}" if stage else f"energy/{expert}",
            f"Features of {name_of_expert(expert)}{place}",
            values,
            value_range=largest,
            group=_GROUP,
            colormap="viridis",
            description=(
                f"How strongly {name_of_expert(expert)} responds at each place before"
                " any weight is applied, so also where it was not asked."
            ),
        )
        for expert, values in maps.items()
    ]


def name_of_expert(expert: str) -> str:
    """Return an expert's name as part of a sentence: "expert 2", "the mask expert"."""
    return expert if expert[-1:].isdigit() else f"the {expert}"


def name_of_stage(stage: str) -> str:
    """Return a stage's name as part of a sentence: "stage S1", "the mask"."""
    return f"stage {stage}" if stage[-1:].isdigit() else f"the {stage}"


def capitalise(name: str) -> str:
    """Return a name with a capital first letter, the others as they are."""
    return name[:1].upper() + name[1:]


def _where(stage: str) -> str:
    """Return a stage as the end of a title: "at stage S1", "for the mask"."""
    name = name_of_stage(stage)
    return f"at {name}" if name.startswith("stage") else f"for {name}"
