"""Open a slide, whatever file holds it; its content, not its name, says which."""

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from napari_segmoe.data.intensity import MAX_SIDE_PX
from napari_segmoe.data.slides.backends import (
    INSTALL_SLIDES,
    Backend,
    list_backends,
    openslide_version,
)
from napari_segmoe.data.slides.sniffing import (
    SlideKind,
    is_slide_dicom,
    sniff_slide,
)
from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.errors import SlideError

__all__ = ["Backend", "is_slide", "list_backends", "open_shared", "open_slide"]

# A tiled TIFF beyond this is a slide even without further levels.
_TILED_SIDE_PX = 8192
# Pillow refuses more; all its pixels would be in memory several times.
_MAX_IMAGE_PX = 178_956_970
_GENERIC = "generic-tiff"
_logger = logging.getLogger(__name__)
_opening = Lock()


def open_slide(path: str | Path) -> SlideSource:
    """Open a slide with the library that suits its content.

    Parameters
    ----------
    path : path
        A file, or the folder of an OME-Zarr or DICOM slide. One file of a DICOM
        slide stands for the whole series.

    Returns
    -------
    SlideSource
        Its ``backend`` names the library; ``notes`` say why it is not the one that
        would suit best, where it is not.

    Raises
    ------
    SlideError
        If it is missing, damaged, no slide, or needs a library that is not here;
        one sentence says which and how to install it.
    """
    from napari_segmoe.data.slides.pyramid_slide import with_pyramid

    return with_pyramid(_open_content(*sniff_slide(Path(path))))


def _open_content(kind: SlideKind, path: Path) -> SlideSource:
    if kind is SlideKind.DICOM:
        from napari_segmoe.data.slides.dicom_source import open_dicom_slide

        return open_dicom_slide(path)
    if kind is SlideKind.ZARR:
        from napari_segmoe.data.slides.zarr_source import open_zarr_slide

        return open_zarr_slide(path)
    if kind is SlideKind.TIFF:
        return _open_tiff(path)
    if kind is SlideKind.PLAIN:
        from napari_segmoe.data.slides.plain_source import open_plain_slide

        return open_plain_slide(path)
    return _open_vendor(path, is_known=kind is SlideKind.VENDOR)


def open_shared(path: Path) -> SlideSource:
    """Return this process's open source of a slide; the newest few stay open.

    A file that was changed since is opened anew.

    Raises
    ------
    SlideError
        As `open_slide`; also where the slide was deleted meanwhile.
    """
    version = _version(path)
    with _opening:
        return _open_version(path, version)


def is_slide(path: str | Path) -> bool:
    """Whether a file or folder is to be opened as a slide rather than as an image.

    Slides are what OpenSlide knows, pyramids, large tiled TIFFs, DICOM whole-slide
    files, OME-Zarr images, and images too large for
    `napari_segmoe.data.images.read_image`. Reads headers only, and never raises.
    """
    try:
        kind, path = sniff_slide(Path(path))
    except SlideError:
        return False
    if kind is SlideKind.DICOM:
        return path.is_dir() or is_slide_dicom(path)
    if kind is SlideKind.ZARR:
        from napari_segmoe.data.slides.zarr_source import is_zarr_image

        return is_zarr_image(path)
    if kind is SlideKind.TIFF:
        return _is_tiff_slide(path)
    if kind is SlideKind.PLAIN:
        return _is_large_image(path)
    return kind is SlideKind.VENDOR or _vendor(path) is not None


def _open_tiff(path: Path) -> SlideSource:
    """Open a scanner's TIFF with OpenSlide, any other with tifffile.

    OpenSlide takes an OME-TIFF for a TIFF of one level, without a scale.
    """
    from napari_segmoe.data.slides.openslide_source import open_with_openslide
    from napari_segmoe.data.slides.tiff_source import open_tiff_slide

    vendor = _vendor(path)
    if vendor in {None, _GENERIC}:
        return open_tiff_slide(path, notes=_why_tifffile(path))
    try:
        return open_with_openslide(path)
    except SlideError as refusal:
        reason = str(refusal).replace(path.name, "the file")
        _logger.info("OpenSlide refused a slide: %s", reason)
        note = f"tifffile reads this slide, as OpenSlide refused it: {reason}"
        try:
            return open_tiff_slide(path, notes=(note,))
        except SlideError as error:
            raise refusal from error


