"""All explanations of one answer."""

from collections.abc import Callable

from napari_segmoe.inference.devices import one_thread
from napari_segmoe.inference.explanations.attention import explain_attention
from napari_segmoe.inference.explanations.branches import explain_branches
from napari_segmoe.inference.explanations.canvas import Canvas
from napari_segmoe.inference.explanations.depth import explain_depth
from napari_segmoe.inference.explanations.experts import explain_experts
from napari_segmoe.inference.explanations.geometry import explain_geometry
from napari_segmoe.inference.explanations.routing import explain_routing
from napari_segmoe.inference.explanations.tasks import explain_tasks
from napari_segmoe.inference.explanations.uncertainty import explain_uncertainty
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.types import Explanation, ExplanationGroup

_MAKERS: tuple[Callable[[Canvas], list[Explanation]], ...] = (
    explain_geometry,
    explain_uncertainty,
    explain_experts,
    explain_routing,
    explain_attention,
    explain_tasks,
    explain_branches,
    explain_depth,
)
_PROBE_PX = 64


def explain_answer(
    answer: WindowAnswer, network: WindowNetwork, shape: tuple[int, int]
) -> tuple[Explanation, ...]:
    """Return the explanations that an answer holds, heading by heading.

    Needs no further run of the network.

    Parameters
    ----------
    answer : WindowAnswer
        Made with ``explain=True``.
    network : WindowNetwork
        Gave the answer.
    shape : (H, W)
        The image's size; all maps have it. Where the network's window does not reach,
        they are 0 (the distance -1).
    """
    canvas = Canvas(answer, network, shape)
    with one_thread():
        return tuple(one for make in _MAKERS for one in make(canvas))


def missing_explanations(network: WindowNetwork) -> dict[str, str]:
    """Return why groups of explanations never come from a network.

    Found out by running it once on a small empty image.

    Returns
    -------
    dict of str to str
        One sentence for each `ExplanationGroup` that the network lacks.
    """
    answer = network.probe(_PROBE_PX)
    found = explain_answer(answer, network, (_PROBE_PX, _PROBE_PX))
    given = {one.group for one in found}
    name = network.card.model
    return {
        str(group): _REASONS[group].format(name=name)
        for group in ExplanationGroup
        if group not in given
    }


_REASONS = {
    ExplanationGroup.GEOMETRY: (
        "{name} predicts neither distance nor boundary; semi_moe does."
    ),
    ExplanationGroup.UNCERTAINTY: "{name} gives no probabilities.",
    ExplanationGroup.EXPERTS: (
        "{name} has no experts that share the work; utanet and semi_moe have."
    ),
    ExplanationGroup.ROUTING: (
        "{name} has no gates: each of its parts is always asked in full."
    ),
    ExplanationGroup.ATTENTION: "{name} has no attention maps.",
    ExplanationGroup.TASKS: (
        "{name} has no tasks that inform each other; decoder_interaction and semi_moe"
        " have."
    ),
    ExplanationGroup.BRANCHES: "{name} has no parallel branches to compare.",
    ExplanationGroup.DEPTH: (
        "{name} has no earlier outputs or cells to compare; mixsearch has."
    ),
}
