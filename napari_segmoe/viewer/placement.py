"""Where an image layer lies in the world, and which of its pixels are shown."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_segmoe.data.intensity import as_uint8_image
from napari_segmoe.errors import ImageReadError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.types import Modality, Spacing

_UM = {
    "micrometer": 1.0,
    "millimeter": 1000.0,
    "centimeter": 10_000.0,
    "nanometer": 0.001,
    "meter": 1_000_000.0,
}


def place_like(image: Image) -> dict[str, Any]:
    """Return the keywords that put a 2-D layer exactly onto the shown slice.

    Returns
    -------
    dict
        ``affine``: (3, 3) of data -> world, both (y, x); and ``units``.
    """
    origin = np.zeros(image.ndim)
    start = np.asarray(image.data_to_world(origin), float)[-2:]
    affine = np.eye(3)
    affine[:2, 2] = start
    for column, axis in enumerate((image.ndim - 2, image.ndim - 1)):
        step = origin.copy()
        step[axis] = 1
        moved = np.asarray(image.data_to_world(step), float)[-2:]
        affine[:2, column] = moved - start
    return {"affine": affine, "units": tuple(image.units)[-2:]}


def read_spacing_um(image: Image) -> Spacing | None:
    """Return (y, x) micrometres per pixel: the layer's scale if its units are lengths.

    Without such units, what the file said (``metadata["spacing_um"]``), else None.
    """
    factors = [_UM.get(str(unit)) for unit in tuple(image.units)[-2:]]
    if all(factor is not None for factor in factors):
        sides = np.abs(np.asarray(image.scale, float)[-2:]) * np.asarray(factors, float)
        return float(sides[0]), float(sides[1])
    stated = image.metadata.get("spacing_um")
    return (float(stated[0]), float(stated[1])) if stated is not None else None


def read_modality(image: Image) -> Modality:
    """Return the modality that the file or the user stated for a layer."""
    stated = str(image.metadata.get("modality", Modality.UNKNOWN))
    known = {str(m) for m in Modality}
    return Modality(stated) if stated in known else Modality.UNKNOWN


def slice_index(image: Image, step: tuple[int, ...]) -> tuple[int, ...]:
    """Return which slice of an (..., H, W) layer is shown at the viewer's ``step``."""
    extra = image.ndim - 2
    shown = tuple(step)[-image.ndim :][:extra]
    sizes = image.data.shape[:extra]
    return tuple(min(max(int(s), 0), n - 1) for s, n in zip(shown, sizes, strict=False))


def make_session_image(image: Image, step: tuple[int, ...]) -> SessionImage:
    """Return the shown slice of an image layer as the session takes it.

    Parameters
    ----------
    image : Image
        Grey or RGB layer of two or more dimensions.
    step : tuple of int
        ``viewer.dims.current_step``.

    Raises
    ------
    ImageReadError
        If the layer is a pyramid, or its pixels cannot be used.
    """
    if image.multiscale:
        raise ImageReadError(
            f"{image.name!r} is a pyramid of resolutions. Whole slides are not"
            " supported yet: open one region of it as a plain image."
        )
    index = slice_index(image, step)
    pixels = as_uint8_image(np.asarray(image.data[index]))
    name = f"{image.name} {list(index)}" if index else image.name
    path = file_of(image)
    sizes = image.data.shape[: len(index)]
    return SessionImage(
        key=f"{_name_of(image, path)}:{index}",
        pixels=pixels,
        spacing_um=read_spacing_um(image),
        modality=read_modality(image),
        name=name,
        path=path,
        frame=int(np.ravel_multi_index(index, sizes)) if index else 0,
    )


def file_of(image: Image) -> Path | None:
    """Return the file that a layer was read from, None where there is none."""
    path = Path(image.source.path) if image.source.path else None
    return path if path is not None and path.is_file() else None


def _name_of(image: Image, path: Path | None) -> str:
    """Return a name that the same file has again; of pixels without one, a layer's."""
    if path is None:
        return str(image.unique_id)
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
