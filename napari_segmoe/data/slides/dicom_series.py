"""Find the files of one DICOM slide; labels, overviews and thumbnails stay closed."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segmoe.data.slides.sniffing import (
    SLIDE_STORAGE,
    files_below,
    header_errors,
    is_dicom,
    read_start,
)
from napari_segmoe.errors import SlideError

_TAGS = (
    "SOPClassUID", "SeriesInstanceUID", "ImageType", "TotalPixelMatrixRows",
    "TotalPixelMatrixColumns", "NumberOfFrames", "Rows", "Columns",
)  # fmt: skip
_MAX_FILES = 5000


@dataclass(frozen=True, slots=True)
class SlideFile:
    """What the header of one file of a slide says.

    Attributes
    ----------
    path : Path
    series : str
        Files of one series are one slide.
    kind : str
        "VOLUME" for tissue, else "LABEL", "OVERVIEW", "THUMBNAIL".
    shape : (H, W)
        Of the level that the file holds, or holds a part of.
    syntax : str
        Unique identifier of the transfer syntax.
    """

    path: Path
    series: str
    kind: str
    shape: tuple[int, int]
    syntax: str


def find_levels(path: Path) -> tuple[list[SlideFile], tuple[str, ...]]:
    """Return the files with tissue of the slide at ``path``, and what there is to say.

    Parameters
    ----------
    path : Path
        A folder with the files of one slide, or any file of it.

    Raises
    ------
    SlideError
        If it holds none, or more than one slide.
    """
    if path.is_dir():
        candidates = list(files_below(path))
        series = None
    else:
        series = _header(path).series
        candidates = sorted(path.parent.iterdir())
    files, damaged = _read_headers(candidates[:_MAX_FILES], path)
    slides = {file.series for file in files if file.kind == "VOLUME"}
    if series is None and len(slides) > 1:
        raise SlideError(
            f"The folder {path.name} holds {len(slides)} DICOM slides; open one file "
            "of the slide that you want."
        )
    wanted = series if series is not None else next(iter(slides), "")
    levels = [f for f in files if f.kind == "VOLUME" and f.series == wanted]
    if not levels:
        raise SlideError(
            f"{path.name} holds no tissue of a DICOM slide (only its label or "
            "overview, or damaged files). Copy all files of the slide again."
        )
    notes: tuple[str, ...] = ()
    if damaged:
        notes = (f"{damaged} damaged DICOM files beside the slide were left out.",)
    return levels, notes


def _read_headers(paths: list[Path], asked: Path) -> tuple[list[SlideFile], int]:
    files, damaged = [], 0
    for path in paths:
        try:
            if path.is_file() and is_dicom(read_start(path)):
                files.append(_header(path))
        except OSError:
            damaged += 1
        except SlideError:
            damaged += 1
            if path == asked:
                raise
    return [file for file in files if file.series], damaged


def _header(path: Path) -> SlideFile:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset: Any = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=list(_TAGS)
            )
            if str(dataset.get("SOPClassUID", "")) != SLIDE_STORAGE:
                return SlideFile(path, "", "", (0, 0), "")
            kind = [str(word) for word in dataset.ImageType]
            return SlideFile(
                path,
                str(dataset.SeriesInstanceUID),
                kind[2] if len(kind) > 2 else "",
                (
                    int(dataset.TotalPixelMatrixRows),
                    int(dataset.TotalPixelMatrixColumns),
                ),
                str(dataset.file_meta.TransferSyntaxUID),
            )
    except header_errors() as error:
        raise SlideError(
            f"{path.name} is damaged or cut short: its DICOM header cannot be read. "
            "Copy it again."
        ) from error
