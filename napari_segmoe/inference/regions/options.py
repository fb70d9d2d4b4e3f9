"""How much of a region is read, computed and finished at a time."""

import os
from dataclasses import dataclass

from napari_segmoe.inference.regions.lattice import Lattice, make_lattice
from napari_segmoe.models.card import WeightsCard

_OVERLAP = 4  # a quarter of the window
_MOST_READERS = 4


@dataclass(frozen=True, slots=True)
class TileOptions:
    """Sizes that change speed and memory of a region's segmentation.

    Attributes
    ----------
    batch_size : int or None
        Windows at a time; None takes what suits the device.
    block_px : int
        Side of what is read at once.
    chunk_px : int
        Side of the parts that are finished at once.
    readers : int or None
        Threads that read ahead; None takes what suits the machine.
    overlap_px : int or None
        Shared by neighbouring windows, a quarter of their side by default. Alone of
        these it changes the result.
    keep_distance : bool
        Whether the answer holds the predicted distance, two bytes a pixel.
    """

    batch_size: int | None = None
    block_px: int = 1024
    chunk_px: int = 512
    readers: int | None = None
    overlap_px: int | None = None
    keep_distance: bool = False

    def lattice(self, shape: tuple[int, int], card: WeightsCard) -> Lattice:
        """Return the windows of an image of (H, W) pixels."""
        overlap_px = self.overlap_px
        if overlap_px is None:
            overlap_px = card.input_px // _OVERLAP
        return make_lattice(shape, window_px=card.input_px, overlap_px=overlap_px)

    @property
    def reader_count(self) -> int:
        """Threads that read ahead: one on two cores."""
        if self.readers is not None:
            return self.readers
        return max(1, min(_MOST_READERS, (os.cpu_count() or 2) // 2))
