"""How explanations look: colours, ranges, contours and the layers that show them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

from napari_segmoe.types import Explanation
from napari_segmoe.viewer.drawing import outline_width, rgb
from napari_segmoe.viewer.our_layers import MARK

PREFIX = "SegMoE: "
FALLBACK_COLORMAP = "magma"
LINE_COLOUR = "#FFFFFF"
SIGNED_DISTANCE = "distance"  # the key of the map whose zero is the outline
# Okabe and Ito's colours, which colour-blind people tell apart, then fainter ones
CATEGORY_COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#B8BEC4",
)


def layer_name(explanation: Explanation) -> str:
    """Return the layer's name for people."""
    return f"{PREFIX}{explanation.name}"


def category_colour(index: int) -> str:
    """Return the colour of a category, #RRGGBB; they repeat after eight."""
    return CATEGORY_COLOURS[index % len(CATEGORY_COLOURS)]


def gradient(name: str, count: int = 64) -> NDArray[np.float64]:
    """Return ``count`` colours of a colour map, (count, 4) in 0..1, low to high.

    An unknown name gives the fallback's.
    """
    colours = _known_colormap(name).map(np.linspace(0, 1, count))
    return np.asarray(colours, np.float64)


def contrast_limits(explanation: Explanation) -> tuple[float, float]:
    """Return the ends of the colour scale: finite, the lower one first."""
    low, high = (float(end) for end in explanation.value_range)
    if not (np.isfinite(low) and np.isfinite(high)):
        low, high = 0.0, 1.0
    return (low, high) if low < high else (low, low + 1.0)


def has_zero_line(explanation: Explanation) -> bool:
    """Whether the map's zero is an outline worth a line."""
    return explanation.kind == "map" and explanation.key == SIGNED_DISTANCE


def zero_lines(values: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return where an (H, W) map crosses zero, as lines (N, 2) of (y, x)."""
    if min(values.shape) < 2:
        return []
    lines = find_contours(values, 0.0)
    short = (approximate_polygon(line, tolerance=0.25) for line in lines)
    return [line for line in short if len(line) > 1]


def make_heatmap(
    explanation: Explanation, placing: dict[str, Any], *, opacity: float
) -> Layer:
    """Return the layer of a map or of categories.

    Parameters
    ----------
    explanation : Explanation
        Of kind "map" or "categories".
    placing : dict
        From `placement.place_like`.
    opacity : float
        In 0..1.
    """
    common = {
        "name": layer_name(explanation),
        "metadata": {MARK: explanation.key, "limits": contrast_limits(explanation)},
        "opacity": opacity,
        **placing,
    }
    if explanation.kind == "categories":
        layer = Labels(_as_labels(explanation.values), **common)
        layer.editable = False
        _show_categories(layer, explanation.labels)
        return layer
    return Image(
        explanation.values,
        colormap=_known_colormap(explanation.colormap),
        contrast_limits=contrast_limits(explanation),
        blending="translucent",
        **common,
    )


def update_heatmap(layer: Layer, explanation: Explanation) -> None:
    """Show newer values on a layer of `make_heatmap`; what the user set stays."""
    if explanation.kind == "categories":
        layer.data = _as_labels(explanation.values)
        if tuple(layer.features["category"]) != explanation.labels:
            _show_categories(layer, explanation.labels)
        return
    limits = contrast_limits(explanation)
    layer.data = explanation.values
    if limits != layer.metadata.get("limits"):
        layer.contrast_limits_range = layer.contrast_limits = limits
    layer.metadata["limits"] = limits


def make_zero_line(explanation: Explanation, placing: dict[str, Any]) -> Shapes:
    """Return a layer with the line on which a map is zero."""
    layer = Shapes(
        ndim=2,
        name=f"{PREFIX}zero line",
        metadata={MARK: f"{explanation.key}/zero"},
        face_color="transparent",
        edge_color=LINE_COLOUR,
        edge_width=outline_width(explanation.values.shape),
        **placing,
    )
    update_zero_line(layer, explanation)
    layer.editable = False
    return layer


def update_zero_line(layer: Shapes, explanation: Explanation) -> None:
    """Draw the line anew."""
    layer.data = []
    lines = zero_lines(explanation.values)
    if lines:
        width = outline_width(explanation.values.shape)
        layer.add_paths(lines, edge_color=LINE_COLOUR, edge_width=width)
    layer.selected_data = set()


def _as_labels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return category k as label k + 1: label 0 is transparent; not a number is 0."""
    known = np.isfinite(values) & (values >= 0)
    return np.where(known, values + 1, 0).astype(np.uint8)


def _show_categories(layer: Labels, names: Sequence[str]) -> None:
    numbers = range(1, len(names) + 1)
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    for number in numbers:
        colours[number] = (*rgb(category_colour(number - 1)), 1.0)
    layer.colormap = DirectLabelColormap(color_dict=colours)
    layer.features = {"index": list(numbers), "category": list(names)}


def _known_colormap(name: str) -> Any:
    try:
        return ensure_colormap(name)
    except KeyError:
        return ensure_colormap(FALLBACK_COLORMAP)