def _open_vendor(path: Path, *, is_known: bool) -> SlideSource:
    from napari_segmoe.data.slides.openslide_source import open_with_openslide

    if _vendor(path) is not None:
        return open_with_openslide(path)
    if openslide_version() is None and (is_known or _is_vendor_name(path)):
        raise SlideError(
            f"{path.name} needs OpenSlide, which is not installed. Run "
            f"`{INSTALL_SLIDES}`."
        )
    if is_known:
        raise SlideError(
            f"{path.name} is damaged or a part of it is missing: OpenSlide does not "
            "know it. Copy the slide again with the folder of its name."
        )
    raise SlideError(
        f"{path.name} is no slide that can be read; expected a file of a slide "
        "scanner, TIFF, DICOM, OME-Zarr, PNG or JPEG. Choose another, or copy it "
        "again if it should be one."
    )


def _is_vendor_name(path: Path) -> bool:
    formats = next(b.formats for b in list_backends() if b.name == "OpenSlide")
    return path.suffix.lower().lstrip(".") in formats


def _vendor(path: Path) -> str | None:
    """Return OpenSlide's name of a format; None if it knows none, or is not here."""
    if openslide_version() is None:
        return None
    import openslide

    try:
        return openslide.OpenSlide.detect_format(path)
    except (openslide.OpenSlideError, OSError, ValueError):
        return None


def _why_tifffile(path: Path) -> tuple[str, ...]:
    """Say why OpenSlide does not read a scanner's file, where that is so."""
    if not _tiff_says(path, _is_scanner_tiff):
        return ()
    if openslide_version() is None:
        return (
            "tifffile reads this slide, as OpenSlide is not installed; "
            f"`{INSTALL_SLIDES}` installs it.",
        )
    return (
        "tifffile reads this slide, as OpenSlide does not know it: a part of the file "
        "may be missing.",
    )


def _is_tiff_slide(path: Path) -> bool:
    if _vendor(path) not in {None, _GENERIC}:
        return True
    return _tiff_says(path, _is_scanner_tiff, _has_levels, _is_large)


def _tiff_says(path: Path, *questions: Callable[[Any], bool]) -> bool:
    """Whether any question about a TIFF file is answered yes; a damaged one says no."""
    import struct

    import tifffile

    # Whoever opens the file says what is wrong with it; its log would say it too.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        with tifffile.TiffFile(path) as tiff:
            return any(question(tiff) for question in questions)
    except (
        tifffile.TiffFileError, struct.error, OSError, ValueError, KeyError, IndexError,
        RuntimeError, TypeError, ArithmeticError, SyntaxError, AttributeError,
        MemoryError,
    ):  # fmt: skip
        return False


def _is_scanner_tiff(tiff: Any) -> bool:
    names = ("svs", "ndpi", "scn", "bif", "philips")
    return any(getattr(tiff, f"is_{name}", False) for name in names)


def _has_levels(tiff: Any) -> bool:
    """Whether smaller copies of the first page follow it, or hang below it."""
    first = tiff.pages.first
    if first.subifds:
        return True
    if not first.is_tiled or len(tiff.pages) < 2:
        return False
    second = tiff.pages[1]
    return bool(second.is_reduced) and second.imagewidth < first.imagewidth


def _is_large(tiff: Any) -> bool:
    first = tiff.pages.first
    height, width = int(first.imagelength), int(first.imagewidth)
    limit = _TILED_SIDE_PX if first.is_tiled else MAX_SIDE_PX - 1
    return max(height, width) > limit or height * width > _MAX_IMAGE_PX


def _is_large_image(path: Path) -> bool:
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG", "BMP", "WEBP")) as image:
                return max(image.size) >= MAX_SIDE_PX
    except Image.DecompressionBombError:
        return True
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return False


def _version(path: Path) -> tuple[int, ...]:
    """Return numbers that change when the slide does."""
    try:
        stamps = [path.stat()]
        if path.is_dir():
            stamps += [
                (path / name).stat()
                for name in ("zarr.json", ".zattrs")
                if (path / name).is_file()
            ]
    except OSError as error:
        raise SlideError(
            f"{path.name} is no longer there, or cannot be reached "
            f"({error.strerror or error}). Put it back, or open another slide."
        ) from error
    return tuple(number for s in stamps for number in (s.st_mtime_ns, s.st_size))


@lru_cache(maxsize=4)
def _open_version(path: Path, version: tuple[int, ...]) -> SlideSource:
    """Open a slide; another ``version`` of the same file is another slide."""
    return open_slide(path)
