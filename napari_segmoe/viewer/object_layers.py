"""Committed objects as labels layers: one an image, or one a region of the slide."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_segmoe.data.region_store import index_box
from napari_segmoe.session.objects import LabelBox, join_boxes
from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import RegionRecord
from napari_segmoe.viewer import drawing
from napari_segmoe.viewer.our_layers import OBJECTS, make_layer
from napari_segmoe.viewer.placement import place_like
from napari_segmoe.viewer.slide_placement import place_region

Insert = Callable[[Layer], None]
Remove = Callable[[Iterable[Layer]], None]


class ObjectLayers:
    """Keeps labels layers and committed objects in step.

    A plain image has one layer, a slide one for each region with objects: those
    of other regions stay in view. A region's layer edits the labels on disk.

    Parameters
    ----------
    session : Session
        Whose objects are shown.
    insert : callable
        Adds a new layer to the viewer, in its place.
    remove : callable
        Takes layers out of the viewer.
    """

    def __init__(self, session: Session, insert: Insert, remove: Remove) -> None:
        self._session = session
        self._insert = insert
        self._remove = remove
        self._layers: dict[int | None, Labels] = {}  # by region; None: a plain image

    @property
    def all(self) -> tuple[Labels, ...]:
        """All layers, that of the session's image last."""
        number = self._number()
        order = sorted(self._layers, key=lambda one: one == number)
        return tuple(self._layers[one] for one in order)

    @property
    def current(self) -> Labels | None:
        """The layer of the session's image, or None."""
        return self._layers.get(self._number())

    def forget(self, layer: Layer) -> None:
        """Take note that the user removed a layer."""
        self._layers = {n: one for n, one in self._layers.items() if one is not layer}

    def give_up(self) -> tuple[Labels, ...]:
        """Return all layers, to be removed, and forget them."""
        gone, self._layers = tuple(self._layers.values()), {}
        return gone

    def place(self, image: Image) -> None:
        """Put all layers onto the image."""
        for number, layer in self._layers.items():
            placing = self._placing(image, number)
            layer.units, layer.affine = placing["units"], placing["affine"]

    def show(self, image: Image, box: LabelBox | None) -> None:
        """Show the objects of the session's image; ``box``: only that part changed."""
        labels = self._session.annotation.labels
        if labels is None:
            return
        number = self._number()
        layer = self._layers.get(number)
        if layer is None and not self._session.annotation.records:
            return
        if layer is None:
            layer = self._make(image, number)
        elif number is not None:
            layer.refresh()  # its data are the labels on disk
        elif layer.data.shape != labels.shape or box is None:
            layer.data = labels.copy()
        else:
            y0, x0, y1, x1 = box
            layer.data[y0:y1, x0:x1] = labels[y0:y1, x0:x1]
            layer.refresh()
        self.show_features()

    def show_others(self, image: Image) -> None:
        """Show the objects of the slide's other regions; those of none go."""
        known = {record.number for record in self._session.regions.all}
        gone = [number for number in self._layers if number not in {None, *known}]
        self._remove([self._layers.pop(number) for number in gone])
        for record in self._session.regions.all:
            has_objects = bool(self._session.records_of(record.key))
            if has_objects and record.number not in self._layers:
                self._make(image, record.number)
                self._show_features(record.number)

    def require(self, image: Image) -> Labels:
        """Return the layer of the session's image to be painted on, made if need be."""
        number = self._number()
        layer = self._layers.get(number) or self._make(image, number)
        self.follow_selection(self._session.annotation.selected_id)
        return layer

    def show_features(self) -> None:
        """Show classes and measurements of all objects."""
        for number in tuple(self._layers):
            self._show_features(number)

    def follow_selection(self, object_id: int | None) -> None:
        """Let napari's tools paint with the selected object, or a new one."""
        if self.current is not None:
            self.current.selected_label = object_id or self._session.annotation.next_id

    def _make(self, image: Image, number: int | None) -> Labels:
        layer = make_layer(
            OBJECTS, self._shape(number), self._placing(image, number), number=number
        )
        assert isinstance(layer, Labels)
        layer.data = self._data(number)
        self._layers[number] = layer
        self._insert(layer)
        layer.events.paint.connect(lambda event: self._on_painted(number, event))
        return layer

    def _on_painted(self, number: int | None, event: Any) -> None:
        layer = self._layers.get(number)
        if layer is None:
            return
        if number is not None and number != self._number():
            self._session.regions.show(number)
        box = painted_box(event.value, self._shape(number))
        labels = painted_labels(layer.data, event.value)
        self._session.annotation.correct(labels, box=box)

    def _data(self, number: int | None) -> Any:
        if number is None:
            labels = self._session.annotation.labels
            assert labels is not None
            return labels.copy()
        record = self._record(number)
        workspace = self._session.find_workspace(record.key)
        assert workspace is not None, "only regions with objects are shown"
        return self._session.stored_labels(workspace)

    def _shape(self, number: int | None) -> tuple[int, int]:
        if number is None:
            return self._session.require_image().shape
        return self._record(number).region.shape

    def _placing(self, image: Image, number: int | None) -> dict[str, Any]:
        if number is None:
            return place_like(image)
        return place_region(image, self._record(number).region)

    def _show_features(self, number: int | None) -> None:
        layer, table = self._layers[number], self._session.classes.table
        if number is None:
            records = self._session.annotation.records
        else:
            records = self._session.records_of(self._record(number).key)
        layer.features = drawing.object_features(records, table)
        colours = drawing.object_colours(records, table)
        if not drawing.has_colours(layer.colormap, colours):
            layer.colormap = colours

    def _record(self, number: int) -> RegionRecord:
        record = self._session.regions.find(number)
        assert record is not None, "regions are not removed from an open slide"
        return record

    def _number(self) -> int | None:
        image = self._session.image
        return image.region if image is not None else None


def painted_box(strokes: Any, shape: tuple[int, int]) -> LabelBox | None:
    """Return the box around all pixels of napari's paint event; None: not known."""
    box: LabelBox | None = None
    for place, *_ in strokes or ():
        box = join_boxes(index_box(place, shape), box)
    return box


def painted_labels(labels: Any, strokes: Any) -> Any:
    """Return the labels with what napari's paint event tells.

    A stroke of the mouse is told of when it is written, polygons and programs just
    before.
    """
    strokes = tuple(strokes or ())
    if all(np.all(_pixels(labels, stroke) == stroke[-1]) for stroke in strokes):
        return labels
    painted = np.array(labels)
    for stroke in strokes:
        mask = stroke[1] if len(stroke) > 3 else None
        if mask is None:
            painted[stroke[0]] = stroke[-1]
        else:
            painted[stroke[0]][mask] = stroke[-1]
    return painted


def _pixels(labels: Any, stroke: Any) -> Any:
    """Return the pixels of a stroke: (index, before, after), or with a mask second."""
    found = np.asarray(labels[stroke[0]])
    mask = stroke[1] if len(stroke) > 3 else None  # from napari 0.9 on
    return found if mask is None else found[mask]
