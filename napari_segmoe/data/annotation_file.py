"""What annotation files of other programs hold: outlined objects with a class."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_segmoe.data.outlines import Shape


@dataclass(frozen=True, slots=True)
class OutlinedObject:
    """One object of a GeoJSON or COCO file.

    Attributes
    ----------
    id : int
        Its number in the image, from 1.
    shape : Polygon or MultiPolygon
        In (x, y) of pixel edges, full-resolution pixels.
    class_name : str or None
    colour : str or None
        Of the class, ``#rrggbb``.
    measurements : mapping of str to float
        By name, with units in the name, as "Area µm^2".
    is_locked : bool
    """

    id: int
    shape: Shape
    class_name: str | None = None
    colour: str | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    is_locked: bool = False
