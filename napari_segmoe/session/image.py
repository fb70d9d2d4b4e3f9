"""The image a session works on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import Modality, PixelSource, Spacing


@dataclass(frozen=True, slots=True, eq=False)
class SessionImage:
    """An image that was chosen to be annotated.

    Attributes
    ----------
    key : str
        Identity within the session; choosing the same key again brings back the
        prompts and objects made on it.
    pixels : (H, W) or (H, W, 3) uint8, or float in 0..1; or PixelSource
        What the predictor sees; a region of a slide is read where it is needed.
    spacing_um : (y, x) or None
        Micrometres per pixel, None where unknown.
    modality : Modality
        What made the image.
    name : str
        Name for people.
    region : int or None
        Number of the slide's region that it is; None for an image of its own.
    path : Path or None
        File it was read from, of a slide's region the slide's; never shown or logged.
    frame : int
        Frame of a clip, page or slice in that file.

    Raises
    ------
    ImageReadError
        If the pixels are neither grey nor RGB, or there are none.
    """

    key: str
    pixels: NDArray[np.generic] | PixelSource
    spacing_um: Spacing | None = None
    modality: Modality = Modality.UNKNOWN
    name: str = ""
    region: int | None = None
    path: Path | None = None
    frame: int = 0

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        is_flat = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        if not is_flat or 0 in shape:
            raise ImageReadError(
                f"Image has shape {shape}; expected (H, W) or (H, W, 3) with at least"
                " one pixel. Choose one 2-D slice, grey or RGB."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def contains(self, y: float, x: float) -> bool:
        """Whether (y, x) lies on the image."""
        height, width = self.shape
        return -0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5
