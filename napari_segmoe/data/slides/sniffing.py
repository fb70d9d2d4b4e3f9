"""Say what kind of slide a file or folder holds, from its content."""

import os
import struct
import warnings
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

from napari_segmoe.errors import SlideError

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
_ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_MAX_FILES_LOOKED_AT = 500
_MAX_DICOM_LOOKED_AT = 40
SLIDE_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image


class SlideKind(Enum):
    """How the content of a slide is stored."""

    TIFF = "TIFF"
    DICOM = "DICOM"
    ZARR = "OME-Zarr"
    PLAIN = "plain image"
    VENDOR = "scanner's own format"
    OTHER = "unknown"


def sniff_slide(path: Path) -> tuple[SlideKind, Path]:
    """Return the kind of a slide, and the file or folder to open.

    The latter differs from ``path`` where that is a part of a slide: a metadata file
    of an OME-Zarr, or the data folder that belongs to an .mrxs file.

    Raises
    ------
    SlideError
        If it is missing, empty, cannot be opened, or is a folder without a slide.
    """
    try:
        if path.is_dir():
            return _sniff_folder(path)
        if not path.is_file():  # a pipe or device could keep us waiting for ever
            raise SlideError(f"There is no file or folder {path}. Check the path.")
        start = read_start(path)
    except OSError as error:
        raise SlideError(
            f"{path.name} cannot be opened ({error.strerror or error}). Check the "
            "drive and your rights on it."
        ) from error
    if not start:
        raise SlideError(f"{path.name} is empty (0 bytes). Copy it again.")
    return _sniff_file(path, start)


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file, enough to tell its kind."""
    with path.open("rb") as file:
        return file.read(132)


def is_dicom(start: bytes) -> bool:
    """Whether these first bytes are those of a DICOM file."""
    return start[128:132] == b"DICM"


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, in order of name, not hidden."""
    for at, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(at, name) for name in sorted(names) if name[0] != ".")
        yield from (path for path in paths if path.is_file())


def is_slide_dicom(path: Path) -> bool:
    """Whether a DICOM file is part of a whole-slide series; reads its header only."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header: Any = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality"]
            )
            storage = str(header.get("SOPClassUID", ""))
            return storage == SLIDE_STORAGE or str(header.get("Modality", "")) == "SM"
    except header_errors():
        return False


def header_errors() -> tuple[type[Exception], ...]:
    """Return what pydicom raises at headers that are damaged or of another kind."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError,
        LookupError, AttributeError, TypeError, NotImplementedError, struct.error,
        MemoryError, ArithmeticError, RecursionError,
    )  # fmt: skip


def _sniff_file(path: Path, start: bytes) -> tuple[SlideKind, Path]:
    if is_dicom(start):
        return SlideKind.DICOM, path
    if start[:4] in _TIFF_STARTS:
        return SlideKind.TIFF, path
    if path.name in _ZARR_FILES:
        return _sniff_folder(path.parent)
    if (path.with_suffix("") / "Slidedat.ini").is_file():
        return SlideKind.VENDOR, _mirax_file(path)
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    if is_webp or start.startswith(_PLAIN_STARTS):
        return SlideKind.PLAIN, path
    return SlideKind.OTHER, path


def _sniff_folder(folder: Path) -> tuple[SlideKind, Path]:
    if any((folder / name).is_file() for name in _ZARR_FILES):
        return SlideKind.ZARR, folder
    if (folder / "Slidedat.ini").is_file():
        return SlideKind.VENDOR, _mirax_file(folder.with_name(f"{folder.name}.mrxs"))
    found = 0
    for path in islice(files_below(folder), _MAX_FILES_LOOKED_AT):
        if not is_dicom(read_start(path)):
            continue
        if is_slide_dicom(path):
            return SlideKind.DICOM, folder
        found += 1
        if found == _MAX_DICOM_LOOKED_AT:
            break
    raise SlideError(
        f"The folder {folder.name} holds no slide; expected an OME-Zarr or the DICOM "
        "files of a slide. Choose another folder, or the slide's file in it."
    )


def _mirax_file(path: Path) -> Path:
    """Return the .mrxs file of a slide: OpenSlide knows such a slide by that name."""
    mirax = path.with_suffix(".mrxs")
    if not mirax.is_file():
        raise SlideError(
            f"{path.with_suffix('').name} is the data folder of a MIRAX slide; its "
            f"file {mirax.name} is missing beside it. Copy both to the same folder."
        )
    return mirax
