"""Pictures of one resolution (PNG, JPEG, BMP, WebP) as slides.

Pillow decodes a picture at once; large ones go to the cache on disk when first read.
"""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from napari_segmoe.data.slides.colour import to_srgb, usable_profile
from napari_segmoe.data.slides.levels import sensible_spacing
from napari_segmoe.data.slides.pyramid_slide import with_pyramid
from napari_segmoe.data.slides.source import BACKGROUND, SlideLevel, SlideSource
from napari_segmoe.data.slides.tiff_source import open_tiff_slide
from napari_segmoe.data.slides.tiles import clip_box
from napari_segmoe.data.tiff import is_placeholder_dpi
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGEST_DECODED_BYTES = 1_500_000_000
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "LA": 4}
_DEEP = {"I;16", "I;16B", "I;16L", "I"}
_ORIENTATION_TAG, _FIRST_ON_ITS_SIDE = 274, 5
_HELD_PX = 16 << 20
_bomb_lock = threading.Lock()


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
    source = open_tiff_slide(path) if start in _TIFF else PlainSlide(path)
    return with_pyramid(source)


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
        self._lock = threading.Lock()
        self._picture: Image.Image | None = None
        self._factor = 1.0
        with _one_sentence(path), _opened(path) as image:
            _check_size(path, image)
            sides = image.size[::-1]  # (H, W)
            if image.getexif().get(_ORIENTATION_TAG, 1) >= _FIRST_ON_ITS_SIDE:
                sides = image.size
            self._profile, profile_notes = usable_profile(image.info.get("icc_profile"))
            self._spacing_um, notes = sensible_spacing(_stated_um(image))
        self._notes = (*notes, *profile_notes)
        self._levels = (SlideLevel(sides, (1.0, 1.0)),)

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

    @property
    def wants_copy(self) -> bool:
        """Whether its pixels are to be kept on disk rather than in memory."""
        height, width = self._levels[0].shape
        return height * width > _HELD_PX

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box, (h, w, 3) uint8 sRGB; see `SlideSource`.

        Raises
        ------
        SlideError
            If the picture is damaged or gone.
        """
        pixels = np.full((box[2] - box[0], box[3] - box[1], 3), BACKGROUND, np.uint8)
        top, left, bottom, right = clip_box(box, self._levels[level].shape)
        if top < bottom and left < right:
            with self._lock, _one_sentence(self._path):
                part = self._loaded().crop((left, top, right, bottom))
                colours = to_srgb(self._rgb(part), self._profile)
            pixels[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = (
                colours
            )
        return pixels

    def close(self) -> None:
        """Let go of the pixels."""
        self.forget_tiles()

    def forget_tiles(self) -> None:
        """Let go of the pixels; they are decoded again when they are needed."""
        with self._lock:
            self._picture = None

    def _loaded(self) -> Image.Image:
        """Return the decoded picture."""
        if self._picture is None:
            with _opened(self._path) as image:
                image.load()
                if image.mode in _DEEP:
                    low_high = image.getextrema()
                    bits = max(int(low_high[1]).bit_length(), 8)  # type: ignore[arg-type]
                    self._factor = 255 / (2**bits - 1)
                if _is_turned(image):
                    self._picture = ImageOps.exif_transpose(image)
                else:
                    self._picture = image.copy() if image.readonly else image
        return self._picture

    def _rgb(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return a part as (h, w, 3) uint8, over white where it is transparent."""
        if image.mode in _DEEP:
            grey = np.asarray(image).astype(np.float32) * self._factor
            grey8 = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
            return np.repeat(grey8[..., None], 3, axis=2)
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            white = Image.new("RGBA", image.size, (BACKGROUND,) * 4)
            return np.array(Image.alpha_composite(white, rgba).convert("RGB"))
        return np.array(image.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; how large it may be is checked by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with _bomb_lock:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        with image:
            yield image


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn what Pillow raises at a damaged picture into one sentence."""
    try:
        yield
    except SlideError:
        raise
    except Image.DecompressionBombError as error:
        raise SlideError(
            f"{path.name} has too many pixels to be decoded in one piece. Save it as "
            "a tiled TIFF."
        ) from error
    except FileNotFoundError as error:
        raise SlideError(f"{path.name} is not there (any more).") from error
    except (
        OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError,
        zlib.error, KeyError, IndexError, TypeError,
    ) as error:  # fmt: skip
        raise SlideError(
            f"{path.name} is damaged or no picture ({error}). Copy it again."
        ) from error


def _check_size(path: Path, image: Image.Image) -> None:
    """Refuse what would fill memory: Pillow decodes all of a picture at once."""
    copies = 2 if _is_turned(image) else 1
    decoded = image.width * image.height * _BYTES_PER_PIXEL.get(image.mode, 4) * copies
    if decoded > _LARGEST_DECODED_BYTES:
        raise SlideError(
            f"{path.name} is {image.height} x {image.width} px and would take "
            f"{decoded / 1e9:.1f} GB decoded in one piece; at most 1.5 GB is. "
            "Save it as a tiled TIFF."
        )


def _is_turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(_ORIENTATION_TAG, 1) != 1)


def _stated_um(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if not dpi or min(dpi) <= 0 or is_placeholder_dpi(float(dpi[0])):
        return None
    return 25_400 / float(dpi[1]), 25_400 / float(dpi[0])
