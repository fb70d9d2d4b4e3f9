"""Open the levels of a DICOM slide with wsidicom, each apart from the others."""

import logging
from pathlib import Path
from typing import Any

from napari_segmoe.data.slides.backends import INSTALL_SLIDES
from napari_segmoe.data.slides.dicom_series import SlideFile
from napari_segmoe.data.slides.sniffing import header_errors
from napari_segmoe.errors import SlideError

_ENCODED_CACHE_BYTES = 16 << 20
# Levels of one pyramid differ in shape by rounding only.
_ASPECT_TOLERANCE = 0.05


def library_errors(name: str) -> tuple[type[Exception], ...]:
    """Return what wsidicom, pydicom and decoders raise at damaged files.

    Parameters
    ----------
    name : str
        Of the slide, for the message.

    Raises
    ------
    SlideError
        If wsidicom is not installed.
    """
    try:
        from wsidicom import errors
    except ImportError as error:
        raise SlideError(
            f"{name} is a DICOM slide and needs wsidicom, which is not installed. "
            f"Run `{INSTALL_SLIDES}`."
        ) from error
    own = (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    )
    return (*header_errors(), RuntimeError, AssertionError, *own)


def open_levels(
    path: Path, files: list[SlideFile]
) -> tuple[list[Any], list[Any], tuple[str, ...]]:
    """Open the files of a slide.

    Parameters
    ----------
    path : Path
        The slide, for messages.
    files : list of SlideFile
        With tissue only; wsidicom sees no others.

    Returns
    -------
    images : list of wsidicom.instance.WsiInstance
        One a level, finest first.
    sources : list of wsidicom.file.WsiDicomFileSource
        To be closed in the end.
    notes : tuple of str
        Which damaged levels were left out.

    Raises
    ------
    SlideError
        If the finest level cannot be read, or wsidicom or a decoder is missing.
    """
    # It logs each file that it cannot read with a traceback; a note says it instead.
    logging.getLogger("wsidicom").addHandler(logging.NullHandler())
    errors = library_errors(path.name)
    shapes = sorted({file.shape for file in files}, reverse=True)
    images: list[Any] = []
    sources: list[Any] = []
    notes: list[str] = []
    damaged = 0
    for shape in shapes:
        own = [file for file in files if file.shape == shape]
        try:
            source, image = _open_level(own)
        except errors as error:
            if not images:
                raise _unreadable(path, own, str(error)) from error
            damaged += 1
            continue
        sources.append(source)
        if _is_same_shape(shape, shapes[0]):
            images.append(image)
            notes.append(_choice(image))
        else:
            damaged += 1
    if damaged:
        notes.append(f"{damaged} damaged levels of the slide were left out.")
    return images, sources, tuple(dict.fromkeys(note for note in notes if note))


def _open_level(files: list[SlideFile]) -> tuple[Any, Any]:
    """Return the source of one level, and its image nearest to the focus."""
    from wsidicom.config import Settings, use_settings
    from wsidicom.file import WsiDicomFileSource

    settings = Settings(
        strict_tile_size_check=False,
        decoded_frame_cache_size=1,
        encoded_frame_cache_size=_ENCODED_CACHE_BYTES,
    )
    with use_settings(settings):
        source = WsiDicomFileSource.open([file.path for file in files])
        try:
            if len(source.readers) < len(files):
                raise ValueError("a file of it has unknown compression or colours")
            for reader in source.readers:  # finds files that were cut short
                len(reader.frame_index)
            image = min(source.level_instances, key=lambda one: abs(one.default_z))
            if (int(image.size.height), int(image.size.width)) != files[0].shape:
                raise ValueError("its size is contradictory")
        except library_errors(files[0].path.name):
            source.close()
            raise
    return source, image


def _unreadable(path: Path, files: list[SlideFile], reason: str) -> SlideError:
    from pydicom.uid import UID
    from wsidicom.codec.decoder import Decoder

    syntax = UID(files[0].syntax)
    try:
        is_known = Decoder.select_decoder(syntax, 3, 8) is not None
    except NotImplementedError:
        is_known = False
    if not is_known:
        return SlideError(
            f"{path.name} is compressed as {syntax.name}, and no decoder for it is "
            'installed. Run `pip install "napari-segmoe[slides,dicom]"`.'
        )
    why = (reason.splitlines() or [""])[0][:200]
    return SlideError(
        f"The DICOM slide {path.name} is damaged, cut short or of a kind that wsidicom "
        f"does not read ({why}). Copy it again, or convert it to RGB of 8 bits."
    )


def _choice(image: Any) -> str:
    """Return what is to be said of focal planes and optical paths, if anything."""
    planes, paths = len(image.focal_planes), len(image.optical_paths)
    if planes == paths == 1:
        return ""
    return (
        f"The slide has {planes} focal planes and {paths} optical paths; the plane in "
        "focus of the first path is shown."
    )


def _is_same_shape(size: tuple[int, int], finest: tuple[int, int]) -> bool:
    """Whether a level shows what the finest does, up to rounding of its sides."""
    if size[0] > finest[0] or size[1] > finest[1]:
        return False
    expected = finest[1] * size[0] / finest[0]
    return abs(size[1] - expected) <= max(_ASPECT_TOLERANCE * expected, 2)
