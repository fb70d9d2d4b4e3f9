"""Slides that OpenSlide reads: svs, ndpi, mrxs, scn, bif, vms, vmu, svslide, tiff."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.colour import to_srgb, usable_profile
from napari_segmoe.data.slides.levels import downsample_yx, sensible_spacing
from napari_segmoe.data.slides.source import BACKGROUND, SlideLevel
from napari_segmoe.data.slides.tiles import TileCache, clip_box, read_box
from napari_segmoe.data.tiff import is_placeholder_dpi
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

if TYPE_CHECKING:
    from openslide import OpenSlide

_LARGEST_TILE_PX = 64 << 20
_BLOCK_PX = 512
_UM_PER_INCH = 25_400.0


def open_with_openslide(path: Path) -> "OpenSlideSource":
    """Open a slide with OpenSlide.

    Raises
    ------
    SlideError
        If OpenSlide is not installed, does not know the format, or the file is
        damaged.
    """
    path = Path(path)
    try:
        return OpenSlideSource(path)
    except SlideError:
        raise
    except (
        _openslide_error(), ValueError, LookupError, ArithmeticError, OSError,
        MemoryError,
    ) as error:  # fmt: skip
        raise _damaged(path, error) from error


class OpenSlideSource:
    """A slide behind OpenSlide; see `SlideSource`.

    Parameters
    ----------
    path : Path
        File that OpenSlide detects.

    Raises
    ------
    SlideError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        self._slide: OpenSlide | None = _opened(path)
        self._cache = TileCache()
        facts = _facts(self._slide)
        self._downsamples = tuple(float(d) for d in self._slide.level_downsamples)
        sizes = [(int(h), int(w)) for w, h in self._slide.level_dimensions]
        self._origin_yx, base, bounds_notes = _bounds(facts, sizes[0])
        self._levels = tuple(
            _level(facts, number, base, size, down)
            for number, (size, down) in enumerate(
                zip(
                    _cut(sizes, base, self._downsamples), self._downsamples, strict=True
                )
            )
        )
        _check_levels(path, self._levels)
        profile = _profile(self._slide)
        self._profile, profile_notes = usable_profile(profile)
        self._spacing_um, spacing_notes = _spacing(facts)
        self._notes = (*bounds_notes, *spacing_notes, *profile_notes)
        self._metadata = _metadata(facts, has_profile=profile is not None)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def backend(self) -> str:
        """OpenSlide and its version."""
        import openslide

        return f"OpenSlide {openslide.__library_version__}"

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Resolutions, finest first."""
        return self._levels

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per level-0 pixel, (y, x)."""
        return self._spacing_um

    @property
    def origin_yx(self) -> tuple[int, int]:
        """Upper left corner of the bounds in OpenSlide's level-0 frame."""
        return self._origin_yx

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or is missing."""
        return self._notes

    @property
    def metadata(self) -> Mapping[str, str]:
        """Vendor, objective and colour profile."""
        return self._metadata

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8 sRGB; see `SlideSource`.

        Raises
        ------
        SlideError
            If that part is damaged or the file is gone.
        """
        here = self._levels[level]
        if not self._downsamples[level].is_integer():
            # OpenSlide's level-0 locations miss the pixels of such a level by a
            # fraction: fixed blocks keep a pixel the same whatever box it is in.
            side = tuple(t * max(_BLOCK_PX // t, 1) for t in here.tile_yx)
            tile_yx = (side[0], side[1])
            return read_box(
                here.shape,
                tile_yx,
                box,
                lambda row, column: self._block(level, tile_yx, row, column),
            )
        pixels = np.full((box[2] - box[0], box[3] - box[1], 3), BACKGROUND, np.uint8)
        top, left, bottom, right = clip_box(box, here.shape)
        if top < bottom and left < right:
            pixels[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = (
                self._read(level, (top, left, bottom, right))
            )
        return pixels

    def close(self) -> None:
        """Close the file; reading on is an error."""
        with self._lock:
            self._closed = True
            self._slide = None
        self._cache.clear()

    def _block(
        self, level: int, tile_yx: tuple[int, int], row: int, column: int
    ) -> NDArray[np.uint8]:
        """Return a block of the fixed lattice of a level."""
        (height, width), (h, w) = self._levels[level].shape, tile_yx
        y0, x0 = row * h, column * w
        box = (y0, x0, min(y0 + h, height), min(x0 + w, width))
        return self._cache.get((level, row, column), lambda: self._read(level, box))

    def _read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Read a box inside a level; a handle that fails is replaced once."""
        failed: OpenSlide | None = None
        for _attempt in range(2):
            slide = self._handle(failed)
            try:
                return self._pixels(slide, level, box)
            except _openslide_error() as error:
                failed, reason = slide, str(error)
        with self._lock:
            if self._slide is failed:
                self._slide = None
        raise SlideError(
            f"{self._path.name} cannot be read at level {level}, box {list(box)} "
            f"(OpenSlide: {reason}). Copy the file again; the rest of it stays usable."
        )

    def _handle(self, failed: "OpenSlide | None") -> "OpenSlide":
        """Return an open handle that is not the failed one."""
        with self._lock:
            if self._closed:
                raise SlideError(f"{self._path.name} was closed; open it again.")
            if self._slide is None or self._slide is failed:
                self._slide = _opened(self._path)
            return self._slide

    def _pixels(
        self, slide: "OpenSlide", level: int, box: tuple[int, int, int, int]
    ) -> NDArray[np.uint8]:
        y0, x0, y1, x1 = box
        down = self._downsamples[level]
        location = (
            self._origin_yx[1] + round(x0 * down),
            self._origin_yx[0] + round(y0 * down),
        )
        image = slide.read_region(location, level, (x1 - x0, y1 - y0))
        colours = to_srgb(np.array(image.convert("RGB")), self._profile)
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() == BACKGROUND:
            return colours
        share = alpha[..., None].astype(np.float32) / 255
        over = colours * share + BACKGROUND * (1 - share)
        return np.rint(over).astype(np.uint8)


def _facts(slide: "OpenSlide") -> dict[str, str]:
    """Return OpenSlide's own properties; those of scanners may name a patient.

    Damaged names are listed but not found.
    """
    names = [name for name in slide.properties if name.startswith("openslide.")]
    return {name: slide.properties[name] for name in names}


def _profile(slide: "OpenSlide") -> bytes | None:
    """Return the ICC profile; of one that cannot be read, bytes that are none."""
    from PIL import ImageCms

    try:
        profile = slide.color_profile
    except (ImageCms.PyCMSError, OSError, ValueError):
        return b"damaged"
    return None if profile is None else profile.tobytes()


def _openslide_error() -> type[Exception]:
    from openslide import OpenSlideError

    return OpenSlideError


def _opened(path: Path) -> "OpenSlide":
    """Open a slide; whatever goes wrong becomes one sentence."""
    try:
        import openslide
    except ImportError as error:
        raise SlideError(
            f"{path.name} needs OpenSlide, which is not installed. Run "
            '`pip install "napari-segmoe[slides]"`.'
        ) from error
    if not path.exists():
        raise SlideError(f"{path.name} is not there (any more). Choose it again.")
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideError(
            f"{path.name} is no slide that OpenSlide knows; expected svs, ndpi, mrxs, "
            "scn, bif, vms, vmu, svslide or a tiled TIFF."
        ) from error
    except openslide.OpenSlideError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SlideError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return SlideError(
        f"{path.name} is damaged or cut short (OpenSlide: {reason}). Copy it again."
    )


def _bounds(
    facts: Mapping[str, str], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[str, ...]]:
    """Return where the frame begins, its size and what is to be said."""
    names = ("bounds-y", "bounds-x", "bounds-height", "bounds-width")
    stated = [facts.get(f"openslide.{name}") for name in names]
    if None in stated:
        return (0, 0), size, ()
    y, x, height, width = (int(str(value)) for value in stated)
    inside = 0 <= y < y + height <= size[0] and 0 <= x < x + width <= size[1]
    if inside:
        return (y, x), (height, width), ()
    return (
        (0, 0),
        size,
        ("The bounds that the file states lie outside it; the whole is shown.",),
    )


def _cut(
    sizes: list[tuple[int, int]],
    base: tuple[int, int],
    downsamples: tuple[float, ...],
) -> list[tuple[int, int]]:
    """Return the sizes of the levels within the bounds."""
    if sizes[0] == base:
        return sizes
    return [
        (max(round(base[0] / down), 1), max(round(base[1] / down), 1))
        for down in downsamples
    ]


def _level(
    facts: Mapping[str, str],
    number: int,
    base: tuple[int, int],
    size: tuple[int, int],
    down: float,
) -> SlideLevel:
    tile = [
        int(facts.get(f"openslide.level[{number}].tile-{side}", 256))
        for side in ("height", "width")
    ]
    step = (down, down) if down.is_integer() else downsample_yx(base, size)
    return SlideLevel(size, step, (tile[0], tile[1]))


def _check_levels(path: Path, levels: tuple[SlideLevel, ...]) -> None:
    for level in levels:
        if min(level.shape) < 1 or min(level.tile_yx) < 1:
            raise SlideError(f"{path.name} has a level without pixels: it is damaged.")
        if level.tile_yx[0] * level.tile_yx[1] > _LARGEST_TILE_PX:
            raise SlideError(
                f"{path.name} has tiles of {level.tile_yx[0]} x {level.tile_yx[1]} px; "
                "expected at most 64 million pixels. Save it with tiles of 256 px."
            )


def _spacing(facts: Mapping[str, str]) -> tuple[Spacing | None, tuple[str, ...]]:
    stated = _stated_um(facts)
    spacing, notes = sensible_spacing(stated)
    power = facts.get("openslide.objective-power")
    if spacing is None and power:
        notes = (*notes, f"It was scanned with a {power}x objective.")
    return spacing, notes


def _stated_um(facts: Mapping[str, str]) -> tuple[float, float] | None:
    """Return mpp (y, x) as OpenSlide found it."""
    try:
        y, x = (float(facts[f"openslide.mpp-{axis}"]) for axis in "yx")
    except (KeyError, ValueError):
        return None
    generic = facts.get("openslide.vendor") == "generic-tiff"
    if generic and x > 0 and is_placeholder_dpi(_UM_PER_INCH / x):
        return None
    return y, x


def _metadata(facts: Mapping[str, str], *, has_profile: bool) -> dict[str, str]:
    wanted = {"vendor": "openslide.vendor", "objective": "openslide.objective-power"}
    metadata = {name: facts[key] for name, key in wanted.items() if facts.get(key)}
    return metadata | ({"colour profile": "ICC"} if has_profile else {})
