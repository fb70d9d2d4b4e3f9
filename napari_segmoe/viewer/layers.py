"""Keeps our napari layers and the session in step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.session import Session
from napari_segmoe.types import Prediction, Prompts
from napari_segmoe.viewer import drawing
from napari_segmoe.viewer.camera import look_at
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

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self._image: Image | None = None
        self._layers: dict[str, Layer] = {}
        self._refused: Image | None = None  # said already what is wrong with it
        self._is_ours = False  # we change layers ourselves: ignore their events
        self._gestures = Gestures(session)
        # viewer -> session
        # last, after napari's own list has taken the change in
        active = viewer.layers.selection.events.active
        active.connect(self._on_active_changed, position="last")
        inserted = viewer.layers.events.inserted
        inserted.connect(self._on_layer_inserted, position="last")
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_step_changed)
        # session -> viewer
        session.prompts_changed.connect(self._on_prompts_changed)
        session.prediction_changed.connect(self._on_prediction_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.classes_changed.connect(self._on_classes_changed)
        session.options_changed.connect(self._on_options_changed)
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
                self._viewer.layers.selection.active = self._require(PROMPTS)

    def zoom_to(self, object_id: int) -> None:
        """Bring an object to the middle of the canvas, with room around it."""
        record = self._session.annotation.find(object_id)
        if record is None or self._image is None:
            return
        y0, x0, y1, x1 = record.measured.box
        layer = self._require(PROMPTS)
        corners = [layer.data_to_world((y, x)) for y in (y0, y1) for x in (x0, x1)]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        look_at(self._viewer, low[-2:], high[-2:])

    def flash_prediction(self, *, visible: bool) -> None:
        """Show or hide the prediction, while a key is held."""
        if PREDICTION in self._layers:
            self._layers[PREDICTION].visible = visible

    def close(self) -> None:
        """Let go of viewer and session; the layers stay."""
        self._leave_image()
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
        for layer in self._layers.values():
            layer.affine = place_like(self._image)["affine"]

    def _on_prompts_changed(self, prompts: Prompts) -> None:
        if self._image is None:
            return
        with self._changing():
            self._show_clicks(prompts)
            self._show_boxes_and_strokes(prompts)
        self._gestures.follow_kind(self._require(PROMPTS))

    def _on_prediction_changed(self, prediction: Prediction | None) -> None:
        if self._image is None:
            return
        with self._changing():
            layer = self._require(PREDICTION)
            if prediction is None:
                layer.data = np.zeros(self._shape(), np.uint32)
                return
            layer.colormap = drawing.prediction_colours(
                prediction,
                self._session.classes.table,
                fill_opacity=self._session.options.fill_opacity,
            )
            layer.data = drawing.draw_outlined(prediction.labels)

    def _on_objects_changed(self, box: tuple[int, int, int, int] | None) -> None:
        labels = self._session.annotation.labels
        if self._image is None or labels is None:
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
        if self._image is not None:
            with self._changing():
                self._show_features(self._require(OBJECTS))
            self._on_prediction_changed(self._session.prediction)

    def _on_options_changed(self, options: SegmentOptions) -> None:
        self._on_prediction_changed(self._session.prediction)

    def _on_selection_changed(self, object_id: int | None) -> None:
        if self._image is not None:
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
        with self._changing():
            # bottom to top: objects lie under the proposal, prompts on top
            for role in (OBJECTS, PREDICTION, BOXES, STROKES, PROMPTS):
                self._require(role)
        self._on_transform_changed()
        self._on_objects_changed(None)
        self._on_prediction_changed(self._session.prediction)
        self._on_prompts_changed(self._session.prompts)

    def _show_clicks(self, prompts: Prompts) -> None:
        layer = self._require(PROMPTS)
        layer.data = np.array([(c.y, c.x) for c in prompts.clicks]).reshape(-1, 2)
        signs = [c.positive for c in prompts.clicks]
        colours = [_sign_colour(s) for s in signs]
        layer.features = {"positive": np.array(signs, bool)}
        if colours:
            layer.face_color = colours
        layer.selected_data = set()

    def _show_boxes_and_strokes(self, prompts: Prompts) -> None:
        boxes, strokes = self._require(BOXES), self._require(STROKES)
        boxes.data = []
        if prompts.box is not None:
            b = prompts.box
            corners = [(b.y0, b.x0), (b.y0, b.x1), (b.y1, b.x1), (b.y1, b.x0)]
            boxes.add_rectangles(np.array(corners))
        strokes.data = []
        paths = [(_line(s.points), _sign_colour(s.positive)) for s in prompts.strokes]
        if paths:
            strokes.add_paths([p for p, _ in paths], edge_color=[c for _, c in paths])

    def _show_features(self, layer: Labels) -> None:
        records, table = self._session.annotation.records, self._session.classes.table
        layer.features = drawing.object_features(records, table)
        layer.colormap = drawing.object_colours(records, table)

    def _remove_ours(self) -> None:
        with self._changing():
            for layer in tuple(self._layers.values()):
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    def _require(self, role: str) -> Any:
        layer = self._layers.get(role)
        if layer is None:
            layer = self._make(role)
        return layer

    def _make(self, role: str) -> Layer:
        assert self._image is not None
        active = self._viewer.layers.selection.active
        layer = make_layer(role, self._shape(), place_like(self._image))
        self._layers[role] = layer
        with self._changing():
            self._viewer.add_layer(layer)
            if active is not None and active in self._viewer.layers:
                self._viewer.layers.selection.active = active
        bind_keys(layer, self._session, self)
        if isinstance(layer, Points):
            self._gestures.attach(layer, self._preview)
            layer.events.data.connect(self._on_clicks_edited)
        if role == OBJECTS:
            layer.events.paint.connect(self._on_objects_painted)
            layer.mouse_drag_callbacks.append(self._gestures.select_object)
        return layer

    def _preview(self, points: np.ndarray, *, closed: bool) -> None:
        """Draw the box or stroke that is being dragged, (N, 2) (y, x)."""
        role = BOXES if closed else STROKES
        layer: Shapes = self._require(role)
        self._on_prompts_changed(self._session.prompts)
        if len(points) < 2:
            return
        with self._changing():
            colour = _sign_colour(self._session.prompting.is_positive)
            if closed:
                layer.add_rectangles(points, edge_color=drawing.PROPOSAL_COLOUR)
            else:
                layer.add_paths(points, edge_color=colour)

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


def _sign_colour(positive: bool) -> str:
    return drawing.POSITIVE_COLOUR if positive else drawing.NEGATIVE_COLOUR


def _line(points: tuple[tuple[float, float], ...]) -> np.ndarray:
    line = np.array(points)
    return line if len(line) > 1 else np.concatenate([line, line + 0.01])
