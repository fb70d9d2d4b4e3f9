"""Keeps our napari layers and the session in step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from psygnal import Signal

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.session import Session
from napari_segmoe.types import Box, Prediction, Prompts, Stroke
from napari_segmoe.viewer import drawing
from napari_segmoe.viewer.camera import ROOM, look_at
from napari_segmoe.viewer.gestures import Gestures
from napari_segmoe.viewer.keys import bind_keys
from napari_segmoe.viewer.our_layers import (
    BOXES,
    OBJECTS,
    PREDICTION,
    PROMPTS,
    STROKES,
    is_ours,
    make_layer,
)
from napari_segmoe.viewer.placement import make_session_image, place_like
from napari_segmoe.viewer.prompt_drawing import show_box, show_clicks, show_strokes
from napari_segmoe.viewer.removals import Removals

BOTTOM_TO_TOP = (OBJECTS, PREDICTION, BOXES, STROKES, PROMPTS)
TRANSFORM_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")


class LayerSync:
    """Shows the session on layers of ours, and hands gestures on them to it.

    Layers are made when first needed and made again when the user removes them.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : Session
        Its session.
    """

    image_placed = Signal(object)  # the image layer, chosen or moved; None: left

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self._image: Image | None = None
        self._layers: dict[str, Layer] = {}
        self._refused: Image | None = None  # said already what is wrong with it
        self._shown = Prompts()  # what the prompt layers show
        self._is_ours = False  # we change layers ourselves: ignore their events
        self._gestures = Gestures(session)
        # viewer -> session
        # last, after napari's own list has taken the change in
        active = viewer.layers.selection.events.active
        active.connect(self._on_active_changed, position="last")
        inserted = viewer.layers.events.inserted
        inserted.connect(self._on_layer_inserted, position="last")
        viewer.layers.events.removed.connect(self._on_layer_removed)
        self._removals = Removals(viewer.layers)  # hears of them after we did
        viewer.dims.events.current_step.connect(self._on_step_changed)
        # session -> viewer
        session.prompts_changed.connect(self._on_prompts_changed)
        session.prediction_changed.connect(self._on_prediction_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.classes_changed.connect(self._on_classes_changed)
        session.options_changed.connect(self._on_options_changed)
        session.explaining_changed.connect(self._on_options_changed)
        session.selection_changed.connect(self._on_selection_changed)
        self.choose_first_image()

    @property
    def image_layer(self) -> Image | None:
        """The image layer worked on, or None."""
        return self._image

    def images(self) -> tuple[Image, ...]:
        """Return the image layers that can be chosen."""
        return tuple(layer for layer in self._viewer.layers if is_image(layer))

    def choose_first_image(self) -> None:
        """Work on the selected image, or the topmost one."""
        active = self._viewer.layers.selection.active
        images = self.images()
        if is_image(active):
            self.choose(active)
        elif images:
            self.choose(images[-1])

    def choose(self, image: Image) -> None:
        """Work on an image layer; what is wrong with it goes to `Session.failed`."""
        if image is self._image:
            return
        self._leave_image()
        if self._open(image):
            self._image = image
            for name in TRANSFORM_EVENTS:
                getattr(image.events, name).connect(self._on_transform_changed)
            self._show_all()

    def activate_prompts(self) -> None:
        """Select the prompts layer, so that clicks and keys reach it.

        Not done within the events of a layer that is being added: napari's list
        would go on to show that one as selected.
        """
        if self._image is not None:
            with self._changing():
                self._raise_ours()
                self._viewer.layers.selection.active = self._require(PROMPTS)

    def zoom_to(self, object_id: int) -> None:
        """Bring an object to the middle of the canvas, with room around it."""
        record = self._session.annotation.find(object_id)
        if record is None or self._image is None:
            return
        self._look_at(record.measured.box)

    def zoom_to_image(self) -> None:
        """Bring all of the image, or of the slide's region, into view."""
        image = self._session.image
        if image is not None and self._image is not None:
            self._look_at((0, 0, *image.shape), room=1.1)

    def _look_at(self, box: tuple[int, int, int, int], room: float = ROOM) -> None:
        y0, x0, y1, x1 = box
        layer = self._require(PROMPTS)
        corners = [layer.data_to_world((y, x)) for y in (y0, y1) for x in (x0, x1)]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        look_at(self._viewer, low[-2:], high[-2:], room=room)

    def flash_prediction(self, *, visible: bool) -> None:
        """Show or hide the prediction, while a key is held."""
        if PREDICTION in self._layers:
            self._layers[PREDICTION].visible = visible

    @contextmanager
    def keeping_selection(self) -> Iterator[None]:
        """Add and remove layers of ours: what is selected stays, and is not chosen."""
        layers = self._viewer.layers
        active = layers.selection.active
        with self._changing():
            yield
            if active is not None and active in layers:
                layers.selection.active = active

    def close(self) -> None:
        """Let go of viewer and session; the layers stay."""
        self._leave_image()
        self._removals.close()
        layers = self._viewer.layers
        layers.selection.events.active.disconnect(self._on_active_changed)
        layers.events.inserted.disconnect(self._on_layer_inserted)
        layers.events.removed.disconnect(self._on_layer_removed)
        self._viewer.dims.events.current_step.disconnect(self._on_step_changed)

    def _open(self, image: Image) -> bool:
        try:
            chosen = make_session_image(image, self._viewer.dims.current_step)
        except SegmoeError as error:
            self._session.report(error)
            self._refused = image
            return False
        self._session.choose_image(chosen)
        return True

    def _leave_image(self) -> None:
        if self._image is None:
            return
        for name in TRANSFORM_EVENTS:
            getattr(self._image.events, name).disconnect(self._on_transform_changed)
        self._image = None
        self.image_placed.emit(None)

    def _on_active_changed(self, event: Any) -> None:
        is_new = is_image(event.value) and event.value is not self._refused
        if is_new and not self._is_ours:
            self.choose(event.value)

    def _on_layer_inserted(self, event: Any) -> None:
        if is_image(event.value):
            self.choose(event.value)

    def _on_layer_removed(self, event: Any) -> None:
        removed = event.value
        for role, layer in tuple(self._layers.items()):
            if layer is removed:
                del self._layers[role]
                self._shown = Prompts()
        if removed is self._image:
            self._leave_image()
            self._session.close_image()
            self._remove_ours()
            self.choose_first_image()

    def _on_step_changed(self, event: Any) -> None:
        image = self._image
        if image is not None and image.ndim > 2 and self._open(image):
            self._show_all()

    def _on_transform_changed(self, event: Any = None) -> None:
        if self._image is None:
            return
        placing = place_like(self._image)
        for layer in self._layers.values():
            layer.units = placing["units"]
            layer.affine = placing["affine"]
        self.image_placed.emit(self._image)

    def _on_prompts_changed(self, prompts: Prompts) -> None:
        if self._image is None:
            return
        with self._changing():
            if prompts.clicks != self._shown.clicks or PROMPTS not in self._layers:
                show_clicks(self._require(PROMPTS), prompts.clicks)
            if prompts.box != self._shown.box:
                show_box(self._require(BOXES), prompts.box)
            if prompts.strokes != self._shown.strokes:
                show_strokes(self._require(STROKES), prompts.strokes)
        self._shown = prompts
        self._gestures.follow_kind(self._require(PROMPTS))

    def _on_prediction_changed(self, prediction: Prediction | None) -> None:
        if self._image is None or (
            prediction is None and PREDICTION not in self._layers
        ):
            return
        with self._changing():
            layer = self._require(PREDICTION)
            if prediction is None:
                layer.data = np.zeros(self._shape(), np.uint32)
                return
            self._show_colours(layer, prediction)
            layer.data = drawing.draw_outlined(prediction.labels)

    def _on_objects_changed(self, box: tuple[int, int, int, int] | None) -> None:
        labels = self._session.annotation.labels
        records = self._session.annotation.records
        is_needed = bool(records) or OBJECTS in self._layers
        if self._image is None or labels is None or not is_needed:
            return
        with self._changing():
            layer = self._require(OBJECTS)
            if layer.data.shape != labels.shape or box is None:
                layer.data = labels.copy()
            else:
                y0, x0, y1, x1 = box
                layer.data[y0:y1, x0:x1] = labels[y0:y1, x0:x1]
                layer.refresh()
            self._show_features(layer)

    def _on_classes_changed(self) -> None:
        if OBJECTS in self._layers:
            with self._changing():
                self._show_features(self._require(OBJECTS))
        self._on_options_changed()

    def _on_options_changed(self, _: SegmentOptions | None = None) -> None:
        prediction = self._session.prediction
        if prediction is not None and PREDICTION in self._layers:
            with self._changing():
                self._show_colours(self._require(PREDICTION), prediction)

    def _on_selection_changed(self, object_id: int | None) -> None:
        if OBJECTS in self._layers:
            layer = self._require(OBJECTS)
            layer.selected_label = object_id or self._next_label()

    def _on_objects_painted(self, event: Any = None) -> None:
        layer = self._layers.get(OBJECTS)
        if layer is not None and not self._is_ours:
            self._session.annotation.correct(np.asarray(layer.data))

    def _on_clicks_edited(self, event: Any = None) -> None:
        if not self._is_ours:
            self._gestures.read_added_point(self._require(PROMPTS))
            self._on_prompts_changed(self._session.prompts)

    def _show_all(self) -> None:
        self._require(PROMPTS)
        self._on_transform_changed()
        self._on_objects_changed(None)
        self._on_prediction_changed(self._session.prediction)
        self._on_prompts_changed(self._session.prompts)

    def _show_colours(self, layer: Labels, prediction: Prediction) -> None:
        has_maps = bool(self._session.explaining.shown)  # a tint would falsify them
        colours = drawing.prediction_colours(
            prediction,
            self._session.classes.table,
            fill_opacity=0.0 if has_maps else self._session.options.fill_opacity,
        )
        if not drawing.has_colours(layer.colormap, colours):
            layer.colormap = colours

    def _show_features(self, layer: Labels) -> None:
        records, table = self._session.annotation.records, self._session.classes.table
        layer.features = drawing.object_features(records, table)
        layer.colormap = drawing.object_colours(records, table)

    def _raise_ours(self) -> None:
        """Move our layers above an image that was added on top of them."""
        layers = self._viewer.layers
        for role in BOTTOM_TO_TOP:
            layer = self._layers.get(role)
            if layer is not None and layers.index(layer) < layers.index(self._image):
                layers.move(layers.index(layer), len(layers))

    def _remove_ours(self) -> None:
        with self._changing():
            self._removals.remove(tuple(self._layers.values()))

    def _require(self, role: str) -> Any:
        layer = self._layers.get(role)
        if layer is None:
            layer = self._make(role)
        return layer

    def _make(self, role: str) -> Layer:
        assert self._image is not None
        layer = make_layer(role, self._shape(), place_like(self._image))
        self._layers[role] = layer
        with self.keeping_selection():
            self._viewer.layers.insert(self._place_of(role), layer)
        bind_keys(layer, self._session, self)
        if isinstance(layer, Points):
            self._gestures.attach(layer, self._preview)
            layer.events.data.connect(self._on_clicks_edited)
        if role == OBJECTS:
            layer.events.paint.connect(self._on_objects_painted)
            layer.mouse_drag_callbacks.append(self._gestures.select_object)
        return layer

    def _place_of(self, role: str) -> int:
        """Return the index in the layer list: below what lies above it, else on top."""
        above = [
            self._layers.get(r) for r in BOTTOM_TO_TOP[BOTTOM_TO_TOP.index(role) + 1 :]
        ]
        layers = self._viewer.layers
        found = [layers.index(layer) for layer in above if layer in layers]
        return min(found, default=len(layers))

    def _preview(self, points: np.ndarray, *, closed: bool) -> None:
        """Draw the box or stroke that is being dragged, (N, 2) (y, x)."""
        if len(points) < 2:
            return
        line = tuple((float(y), float(x)) for y, x in points)
        with self._changing():
            if closed:
                (y0, x0), (y1, x1) = line[0], line[2]
                show_box(self._require(BOXES), Box(y0, x0, y1, x1))
                self._shown = replace(self._shown, box=Box(y0, x0, y1, x1))
            else:
                strokes = (
                    *self._session.prompts.strokes,
                    Stroke(line, self._session.prompting.is_positive),
                )
                show_strokes(self._require(STROKES), strokes)
                self._shown = replace(self._shown, strokes=strokes)

    def _shape(self) -> tuple[int, int]:
        return self._session.require_image().shape

    def _next_label(self) -> int:
        workspace = self._session.workspace
        return workspace.next_id if workspace else 1

    @contextmanager
    def _changing(self) -> Iterator[None]:
        before, self._is_ours = self._is_ours, True
        try:
            yield
        finally:
            self._is_ours = before


def is_image(layer: Any) -> bool:
    """Whether a layer is an image that the user brought."""
    return isinstance(layer, Image) and not is_ours(layer)
