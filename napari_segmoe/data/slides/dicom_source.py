"""DICOM whole slides, read by wsidicom: tissue only, never label or overview."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.codestreams import check_codestream
from napari_segmoe.data.slides.colour import to_srgb, usable_profile
from napari_segmoe.data.slides.dicom_levels import library_errors, open_levels
from napari_segmoe.data.slides.dicom_series import SlideFile, find_levels
from napari_segmoe.data.slides.levels import downsample_yx, sensible_spacing
from napari_segmoe.data.slides.source import BACKGROUND, SlideLevel
from napari_segmoe.data.slides.tiles import TileCache, read_box
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

_LARGEST_TILE_PX = 64 << 20
_MOST_TILES = 16 << 20


def open_dicom_slide(path: Path) -> "DicomSource":
    """Open the DICOM slide of a folder, or the one that a file is part of.

    Raises
    ------
    SlideError
        If wsidicom or a decoder is not installed, the folder holds no slide or
        several, or the files are damaged.
    """
    return DicomSource(Path(path))


class DicomSource:
    """A DICOM slide behind wsidicom; see `SlideSource`.

    Parameters
    ----------
    path : Path
        A folder with the files of one slide, or any one of them.

    Raises
    ------
    SlideError
        As `open_dicom_slide`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache = TileCache()
        self._errors = library_errors(path.name)
        files, notes = find_levels(path)
        with warnings.catch_warnings(), self._sentences("opened"):
            warnings.simplefilter("ignore")
            self._images, self._sources, more = open_levels(path, files)
        try:
            with self._sentences("opened"):
                self._levels = tuple(_levels(self._images))
                _check_levels(path, self._levels)
                spacing, spacing_notes = sensible_spacing(_spacing_um(self._images[0]))
                profile, profile_notes = usable_profile(_profile(self._images[0]))
                self._planes = [(i.default_z, i.default_path) for i in self._images]
        except SlideError:
            self.close()
            raise
        self._spacing_um, self._profile = spacing, profile
        self._notes = (*notes, *more, *spacing_notes, *profile_notes)
        self._metadata = _metadata(self._images[0], files[0])

    @property
    def path(self) -> Path:
        """The folder or file that was asked for."""
        return self._path

    @property
    def backend(self) -> str:
        """Wsidicom and its version."""
        import wsidicom

        return f"wsidicom {wsidicom.__version__}"

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Resolutions, finest first."""
        return self._levels

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per level-0 pixel, (y, x): PixelSpacing of the finest level."""
        return self._spacing_um

    @property
    def origin_yx(self) -> tuple[int, int]:
        """The whole pixel matrix is shown."""
        return 0, 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, left out or is missing."""
        return self._notes

    @property
    def metadata(self) -> Mapping[str, str]:
        """Compression and colours; nothing of the patient or specimen."""
        return self._metadata

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8 sRGB; see `SlideSource`.

        Raises
        ------
        SlideError
            If that part is damaged or the files are gone.
        """
        here = self._levels[level]
        return read_box(
            here.shape,
            here.tile_yx,
            box,
            lambda row, column: self._cache.get(
                (level, row, column), lambda: self._tile(level, row, column)
            ),
        )

    def close(self) -> None:
        """Close all files."""
        for source in self._sources:
            source.close()
        self._cache.clear()

    def _tile(self, level: int, row: int, column: int) -> NDArray[np.uint8]:
        from wsidicom.geometry import Point

        image, tile_yx = self._images[level], self._levels[level].tile_yx
        place, (z, path) = Point(column, row), self._planes[level]
        with self._sentences(f"read at level {level}, tile ({row}, {column})"):
            data = image.image_data
            if data.is_sparse(place, z, path):
                return np.full((*tile_yx, 3), BACKGROUND, np.uint8)
            encoded = data.get_encoded_tile(place, z, path)
            check_codestream(encoded, tile_yx, self._path.name)
            stored = np.asarray(data.decoder.decode(encoded))
            if stored.shape[:2] != tile_yx:
                raise ValueError(f"a tile of {stored.shape[:2]} px")
            return to_srgb(_colours(stored, data.bits), self._profile)

    @contextmanager
    def _sentences(self, action: str) -> Iterator[None]:
        """Turn whatever wsidicom, pydicom and decoders raise into one sentence."""
        try:
            yield
        except SlideError:
            raise
        except self._errors as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise SlideError(
                f"The DICOM slide {self._path.name} cannot be {action}: "
                f"{reason[:200]}. It is damaged, cut short, moved or of an unusual "
                "kind; copy it again."
            ) from error


def _levels(images: list[Any]) -> Iterator[SlideLevel]:
    base = (int(images[0].size.height), int(images[0].size.width))
    for image in images:
        shape = (int(image.size.height), int(image.size.width))
        tile_yx = (int(image.tile_size.height), int(image.tile_size.width))
        yield SlideLevel(shape, downsample_yx(base, shape), tile_yx)


def _check_levels(path: Path, levels: tuple[SlideLevel, ...]) -> None:
    for level in levels:
        (height, width), (h, w) = level.shape, level.tile_yx
        if min(height, width, h, w) < 1 or h * w > _LARGEST_TILE_PX:
            raise SlideError(
                f"{path.name} states {height} x {width} px in tiles of {h} x {w} px, "
                "which no slide has: it is damaged. Copy it again."
            )
        if -(-height // h) * -(-width // w) > _MOST_TILES:
            raise SlideError(
                f"{path.name} states {height} x {width} px, more than its files can "
                "hold: it is damaged. Copy it again."
            )


def _spacing_um(image: Any) -> Spacing | None:
    spacing = image.pixel_spacing
    if spacing is None:
        return None
    return float(spacing.height) * 1000, float(spacing.width) * 1000


def _profile(image: Any) -> bytes | None:
    """Return the ICC profile of the first optical path."""
    dataset = image.dataset.as_dataset()
    for optical_path in dataset.get("OpticalPathSequence") or []:
        profile = optical_path.get("ICCProfile")
        return None if profile is None else bytes(profile)
    return None


def _colours(stored: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return stored values as (h, w, 3) uint8."""
    values = stored if bits <= 8 else stored >> (bits - 8)
    pixels = values.astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _metadata(image: Any, file: SlideFile) -> dict[str, str]:
    from pydicom.uid import UID

    return {
        "transfer_syntax": str(UID(file.syntax).name),
        "photometric": str(image.image_data.photometric_interpretation),
    }
