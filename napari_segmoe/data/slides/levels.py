"""How the levels of a pyramid lie on each other, and what pixel sizes make sense."""

import math

from napari_segmoe.types import Spacing

# Micrometres per pixel that a microscope or scanner can have.
_SMALLEST_UM, _LARGEST_UM = 0.01, 100.0
_LARGEST_RATIO = 4.0


def downsample_yx(base: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """Return the level-0 pixels per pixel of a level, whole where that explains it.

    Writers cut or fill up the last fraction of a pixel: 2221 pixels of 4443 are a
    step of 2, not of 2.0005.

    Parameters
    ----------
    base, shape : (H, W)
        Of level 0 and of the level.
    """
    whole = _whole_step(base, shape)
    if whole is not None:
        return float(whole), float(whole)
    return max(base[0] / shape[0], 1.0), max(base[1] / shape[1], 1.0)


def _whole_step(base: tuple[int, int], shape: tuple[int, int]) -> int | None:
    """Return the whole step between two sizes, a power of 2 where one fits."""
    low, high = 1, math.inf
    for length, count in zip(base, shape, strict=True):
        # The count lies between the length over the step, cut, and filled up.
        low = max(low, length // (count + 1) + 1)
        high = min(high, math.inf if count == 1 else (length - 1) // (count - 1))
    ratio = max(base[0] / shape[0], base[1] / shape[1])
    high = int(min(high, math.ceil(ratio) + 1))
    if high < low:
        return None
    power = 1 << (high.bit_length() - 1)
    return power if power >= low else min(max(round(ratio), low), high)


def sensible_spacing(
    spacing_um: tuple[float, float] | None,
) -> tuple[Spacing | None, tuple[str, ...]]:
    """Return a stated pixel size where it can be true, and what is to be said of it.

    Parameters
    ----------
    spacing_um : (y, x) or None
        Micrometres per pixel as a file states them.

    Returns
    -------
    spacing_um : (y, x) or None
        None where it is missing, not a positive number, below 0.01 or above 100 um,
        or more than 4 times larger along one axis.
    notes : tuple of str
    """
    if spacing_um is None:
        return None, ("The file states no pixel size.",)
    y, x = float(spacing_um[0]), float(spacing_um[1])
    possible = all(_SMALLEST_UM <= value <= _LARGEST_UM for value in (y, x))
    if possible and max(y, x) / min(y, x) <= _LARGEST_RATIO:
        return (y, x), ()
    return None, (
        f"The file states a pixel of {y:g} x {x:g} um, which no scanner has; "
        "it is taken as unknown.",
    )
