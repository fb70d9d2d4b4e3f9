"""What tasks tell each other, and what the proxy of their uncertainty sees."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from napari_segmoe.inference.explanations.canvas import SHARES, Canvas, make_map
from napari_segmoe.inference.explanations.experts import capitalise
from napari_segmoe.models.outputs import SegmentationOutput, foreground_scores
from napari_segmoe.types import Explanation, ExplanationGroup

_GROUP = ExplanationGroup.TASKS
_DECODER_LEVEL = re.compile(r"D\d+")


def explain_tasks(canvas: Canvas) -> list[Explanation]:
    """Return changes by task interaction, UPA's variances, experts on their own."""
    return [*_changes(canvas), *_variances(canvas), *_alone(canvas)]


def is_task_change(place: str) -> bool:
    """Whether the trace "change/place" is one of task interaction (TIM)."""
    return _DECODER_LEVEL.fullmatch(place) is not None


def _changes(canvas: Canvas) -> list[Explanation]:
    return [
        canvas.strength(
            f"change/{place}",
            f"Task interaction {place}",
            trace,
            group=_GROUP,
            description=(
                f"How much knowing the class changed the features of level {place}"
                " (TIM) at each place."
            ),
        )
        for place, trace in canvas.traces("change")
        if is_task_change(place)
    ]


def _variances(canvas: Canvas) -> list[Explanation]:
    return [
        canvas.strength(
            f"variance/{place}",
            f"Feature variance {place}",
            trace,
            group=_GROUP,
            colormap="inferno",
            description=(
                f"How unusual the features of level {place} are at each place; the mean"
                " of this map is the uncertainty by which the tasks are weighed (UPA)."
            ),
        )
        for place, trace in canvas.traces("variance")
    ]


def _alone(canvas: Canvas) -> list[Explanation]:
    """Return where an expert's own head differs from the network's answer."""
    output = canvas.answer.output
    found = []
    for expert, own in output.expert_outputs.items():
        field = expert.partition(" ")[0]
        together = _TOGETHER[field](output)
        if together is None:
            continue
        difference = (_SCALED[field](own) - _SCALED[field](together)).abs()
        found.append(
            make_map(
                f"alone/{expert}",
                f"{capitalise(expert)} alone",
                canvas.paint(canvas.on_grid(difference)),
                value_range=SHARES,
                group=_GROUP,
                colormap="inferno",
                description=(
                    f"Where the {field} that the {expert} gives alone differs"
                    f" from the {field} that all experts give together; 0 is no"
                    " difference."
                ),
            )
        )
    return found


def _share_of_range(distance: Tensor) -> Tensor:
    return (distance.float().clamp(-1, 1) + 1) / 2


def _probability(scores: Tensor) -> Tensor:
    return foreground_scores(scores).sigmoid()


_TOGETHER: Mapping[str, Callable[[SegmentationOutput], Tensor | None]] = {
    "mask": lambda output: output.logits,
    "distance": lambda output: output.distance,
    "boundary": lambda output: output.boundary,
}
_SCALED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mask": _probability,
    "distance": _share_of_range,
    "boundary": _probability,
}
