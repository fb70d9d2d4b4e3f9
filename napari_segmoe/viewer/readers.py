"""npe2 readers: files become image layers with their scale and where they came from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info

from napari_segmoe.data.images import read_image
from napari_segmoe.types import LoadedImage

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | Sequence[str]], list[LayerData]]


def get_image_reader(path: str | Sequence[str]) -> Reader | None:
    """Return `read_layers` for files, None for folders (npe2 asks which)."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(Path(one).is_file() for one in paths) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read each file into one image layer; a clip becomes (frames, H, W[, 3]).

    Raises
    ------
    ImageReadError
        If a file cannot be read.
    """
    paths = [path] if isinstance(path, str) else list(path)
    layers = []
    for one in paths:
        image = read_image(one)
        for note in image.notes:
            show_info(note)
        layers.append(to_layer(image, name=Path(one).stem, frames=_frames(one, image)))
    return layers


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


def _frames(path: str, image: LoadedImage) -> Any:
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
