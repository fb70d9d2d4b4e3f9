"""Keeps our napari layers and the session in step."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from psygnal import Signal

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.session import Session
from napari_segmoe.types import Prediction, Prompts
from napari_segmoe.viewer.camera import ROOM, look_at_box
from napari_segmoe.viewer.gestures import Gestures
from napari_segmoe.viewer.keys import bind_keys
from napari_segmoe.viewer.layer_order import index_below, raise_above
from napari_segmoe.viewer.object_layers import ObjectLayers
from napari_segmoe.viewer.our_layers import (
    BOXES,
    FRAMES,
    OBJECTS,
    PREDICTION,
    PROMPTS,
    STROKES,
    is_image,
    make_layer,
)
from napari_segmoe.viewer.placement import make_session_image, place_like
from napari_segmoe.viewer.prediction_drawing import (
    is_run_shown,
    redraw_outlines,
    show_colours,
    show_prediction,
)
from napari_segmoe.viewer.prompt_layers import PromptLayers
from napari_segmoe.viewer.removals import Removals
from napari_segmoe.viewer.slide_layers import SlideLayers
from napari_segmoe.viewer.slide_placement import (
    make_scene,
    pixel_at,
    place_on,
)

BOTTOM_TO_TOP = (FRAMES, OBJECTS, PREDICTION, BOXES, STROKES, PROMPTS)
TRANSFORM_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")


class LayerSync:
    """Shows the session on layers of ours, and hands gestures on them to it.

    Layers are made when first needed, and again when the user removed them.

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
        self._is_ours = False  # we change layers ourselves: ignore their events
        self._slide = SlideLayers(viewer, session, self._require, self._redraw_lines)
        self._objects = ObjectLayers(session, self._insert, self._remove)
        self._prompts = PromptLayers(session, self._require)
        self._gestures = Gestures(session, self._slide)
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
        session.selection_changed.connect(self._objects.follow_selection)
        session.image_changed.connect(self._on_image_changed)
        session.regions.regions_changed.connect(self._on_regions_changed)
        session.regions.target_changed.connect(self._slide.show_frames)
        session.regions.progress_changed.connect(self._on_progress_changed)
        self.choose_first_image()

    @property
    def image_layer(self) -> Image | None:
        """The image layer worked on."""
        return self._image

    @property
    def objects(self) -> ObjectLayers:
        """The layers of committed objects."""
        return self._objects

    def images(self) -> tuple[Image, ...]:
        """Return the image layers that can be chosen."""
        return tuple(layer for layer in self._viewer.layers if is_image(layer))

    def choose_first_image(self) -> None:
        """Work on the selected image, or the topmost one."""
        active, images = self._viewer.layers.selection.active, self.images()
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
            self._slide.follow(image if image.multiscale else None)
            self._show_all()
        else:
            self._session.regions.close_slide()

    def activate_prompts(self) -> None:
        """Select the prompts layer, so that clicks and keys reach it.

        Not within the events of a layer that is added: napari would show that one.
        """
        if self._image is not None:
            with self._changing():
                ours = (one for role in BOTTOM_TO_TOP for one in self._of(role))
                raise_above(self._viewer.layers, self._image, ours)
                self._viewer.layers.selection.active = self._require(PROMPTS)

    def zoom_to(self, object_id: int) -> None:
        """Bring an object to the middle of the canvas, with room around it."""
        record = self._session.annotation.find(object_id)
        if record is not None and self._image is not None:
            self._look_at(record.measured.box)

    def zoom_to_image(self) -> None:
        """Bring all of the image, or of the slide's region, into view."""
        if self._image is not None and self._session.image is not None:
            self._look_at((0, 0, *self._shape()), room=1.1)

    def _look_at(self, box: tuple[int, int, int, int], room: float = ROOM) -> None:
        look_at_box(self._viewer, self._require(PROMPTS), box, room=room)

    def placing(self) -> dict[str, Any]:
        """Return the keywords that put a 2-D layer onto the session's image."""
        assert self._image is not None, "layers of ours lie on an image"
        return place_on(self._image, self._session.image)

    def pixel_at(self, position: Any) -> tuple[float, float] | None:
        """Return the pixel of the session's image at a world position, or None."""
        if self._image is None or self._session.image is None:
            return None
        return pixel_at(self._image, self._session.image, position)

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
        self._leave_image(removes=False)
        self._slide.close()
        self._removals.close()
        layers = self._viewer.layers
        layers.selection.events.active.disconnect(self._on_active_changed)
        layers.events.inserted.disconnect(self._on_layer_inserted)
        layers.events.removed.disconnect(self._on_layer_removed)
        self._viewer.dims.events.current_step.disconnect(self._on_step_changed)

    def _open(self, image: Image) -> bool:
        try:
            if image.multiscale:
                self._session.regions.open_slide(make_scene(image))
            else:
                chosen = make_session_image(image, self._viewer.dims.current_step)
                self._session.choose_image(chosen)
        except SegmoeError as error:
            self._session.report(error)
            self._refused = image
            return False
        return True

    def _leave_image(self, *, removes: bool = True) -> None:
        if self._image is None:
            return
        for name in TRANSFORM_EVENTS:
            getattr(self._image.events, name).disconnect(self._on_transform_changed)
        was_slide, self._image = self._image.multiscale, None
        self._slide.follow(None)
        if was_slide and removes:
            self._remove_ours()
        self.image_placed.emit(None)

    def _on_active_changed(self, event: Any) -> None:
        image = event.value
        if is_image(image) and image is not self._refused and not self._is_ours:
            self.choose(image)

    def _on_layer_inserted(self, event: Any) -> None:
        if is_image(event.value):
            self.choose(event.value)

    def _on_layer_removed(self, event: Any) -> None:
        removed = event.value
        self._objects.forget(removed)
        for role, layer in tuple(self._layers.items()):
            if layer is removed:
                del self._layers[role]
                self._prompts.forget()
        if removed is self._image:
            self._leave_image()
            self._session.regions.close_slide()
            self._session.close_image()
            self._remove_ours()
            self.choose_first_image()

    def _on_step_changed(self, event: Any) -> None:
        image = self._image
        if image is not None and image.ndim > 2 and self._open(image):
            self._show_all()

    def _on_image_changed(self, image: SessionImage | None) -> None:
        is_region = image is not None and image.region is not None
        if is_region and self._image is not None and self._image.multiscale:
            self._show_all()

    def _on_regions_changed(self) -> None:
        if self._image is not None and self._image.multiscale:
            self._slide.show_spacing()
            self._slide.show_frames()
            self._objects.show_others(self._image)

    def _on_progress_changed(self) -> None:
        if self._image is None or self._session.image is None:
            return
        if is_run_shown(self._session):
            with self._changing():
                self._slide.show_progress(self._require(PREDICTION))
        else:
            self._on_prediction_changed(self._session.prediction)

    def _on_transform_changed(self, event: Any) -> None:
        if self._image is not None:
            self._slide.read_spacing()
            self._place()

    def _place(self) -> None:
        assert self._image is not None
        placing, whole = self.placing(), place_like(self._image)
        for role, layer in self._layers.items():
            found = whole if role == FRAMES else placing
            layer.units, layer.affine = found["units"], found["affine"]
        self._objects.place(self._image)
        self.image_placed.emit(self._image)

    def _on_prompts_changed(self, prompts: Prompts) -> None:
        if self._image is not None:
            with self._changing():
                self._prompts.show(prompts)
            self._gestures.follow_kind(self._require(PROMPTS))

    def _preview(self, points: np.ndarray, *, closed: bool) -> None:
        with self._changing():
            self._prompts.preview(points, closed=closed)

    def _on_prediction_changed(self, prediction: Prediction | None) -> None:
        is_needed = prediction is not None or PREDICTION in self._layers
        if self._image is None or not is_needed:
            return
        with self._changing():
            layer = self._require(PREDICTION)
            show_prediction(layer, self._session, self._slide, shape=self._shape())

    def _on_objects_changed(self, box: tuple[int, int, int, int] | None) -> None:
        if self._image is not None:
            with self._changing():
                self._objects.show(self._image, box)

    def _on_classes_changed(self) -> None:
        with self._changing():
            self._objects.show_features()
        self._on_options_changed()

    def _on_options_changed(self, _: SegmentOptions | None = None) -> None:
        if self._session.prediction is not None and PREDICTION in self._layers:
            with self._changing():
                show_colours(self._require(PREDICTION), self._session)

    def _on_clicks_edited(self, event: Any = None) -> None:
        if not self._is_ours:
            self._gestures.read_added_point(self._require(PROMPTS))
            self._on_prompts_changed(self._session.prompts)

    def _show_all(self) -> None:
        assert self._image is not None
        self._require(PROMPTS)
        self._place()
        if self._session.image is not None:
            self._on_objects_changed(None)
            self._objects.show_others(self._image)
            self._on_prediction_changed(self._session.prediction)
        self._on_prompts_changed(self._session.prompts)
        self._redraw_lines()

    def _redraw_lines(self) -> None:
        with self._changing():  # on a slide, in the width that suits the zoom
            for layer in (*self._of(BOXES), *self._of(STROKES)):
                self._slide.set_line_width(layer)
            for layer in self._of(PREDICTION):
                redraw_outlines(layer, self._session, self._slide)

    def _of(self, role: str) -> tuple[Any, ...]:
        """Return our layers of a role, bottom to top."""
        if role == OBJECTS:
            return self._objects.all
        return (self._layers[role],) if role in self._layers else ()

    def _remove(self, layers: Iterable[Layer]) -> None:
        with self._changing():
            self._removals.remove(layers)

    def _remove_ours(self) -> None:
        self._remove((*self._layers.values(), *self._objects.give_up()))
        self._layers.clear()
        self._prompts.forget()

    def _require(self, role: str) -> Any:
        layer = self._layers.get(role)
        if layer is None:
            layer = self._make(role)
        return layer

    def _make(self, role: str) -> Layer:
        assert self._image is not None
        placing = place_like(self._image) if role == FRAMES else self.placing()
        layer = make_layer(role, self._shape(), placing)
        self._layers[role] = layer
        self._insert(layer, role)
        if isinstance(layer, Points):
            self._gestures.attach(layer, self._preview)
            layer.events.data.connect(self._on_clicks_edited)
        elif role in (BOXES, STROKES):
            self._slide.set_line_width(layer)
        return layer

    def _insert(self, layer: Layer, role: str = OBJECTS) -> None:
        """Add a layer of ours to the viewer, in its place and with our keys."""
        with self.keeping_selection():
            self._viewer.layers.insert(self._place_of(role), layer)
        bind_keys(layer, self._session, self)
        if role == OBJECTS:
            layer.mouse_drag_callbacks.append(self._gestures.select_object)

    def _place_of(self, role: str) -> int:
        """Return the index for a new layer: below what lies above it, else on top."""
        above = BOTTOM_TO_TOP[BOTTOM_TO_TOP.index(role) + 1 :]
        found = (one for r in above for one in self._of(r))
        return index_below(self._viewer.layers, found)

    def _shape(self) -> tuple[int, int]:
        slide = self._session.regions.slide
        if slide is not None and self._session.image is None:
            return slide.shape
        return self._session.require_image().shape

    @contextmanager
    def _changing(self) -> Iterator[None]:
        before, self._is_ours = self._is_ours, True
        try:
            yield
        finally:
            self._is_ours = before
