"""Heatmaps as layers: one tidy group between the image and our other layers."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from napari.layers import Image, Layer, Shapes
from psygnal import Signal

from napari_segmoe.session.session import Session
from napari_segmoe.types import Explanation, Prediction
from napari_segmoe.viewer.heatmap_drawing import (
    has_zero_line,
    make_heatmap,
    make_zero_line,
    update_heatmap,
    update_zero_line,
)
from napari_segmoe.viewer.keys import bind_keys
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import is_ours
from napari_segmoe.viewer.removals import Removals

LAYER_KINDS = ("map", "categories")


class HeatmapLayers:
    """Shows the chosen heatmaps of the present answer, and nothing else.

    A layer that the user removes is no longer chosen; one that was renamed or
    restyled is kept as it is and only gets newer values.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : Session
        Its session.
    layers : LayerSync
        Knows the image layer.
    """

    pointed_at = Signal(object)  # pixel (y, x) under the mouse, None off the image

    def __init__(self, viewer: Any, session: Session, layers: LayerSync) -> None:
        self._viewer = viewer
        self._session = session
        self._sync = layers
        self._maps: dict[str, Layer] = {}
        self._lines: dict[str, Shapes] = {}
        self._refused_lines: set[str] = set()  # the user removed them
        self._is_ours = False  # we remove layers ourselves: ignore the event
        # viewer -> session
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._removals = Removals(viewer.layers)  # hears of them after we did
        viewer.mouse_move_callbacks.append(self._on_mouse_moved)
        # session -> viewer
        session.image_changed.connect(self._on_image_changed)
        session.prediction_changed.connect(self._on_prediction_changed)
        session.explaining_changed.connect(self._on_explaining_changed)
        layers.image_placed.connect(self._on_image_placed)
        self._show()

    @property
    def group(self) -> tuple[Layer, ...]:
        """All layers of the group, bottom to top."""
        ours = (*self._maps.values(), *self._lines.values())
        return tuple(layer for layer in self._viewer.layers if layer in ours)

    def close(self) -> None:
        """Let go of viewer and session; the layers stay."""
        self._removals.close()
        self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        with suppress(ValueError):
            self._viewer.mouse_move_callbacks.remove(self._on_mouse_moved)
        self._session.image_changed.disconnect(self._on_image_changed)
        self._session.prediction_changed.disconnect(self._on_prediction_changed)
        self._session.explaining_changed.disconnect(self._on_explaining_changed)
        self._sync.image_placed.disconnect(self._on_image_placed)

    def _on_layer_removed(self, event: Any) -> None:
        if self._is_ours:
            return
        for key, layer in tuple(self._lines.items()):
            if layer is event.value:
                del self._lines[key]
                self._refused_lines.add(key)
        for key, layer in tuple(self._maps.items()):
            if layer is event.value:
                self._remove((key,))
                self._session.explaining.show(key, is_shown=False)

    def _on_mouse_moved(self, viewer: Any, event: Any) -> None:
        if self._sync.image_layer is None:
            return
        point = self._sync.pixel_at(event.position)
        self.pointed_at.emit(tuple(map(round, point)) if point else None)

    def _on_image_changed(self, _: object) -> None:
        self._remove(tuple(self._maps))

    def _on_prediction_changed(self, _: Prediction | None) -> None:
        self._show()

    def _on_explaining_changed(self) -> None:
        opacity = self._session.explaining.opacity
        for layer in self._maps.values():
            if layer.metadata.get("opacity") != opacity:
                layer.opacity = layer.metadata["opacity"] = opacity
        self._show(is_newer=False)

    def _on_image_placed(self, image: Image | None) -> None:
        if image is None:
            return
        placing = self._sync.placing()
        for layer in (*self._maps.values(), *self._lines.values()):
            layer.units, layer.affine = placing["units"], placing["affine"]
        self._show(is_newer=False)

    def _show(self, *, is_newer: bool = True) -> None:
        """Make, update and remove layers until the group shows what was chosen."""
        if self._sync.image_layer is None:
            return
        explaining = self._session.explaining
        found = ((key, explaining.find(key)) for key in explaining.shown)
        wanted = {key: one for key, one in found if one and one.kind in LAYER_KINDS}
        self._remove(tuple(key for key in self._maps if key not in wanted))
        for key, explanation in wanted.items():
            if key not in self._maps:
                self._add(key, explanation)
            elif is_newer:
                self._update(key, explanation)

    def _add(self, key: str, explanation: Explanation) -> None:
        placing = self._sync.placing()
        opacity = self._session.explaining.opacity
        layer = make_heatmap(explanation, placing, opacity=opacity)
        layer.metadata["opacity"] = opacity
        self._maps[key] = layer
        self._insert(layer)
        self._add_line(key, explanation)

    def _add_line(self, key: str, explanation: Explanation) -> None:
        if has_zero_line(explanation) and key not in self._refused_lines:
            self._lines[key] = make_zero_line(explanation, self._sync.placing())
            self._insert(self._lines[key])

    def _update(self, key: str, explanation: Explanation) -> None:
        update_heatmap(self._maps[key], explanation)
        if key in self._lines:
            update_zero_line(self._lines[key], explanation)

    def _insert(self, layer: Layer) -> None:
        """Add a layer on top of the group; the selection stays."""
        with self._sync.keeping_selection():
            self._viewer.layers.insert(self._top(), layer)
        bind_keys(layer, self._session, self._sync)

    def _top(self) -> int:
        """Return the index above image and group, below our other layers."""
        layers = self._viewer.layers
        start = layers.index(self._image()) + 1
        group = (*self._maps.values(), *self._lines.values())
        above = (
            index
            for index in range(start, len(layers))
            if is_ours(layers[index]) and layers[index] not in group
        )
        return next(above, len(layers))

    def _remove(self, keys: tuple[str, ...]) -> None:
        with self._changing():
            for key in keys:
                self._refused_lines.discard(key)
                gone = (self._maps.pop(key), self._lines.pop(key, None))
                self._removals.remove(gone)

    def _image(self) -> Image:
        image = self._sync.image_layer
        assert image is not None, "heatmaps lie on an image"
        return image

    @contextmanager
    def _changing(self) -> Iterator[None]:
        before, self._is_ours = self._is_ours, True
        try:
            with self._sync.keeping_selection():
                yield
        finally:
            self._is_ours = before
