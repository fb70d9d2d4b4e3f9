"""npe2 readers: files become image layers with their scale and where they came from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning

from napari_segmoe.data.images import read_image
from napari_segmoe.data.slides.opening import is_slide, open_shared
from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.types import LoadedImage, Modality
from napari_segmoe.viewer.slide_levels import make_levels

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | Sequence[str]], list[LayerData]]

SLIDE_PATH = "slide_path"  # in a layer's metadata: it shows that slide
# Nothing else has these names: what is wrong with such a file must be said.
SLIDE_SUFFIXES = frozenset(
    (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
)
IMAGE_SUFFIXES = frozenset(
    (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".jp2")
)


def get_image_reader(path: str | Sequence[str]) -> Reader | None:
    """Return `read_layers` for images and slides, None for what is neither."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(map(_is_known, paths)) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read each file into one image layer.

    A clip becomes (frames, H, W[, 3]); a slide a pyramid that is read as it is
    looked at.

    Raises
    ------
    ImageReadError
        If a file cannot be read.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [_read_layer(Path(one)) for one in paths]


def slide_layer(source: SlideSource, *, name: str) -> LayerData:
    """Return an open slide as napari layer data: a pyramid of lazy dask arrays.

    Parameters
    ----------
    source : SlideSource
        The slide; it is opened anew by its path where it was closed.
    name : str
        The layer's name.
    """
    levels, _ = make_levels(source, lambda error: show_warning(str(error)))
    options: dict[str, Any] = {
        "name": name,
        "rgb": True,
        "multiscale": True,
        "metadata": {
            SLIDE_PATH: str(source.path),
            "modality": str(Modality.HISTOLOGY),
            "spacing_um": source.spacing_um,
            "notes": source.notes,
            "origin_yx": source.origin_yx,
            "backend": source.backend,
        },
    }
    if source.spacing_um is not None:
        options["scale"] = source.spacing_um
        options["units"] = ("um", "um")
    return levels, options, "image"


def to_layer(image: LoadedImage, *, name: str, frames: Any = None) -> LayerData:
    """Return one image as napari layer data.

    Parameters
    ----------
    image : LoadedImage
        Pixels, scale and notes.
    name : str
        The layer's name.
    frames : (N, H, W) or (N, H, W, 3) uint8, optional
        All frames of a clip, shown in place of ``image.pixels``.
    """
    pixels = image.pixels if frames is None else frames
    axes = [] if frames is None else [1.0]
    options: dict[str, Any] = {
        "name": name,
        "rgb": image.pixels.ndim == 3,
        "metadata": {
            "modality": str(image.modality),
            "spacing_um": image.spacing_um,
            "notes": image.notes,
            "origin_yx": image.origin_yx,
            "regions": image.regions,
        },
    }
    if image.spacing_um is not None:
        options["scale"] = [*axes, *image.spacing_um]
        options["units"] = (*("pixel" for _ in axes), "um", "um")
    return pixels, options, "image"


def _is_known(path: str) -> bool:
    at = Path(path)
    suffix = at.suffix.lower()
    if at.is_dir():
        return is_slide(at)
    if not at.is_file():
        return False
    return suffix in SLIDE_SUFFIXES | IMAGE_SUFFIXES or is_slide(at)


def _read_layer(path: Path) -> LayerData:
    if path.suffix.lower() in SLIDE_SUFFIXES or is_slide(path):
        source = open_shared(path)
        for note in source.notes:
            show_info(note)
        return slide_layer(source, name=path.stem.removesuffix(".ome"))
    image = read_image(path)
    for note in image.notes:
        show_info(note)
    return to_layer(image, name=path.stem, frames=_frames(path, image))


def _frames(path: Path, image: LoadedImage) -> Any:
    """Return all frames of an ultrasound clip, each in the first one's crop."""
    if image.frame_count == 1 or "transfer_syntax" not in image.metadata:
        return None
    frames = np.zeros((image.frame_count, *image.pixels.shape), np.uint8)
    y0, x0 = image.origin_yx
    for index in range(image.frame_count):
        one = read_image(path, frame=index)
        top, left = one.origin_yx[0] - y0, one.origin_yx[1] - x0
        height, width = one.pixels.shape[:2]
        target = frames[
            index,
            max(top, 0) : max(top + height, 0),
            max(left, 0) : max(left + width, 0),
        ]
        source = one.pixels[max(-top, 0) :, max(-left, 0) :]
        target[...] = source[: target.shape[0], : target.shape[1]]
    return frames
