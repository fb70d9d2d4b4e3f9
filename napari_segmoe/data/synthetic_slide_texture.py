"""Seeded textures that repeat without a seam: noise, fibres, smooth enlargement."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Field = NDArray[np.float32]


def enlarge(small: Field, factor: int, *, periodic: bool = False) -> Field:
    """Return a field on a grid that is ``factor`` times finer, by cubic B-splines.

    Parameters
    ----------
    small : (h, w) float32
    factor : int
        From 1 on.
    periodic : bool
        Whether the field goes on at the opposite border; else the border repeats.

    Returns
    -------
    (h * factor, w * factor) float32
    """
    height, width = small.shape
    return _enlarge(
        small, (height * factor, width * factor), (height, width), periodic=periodic
    )


def smooth_step(values: NDArray[np.floating]) -> Field:
    """Return 0 up to 0, 1 from 1 on, and a smooth rise between."""
    share = np.clip(values, 0, 1).astype(np.float32)
    return share * share * (3 - 2 * share)


def smooth_noise(random: np.random.Generator, size: int, cells: int) -> Field:
    """Return periodic noise of mean 0 and variance 1, (size, size).

    Parameters
    ----------
    random : Generator
    size : int
        Side in pixels.
    cells : int
        Grains along a side, 4 to ``size``.
    """
    cells = int(np.clip(cells, 4, size))
    grid = random.standard_normal((cells, cells)).astype(np.float32)
    field = _enlarge(grid, (size, size), (cells, cells), periodic=True)
    field -= field.mean()
    return field / np.float32(max(float(field.std()), 1e-6))


def fibres(
    random: np.random.Generator, size: int, *, step_um: float, waves: int
) -> tuple[Field, Field]:
    """Return strands along a smooth field of directions, both periodic.

    Parameters
    ----------
    random : Generator
    size : int
        Side in pixels.
    step_um : float
        Micrometres per pixel.
    waves : int
        Turns of the direction along a side.

    Returns
    -------
    strands : (size, size) float32
        Mean 0, variance 1.
    angle : (size, size) float32
        Direction from the x axis towards y, in radians.
    """
    main = random.uniform(0, np.pi)
    along = smooth_noise(random, size, waves) + np.float32(1.6 * np.cos(main))
    across = smooth_noise(random, size, waves) + np.float32(1.6 * np.sin(main))
    angle = np.arctan2(across, along)
    grain = smooth_noise(random, size, round(size * step_um / 2.2))
    total = grain.copy()
    for sign in (1, -1):
        y, x = np.mgrid[:size, :size].astype(np.float32)
        for _ in range(8):
            here = (y.astype(np.intp) % size, x.astype(np.intp) % size)
            turn = angle[here]
            y += np.float32(sign * 2.0 / step_um) * np.sin(turn)
            x += np.float32(sign * 2.0 / step_um) * np.cos(turn)
            total += grain[np.rint(y).astype(np.intp) % size,
                           np.rint(x).astype(np.intp) % size]  # fmt: skip
    total = ndimage.gaussian_filter(total, 0.6, mode="wrap")
    total -= total.mean()
    return total / np.float32(total.std()), angle


def _enlarge(
    small: Field, shape: tuple[int, int], cells: tuple[int, int], *, periodic: bool
) -> Field:
    rows = _spline(shape[0], cells[0], periodic)
    columns = _spline(shape[1], cells[1], periodic)
    wide = columns @ np.ascontiguousarray(small.T)  # (W, h)
    return np.asarray(rows @ np.ascontiguousarray(wide.T), np.float32)


@lru_cache(maxsize=64)
def _spline(size: int, cells: int, periodic: bool) -> sparse.csr_matrix:
    """Return (size, cells) cubic B-spline weights, four to a row."""
    position = (np.arange(size) + 0.5) * cells / size - 0.5
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack([
        (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3,
    ], 1) / 6  # fmt: skip
    index = first[:, None] + np.arange(-1, 3)
    index = index % cells if periodic else np.clip(index, 0, cells - 1)
    row = np.repeat(np.arange(size), 4)
    return sparse.csr_matrix(
        (weights.ravel().astype(np.float32), (row, index.ravel())), (size, cells)
    )
