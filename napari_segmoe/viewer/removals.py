"""Remove layers of ours while napari removes others."""

from collections.abc import Iterable
from typing import Any

from napari.layers import Layer


class Removals:
    """Knows whether layers go because the user deletes all that are selected.

    napari then goes through the selection one by one, and fails if one is gone
    already: those are its own to remove, not ours. To be made after the owner's own
    connection to ``layers.events.removed``, so that a removal ends after its handler.

    Parameters
    ----------
    layers : LayerList
        The viewer's layers.
    """

    def __init__(self, layers: Any) -> None:
        self._layers = layers
        self._depth = 0  # removals within removals
        self._is_selection = False
        layers.events.removing.connect(self._on_removing)
        layers.events.removed.connect(self._on_removed)

    def remove(self, ours: Iterable[Layer | None]) -> None:
        """Remove those of ``ours`` that are there and that napari does not remove."""
        is_selection = self._depth > 0 and self._is_selection
        for layer in ours:
            if layer is None or layer not in self._layers:
                continue
            if not (is_selection and layer in self._layers.selection):
                self._layers.remove(layer)

    def close(self) -> None:
        """Let go of the layers."""
        self._layers.events.removing.disconnect(self._on_removing)
        self._layers.events.removed.disconnect(self._on_removed)

    def _on_removing(self, event: Any) -> None:
        if self._depth == 0:
            layer = self._layers[event.index]
            self._is_selection = layer in self._layers.selection
        self._depth += 1

    def _on_removed(self, event: Any) -> None:
        self._depth -= 1
