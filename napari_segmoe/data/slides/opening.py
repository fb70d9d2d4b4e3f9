"""Open a slide, whatever file holds it."""

from functools import lru_cache
from pathlib import Path

from napari_segmoe.data.slides.source import SlideSource
from napari_segmoe.errors import SlideError


def open_slide(path: str | Path) -> SlideSource:
    """Open a slide with the library that suits its content.

    Parameters
    ----------
    path : path
        A file, or the folder of an OME-Zarr or DICOM slide.

    Raises
    ------
    SlideError
        If it is missing, damaged, no slide, or needs a library that is not here;
        one sentence says which and how to install it.
    """
    raise SlideError(f"No reader for {path}.")


@lru_cache(maxsize=4)
def open_shared(path: Path) -> SlideSource:
    """Return this process's open source of a slide; the newest few stay open.

    Raises
    ------
    SlideError
        As `open_slide`.
    """
    return open_slide(path)
