"""How masks, prompts and classes look: pixels and colours of our layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.objects import ObjectRecord, bounding_box
from napari_segmoe.types import Mask, Prediction, SegmentedObject

POSITIVE_COLOUR = "#2ECC71"
NEGATIVE_COLOUR = "#FF4D4D"
PROPOSAL_COLOUR = "#35C9FF"
UNCLASSIFIED_COLOUR = "#B8BEC4"
OBJECT_OPACITY = 0.55


def outline_width(shape: tuple[int, int]) -> int:
    """Return a width in pixels that shows with the whole image in view."""
    return max(1, round(max(shape) / 280))


def draw_outlined(
    labels: NDArray[np.uint32], width_px: int | None = None
) -> NDArray[np.uint32]:
    """Return (H, W) labels with 2k - 1 inside object k and 2k on its outline.

    The outline is ``width_px`` wide; by default as `outline_width` says.
    """
    drawn = 2 * labels
    drawn[labels > 0] -= 1
    box = bounding_box(labels > 0)
    if box is None:
        return drawn
    y0, x0, y1, x1 = box
    crop = labels[y0:y1, x0:x1]
    inside = _is_inside(crop, width_px or outline_width(labels.shape))
    drawn[y0:y1, x0:x1][(crop > 0) & ~inside] += 1
    return drawn


def _is_inside(labels: NDArray[np.uint32], width_px: int) -> Mask:
    """Return the pixels all whose neighbours, so far away, have the same label.

    What lies around counts as another label. A square is uniform if its rows are, and
    its middle column: each is asked by doubling, so that it costs the logarithm of
    the width.
    """
    around = np.pad(labels, width_px)
    rows = _all_of(around[:, 1:] == around[:, :-1], 2 * width_px, axis=1)
    middle = around[:, width_px:-width_px]
    column = _all_of(middle[1:] == middle[:-1], 2 * width_px, axis=0)
    inside: Mask = _all_of(rows, 2 * width_px + 1, axis=0) & column
    return inside


def _all_of(given: Mask, count: int, *, axis: int) -> Mask:
    """Return where ``count`` neighbours in a row are all True, along an axis."""
    found, known = np.moveaxis(given, axis, 0), 1
    while known < count:
        step = min(known, count - known)
        found = found[:-step] & found[step:]
        known += step
    return np.moveaxis(found, 0, axis)


def progress_colours(fill_opacity: float) -> DirectLabelColormap:
    """Return the colours of a mask in the making: 1 is what was found so far."""
    tint = (*rgb(PROPOSAL_COLOUR), max(fill_opacity, 0.25))
    none = (0, 0, 0, 0)
    return DirectLabelColormap(color_dict={None: none, 0: none, 1: tint})


def prediction_colours(
    prediction: Prediction, classes: ClassTable, *, fill_opacity: float
) -> DirectLabelColormap:
    """Return the colours of `draw_outlined`: tinted inside, strong outline."""
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    found = {o.id: o for o in prediction.objects}
    ids = np.flatnonzero(np.bincount(prediction.labels.ravel()))
    for object_id in (int(i) for i in ids if i):
        colour = _proposal_colour(found.get(object_id), prediction, classes)
        red, green, blue = rgb(colour)
        colours[2 * object_id - 1] = (red, green, blue, fill_opacity)
        colours[2 * object_id] = (red, green, blue, 1.0)
    return DirectLabelColormap(color_dict=colours)


def has_colours(shown: Any, wanted: DirectLabelColormap) -> bool:
    """Whether a labels layer's colormap shows the wanted colours already."""
    if not isinstance(shown, DirectLabelColormap):
        return False
    old, new = shown.color_dict, wanted.color_dict
    return old.keys() == new.keys() and all(
        np.array_equal(old[key], new[key]) for key in new
    )


def object_colours(
    records: Sequence[ObjectRecord], classes: ClassTable
) -> DirectLabelColormap:
    """Return the colours of committed objects: that of their class."""
    colours: dict[int | None, Any] = {
        None: (*rgb(UNCLASSIFIED_COLOUR), 1.0),
        0: (0, 0, 0, 0),
    }
    for record in records:
        entry = classes.find(record.class_id)
        colour = entry.colour if entry else UNCLASSIFIED_COLOUR
        colours[record.id] = (*rgb(colour), 1.0)
    return DirectLabelColormap(color_dict=colours)


def object_features(
    records: Sequence[ObjectRecord], classes: ClassTable
) -> pd.DataFrame:
    """Return one row an object for the labels layer's features table."""
    columns = [
        "index",
        "class",
        "p",
        "source",
        "model_class",
        "long_axis_px",
        "short_axis_px",
        "width_height_ratio",
        "area_px",
        "area_um2",
    ]
    rows = [_features_row(record, classes) for record in records]
    return pd.DataFrame(rows, columns=columns)


def read_features(features: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return the rows of a features table as `Annotation.load` takes them."""
    if "index" not in features.columns:
        return []
    return [dict(row) for row in features.to_dict("records")]


def rgb(colour: str) -> tuple[float, float, float]:
    """Return #RRGGBB as red, green and blue in 0..1."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _features_row(record: ObjectRecord, classes: ClassTable) -> dict[str, Any]:
    entry = classes.find(record.class_id)
    measured = record.measured
    return {
        "index": record.id,
        "class": entry.name if entry else "",
        "p": np.nan if record.probability is None else record.probability,
        "source": str(record.source),
        "model_class": record.model_class or "",
        "long_axis_px": measured.long_axis_px,
        "short_axis_px": measured.short_axis_px,
        "width_height_ratio": measured.width_height_ratio,
        "area_px": measured.area_px,
        "area_um2": np.nan if measured.area_um2 is None else measured.area_um2,
    }


def _proposal_colour(
    found: SegmentedObject | None, prediction: Prediction, classes: ClassTable
) -> str:
    name = found.class_name if found is not None else prediction.class_name
    entry = None if prediction.is_uncertain else classes.resolve(name)
    return entry.colour if entry else PROPOSAL_COLOUR
