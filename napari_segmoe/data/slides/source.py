"""What a slide is to the rest of the program, whatever file holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.types import Spacing

# Outside: what scanners leave around tissue.
BACKGROUND = 255


@dataclass(frozen=True, slots=True)
class SlideLevel:
    """One resolution of a slide.

    Attributes
    ----------
    shape : (H, W)
        In pixels of this level.
    downsample_yx : (y, x)
        Level-0 pixels per pixel of this level, at least 1 and not always whole.
    tile_yx : (y, x)
        Size of the file's own tiles: reads aligned to them decode each once.
    """

    shape: tuple[int, int]
    downsample_yx: tuple[float, float]
    tile_yx: tuple[int, int] = (256, 256)


class SlideSource(Protocol):
    """An open slide; `napari_segmoe.data.slides.opening.open_slide` makes one.

    Its frame begins at the slide's bounds where the file states them, so that pixel
    (0, 0) of level 0 is the first one worth showing. `read` may be called from
    several threads at once.
    """

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def backend(self) -> str:
        """Library and version that reads it, as "OpenSlide 4.0.1"."""
        ...

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        """Resolutions, finest first; at least one."""
        ...

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per level-0 pixel, (y, x); None where unknown or absurd."""
        ...

    @property
    def origin_yx(self) -> tuple[int, int]:
        """Where our pixel (0, 0) lies in the file's own level-0 frame."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences: what was assumed, left out or is missing."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Technical facts; never names, dates or numbers of a patient."""
        ...

    def read(self, level: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Return a box of a level, (h, w, 3) uint8 sRGB.

        Parameters
        ----------
        level : int
            0 is the finest.
        box : (y0, x0, y1, x1)
            Half open, in pixels of the level; what lies outside comes back as
            `BACKGROUND`.

        Raises
        ------
        SlideError
            If that part cannot be read: damaged, deleted, no codec.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...
