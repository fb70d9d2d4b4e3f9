"""In which order layers lie in the viewer's list."""

from collections.abc import Iterable
from typing import Any

from napari.layers import Layer


def index_below(layers: Any, above: Iterable[Layer]) -> int:
    """Return the index for a new layer below others; on top where there are none."""
    return min((layers.index(one) for one in above), default=len(layers))


def raise_above(layers: Any, image: Layer, ours: Iterable[Layer]) -> None:
    """Move layers above an image that was added on top of them, in their order."""
    for layer in tuple(ours):
        if layers.index(layer) < layers.index(image):
            layers.move(layers.index(layer), len(layers))
