"""Where attention lets features through."""

import re

from napari_segmoe.inference.explanations.canvas import SHARES, Canvas, make_map
from napari_segmoe.types import Explanation, ExplanationGroup

_DECODER_LEVEL = re.compile(r"D\d+")


def explain_attention(canvas: Canvas) -> list[Explanation]:
    """Return every attention map that is one number per place."""
    found = []
    for place, trace in canvas.traces("attention"):
        name, sentence = _words(place)
        found.append(
            make_map(
                f"attention/{place}",
                name,
                canvas.paint(canvas.on_grid(trace)),
                value_range=SHARES,
                group=ExplanationGroup.ATTENTION,
                colormap="viridis",
                description=sentence,
            )
        )
    return found


def _words(place: str) -> tuple[str, str]:
    if _DECODER_LEVEL.fullmatch(place):
        return (
            f"Attention gate {place}",
            f"How much of the encoder's detail decoder level {place} let through at"
            " each place: 0 nothing, 1 all of it.",
        )
    return (
        f"Attention {place}",
        f"How much of its features {place} keeps at each place: 0 nothing, 1 all.",
    )
