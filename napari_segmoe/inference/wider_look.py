"""Whether an object goes on beyond the window it was found in. Loads no torch.

Weights with a pixel size see one window of it; an object that its edge cuts is looked
at once more in a wider one, of the same grid and so of larger pixels.
"""

import numpy as np

from napari_segmoe.data.patches import Patch, mask_box
from napari_segmoe.data.windows import Window

WIDER = 1.5
_AT_EDGE_PX = 3
_SAME_OBJECT = 0.8  # share of what was found that must be found again


def is_cut(mask: Patch, window: Window, shape: tuple[int, int]) -> bool:
    """Whether a mask ends at an edge of its window that is not the image's.

    Parameters
    ----------
    mask : Patch
        Bool, in the window's pixels.
    window : Window
        In which it was found.
    shape : (H, W)
        The image's size in these pixels.
    """
    found = mask_box(mask.values)
    if found is None:
        return False
    low = (found[0] + mask.y0, found[1] + mask.x0)
    high = (found[2] + mask.y0, found[3] + mask.x0)
    starts, sides = (window.y0, window.x0), (window.side, window.side)
    return any(
        (start > 0 and first < start + _AT_EDGE_PX)
        or (start + side < length and last > start + side - _AT_EDGE_PX)
        for start, side, first, last, length in zip(
            starts, sides, low, high, shape, strict=True
        )
    )


def widened(window: Window) -> Window:
    """Return a window with the same middle and grid, half as wide again."""
    more = round(window.side * (WIDER - 1) / 2)
    return Window(
        window.y0 - more, window.x0 - more, window.side + 2 * more, window.grid_px
    )


def shows_the_same(first: Patch, wider: Patch) -> bool:
    """Whether a wider look found the object that the first one found."""
    kept = np.count_nonzero(first.values & wider.cut(first.box))
    return bool(kept >= _SAME_OBJECT * np.count_nonzero(first.values))
