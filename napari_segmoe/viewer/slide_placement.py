"""Which slide a layer shows, and where a region of it lies in the world."""

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.opening import is_slide, open_shared
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import SlideError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.slide_scene import SlideScene, SpacingSource
from napari_segmoe.types import Modality, Spacing
from napari_segmoe.viewer.placement import place_like, read_modality, read_spacing_um
from napari_segmoe.viewer.readers import SLIDE_PATH

_SAME = 1e-6


def make_scene(image: Image) -> SlideScene:
    """Return the slide that a multiscale image layer shows.

    Parameters
    ----------
    image : Image
        Made by our reader, or by another one from a file that we can open too.

    Raises
    ------
    SlideError
        If it was not made from a slide's file, or the file cannot be read.
    """
    path = _slide_path(image)
    source = open_shared(path)
    shape = source.levels[0].shape
    if tuple(image.data[0].shape[:2]) != shape:
        height, width = image.data[0].shape[:2]
        raise SlideError(
            f"{image.name!r} is {height} x {width} px, its file {shape[0]} x"
            f" {shape[1]} px: it shows another part of the slide. Open the file again"
            " with SegMoE's reader."
        )
    try:
        key = fingerprint(path)
    except OSError as error:
        raise SlideError(
            f"{path.name} cannot be read: {error.strerror or error}."
        ) from error
    spacing_um, spacing_source = read_scale(image, source.spacing_um)
    modality = read_modality(image)
    return SlideScene(
        key=key,
        path=path,
        name=image.name,
        shape=shape,
        spacing_um=spacing_um,
        spacing_source=spacing_source,
        backend=source.backend,
        notes=tuple(source.notes),
        modality=Modality.HISTOLOGY if modality is Modality.UNKNOWN else modality,
    )


def read_scale(
    image: Image, stated_um: Spacing | None
) -> tuple[Spacing | None, SpacingSource]:
    """Return a slide layer's pixel size and who says it: the layer, else the file."""
    shown_um = read_spacing_um(image)
    if shown_um is None:
        shown_um = stated_um
    if shown_um is None:
        return None, SpacingSource.ASSUMED
    is_files = stated_um is not None and np.allclose(shown_um, stated_um, rtol=_SAME)
    return shown_um, SpacingSource.FILE if is_files else SpacingSource.LAYER


def place_region(image: Image, region: SlideRegion) -> dict[str, Any]:
    """Return the keywords that put a 2-D layer exactly onto a region of a slide.

    Whatever scale, rotation, shear or translation the slide's layer has holds too.
    """
    placing = place_like(image)
    (y0, x0), (step_y, step_x) = region.to_slide(0, 0), region.step_yx
    within = np.array([[step_y, 0, y0], [0, step_x, x0], [0, 0, 1]], float)
    return {**placing, "affine": placing["affine"] @ within}


def place_on(image: Image, chosen: SessionImage | None) -> dict[str, Any]:
    """Return the keywords that put a 2-D layer onto the session's image.

    On a slide that is its current region; the slide itself before the first.
    """
    if chosen is not None and isinstance(chosen.pixels, SlideRegion):
        return place_region(image, chosen.pixels)
    return place_like(image)


def pixel_at(
    image: Image, chosen: SessionImage, position: Any
) -> tuple[float, float] | None:
    """Return the pixel of the session's image at a world position; None outside."""
    y, x = np.asarray(image.world_to_data(position), float)[-2:]
    if isinstance(chosen.pixels, SlideRegion):
        y, x = chosen.pixels.from_slide(float(y), float(x))
    return (float(y), float(x)) if chosen.contains(y, x) else None


def _slide_path(image: Image) -> Path:
    stated = image.metadata.get(SLIDE_PATH) or image.source.path
    path = Path(stated) if stated else None
    if path is not None and (SLIDE_PATH in image.metadata or is_slide(path)):
        return path
    raise SlideError(
        f"{image.name!r} is a pyramid of resolutions that no slide's file stands"
        " behind. Open the file with SegMoE's reader, or one resolution of it as a"
        " plain image."
    )
