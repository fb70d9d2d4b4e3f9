"""Pictures of one resolution (PNG, JPEG, BMP, WebP) as slides."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_segmoe.data.slides.colour import to_srgb, usable_profile
from napari_segmoe.data.slides.levels import sensible_spacing
from napari_segmoe.data.slides.source import BACKGROUND, SlideLevel, SlideSource
from napari_segmoe.data.slides.tiff_source import open_tiff_slide
from napari_segmoe.data.slides.tiles import read_box
from napari_segmoe.data.tiff import is_placeholder_dpi
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_DECODED_BYTES = 1_500_000_000


def open_plain_slide(path: Path) -> SlideSource:
    """Open a picture of one resolution as a slide.

    Raises
    ------
    SlideError
        If it is no picture, damaged, or too large to be decoded.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SlideError(f"{path.name} cannot be opened ({error.strerror}).") from error
    return open_tiff_slide(path) if start in _TIFF else PlainSlide(path)


class PlainSlide:
    """A picture that Pillow decodes; see `SlideSource`.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SlideError
        If Pillow does not know it, or it is too large.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pixels, self._spacing_um, self._notes = _decoded(path)
        height, width = self._pixels.shape[:2]
        self._levels = (SlideLevel((height, width), (1.0, 1.0)),)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def backend(self) -> str:
        """Pillow and its version."""
        import PIL

        return f"Pillow {PIL.__version__}"

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """The one resolution."""
        return self._levels

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per pixel, (y, x)."""
        return self._spacing_um

    @property
    def origin_yx(self) -> tuple[int, int]:
        """(0, 0)."""
        return 0, 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or is missing."""
        return self._notes

    @property
    def metadata(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box, (h, w, 3) uint8 sRGB; see `SlideSource`."""
        shape = self._levels[level].shape
        return read_box(shape, shape, box, lambda row, column: self._pixels)

    def close(self) -> None:
        """Nothing is open."""


def _decoded(
    path: Path,
) -> tuple[NDArray[np.uint8], Spacing | None, tuple[str, ...]]:
    """Return the pixels (H, W, 3), the spacing and notes of a picture."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            _check_size(path, image.size)
            profile, profile_notes = usable_profile(image.info.get("icc_profile"))
            spacing, notes = sensible_spacing(_stated_um(image))
            pixels = _rgb(image)
    except SlideError:
        raise
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise SlideError(
            f"{path.name} is damaged or no picture ({error}). Copy it again."
        ) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return to_srgb(pixels, profile), spacing, (*notes, *profile_notes)


def _check_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse what would fill memory: Pillow takes 4 bytes a pixel."""
    decoded = size[0] * size[1] * 4
    if decoded > _LARGEST_DECODED_BYTES:
        raise SlideError(
            f"{path.name} is {size[1]} x {size[0]} px and would take "
            f"{decoded / 1e9:.1f} GB decoded in one piece; at most 1.5 GB is. "
            "Save it as a tiled TIFF."
        )


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (BACKGROUND,) * 4)
        return np.array(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.array(image.convert("RGB"))


def _stated_um(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if not dpi or min(dpi) <= 0 or is_placeholder_dpi(float(dpi[0])):
        return None
    return 25_400 / float(dpi[1]), 25_400 / float(dpi[0])
