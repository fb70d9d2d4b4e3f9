"""Masks as exact polygons along pixel edges, and back."""

from typing import TypeAlias

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from skimage.draw import polygon as polygon_pixels

from napari_segmoe.types import Mask

Shape: TypeAlias = Polygon | MultiPolygon


def trace_mask(mask: Mask, *, origin_yx: tuple[int, int] = (0, 0)) -> Shape:
    """Return the polygons around a mask's pixels, holes left out.

    Coordinates are (x, y) of pixel edges: pixel (0, 0) covers 0..1 in both, as QuPath
    and GeoJSON files have it. `fill_shape` gives back exactly the same pixels.

    Parameters
    ----------
    mask : (h, w) bool
    origin_yx : (int, int)
        Where its first pixel lies in the image.
    """
    top, left = origin_yx
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    runs = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
    joined = shapely.union_all(runs)
    # Corners within straight edges are dropped; the area stays the same.
    return _as_shape(shapely.simplify(joined, 0))


def fill_shape(shape: Shape, size: tuple[int, int]) -> Mask:
    """Return the pixels whose centre a shape holds, (h, w) bool.

    What lies outside the image is left out.

    Parameters
    ----------
    shape : Polygon or MultiPolygon
        In (x, y) of pixel edges.
    size : (int, int)
        Height and width of the image.
    """
    filled = np.zeros(size, bool)
    for part in _parts(shape):
        low_x, low_y, high_x, high_y = part.bounds
        y0, y1 = max(int(low_y), 0), min(int(np.ceil(high_y)), size[0])
        x0, x1 = max(int(low_x), 0), min(int(np.ceil(high_x)), size[1])
        if y0 < y1 and x0 < x1:
            inside = _fill_ring(part.exterior.coords, (y0, x0, y1, x1))
            for hole in part.interiors:
                inside &= ~_fill_ring(hole.coords, (y0, x0, y1, x1))
            filled[y0:y1, x0:x1] |= inside
    return filled


def mend_shape(shape: shapely.Geometry) -> Shape | None:
    """Return the area of a shape that may cross itself; None where it has none."""
    if not shapely.is_valid(shape):
        shape = shapely.make_valid(shape)
    areas = [
        part
        for part in shapely.get_parts(shape)
        for part in (
            shapely.get_parts(part)
            if part.geom_type == "GeometryCollection"
            else [part]
        )
        if part.geom_type in {"Polygon", "MultiPolygon"} and part.area > 0
    ]
    return _as_shape(shapely.union_all(areas)) if areas else None


def _as_shape(shape: shapely.Geometry) -> Shape:
    if isinstance(shape, Polygon | MultiPolygon):
        return shape
    return MultiPolygon([part for part in shapely.get_parts(shape) if part.area > 0])


def _parts(shape: Shape) -> tuple[Polygon, ...]:
    return (shape,) if isinstance(shape, Polygon) else tuple(shape.geoms)


def _fill_ring(corners: object, box: tuple[int, int, int, int]) -> Mask:
    y0, x0, y1, x1 = box
    xy = np.asarray(corners, float)
    filled = np.zeros((y1 - y0, x1 - x0), bool)
    rows, columns = polygon_pixels(
        xy[:, 1] - 0.5 - y0, xy[:, 0] - 0.5 - x0, filled.shape
    )
    filled[rows, columns] = True
    return filled
