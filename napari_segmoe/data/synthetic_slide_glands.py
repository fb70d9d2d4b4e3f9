"""Where the glands of a block of made-up tissue lie, and what shape they have."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.synthetic_slide_texture import Field, smooth_noise

# No gland comes nearer to the border of its block; the tissue there fits any other.
BORDER_UM = 13.0
_SMALLEST_UM2 = 1800.0


@dataclass(frozen=True, slots=True)
class GlandHabit:
    """How the glands of one kind of tissue look.

    Attributes
    ----------
    radius_um, length_um : (low, high)
        Half width of a tube and length of its axis, before it grows.
    roughness_um : float
        How far the wall departs from a smooth tube.
    gap_um : float
        Stroma left between neighbours.
    growth_um : float
        How far a gland grows where there is room.
    disorder : float
        Spread of the directions, in radians.
    wall_um : (low, high)
        Thickness of the epithelium.
    tries : int
        Places tried for each mm2.
    """

    radius_um: tuple[float, float]
    length_um: tuple[float, float]
    roughness_um: float
    gap_um: float
    growth_um: float
    disorder: float
    wall_um: tuple[float, float]
    tries: int


@dataclass(frozen=True, slots=True, eq=False)
class GlandField:
    """The glands of a block, on a coarse grid.

    Attributes
    ----------
    distance_um : (n, n) float32
        To the nearest wall, positive inside a gland.
    owner : (n, n) int32
        Index from 1 of the gland a pixel is in or nearest to; 0 without glands.
    wall_um : (n, n) float32
        Thickness of the epithelium there; beyond it is the lumen.
    """

    distance_um: Field
    owner: NDArray[np.int32]
    wall_um: Field

    @property
    def count(self) -> int:
        """Number of glands."""
        return int(self.owner.max())


def grow_glands(
    random: np.random.Generator, keep_out: NDArray[np.bool_], *, step_um: float,
    habit: GlandHabit,
) -> GlandField:  # fmt: skip
    """Put glands into a square block; they do not touch each other or its border.

    Parameters
    ----------
    random : Generator
    keep_out : (n, n) bool
        Where no gland begins to grow, on the grid.
    step_um : float
        Pitch of the grid.
    habit : GlandHabit
    """
    size = len(keep_out)
    nothing = np.full((size, size), -100.0, np.float32)
    none = GlandField(nothing, np.zeros((size, size), np.int32), nothing * 0)
    owner = _place_tubes(random, keep_out, step_um, habit)
    if not owner.any():
        return none
    mask, owner = _fill_room(random, owner, step_um, habit)
    owner = _keep_whole(mask, owner, step_um)
    if not owner.any():
        return none
    return _measure(random, owner, step_um, habit)


def border_distance(size: int, step_um: float) -> Field:
    """Return each pixel's distance in um to the border of a block, (size, size)."""
    line = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5) * step_um
    return np.minimum(line[:, None], line[None, :]).astype(np.float32)


def _place_tubes(
    random: np.random.Generator, keep_out: NDArray[np.bool_], step_um: float,
    habit: GlandHabit,
) -> NDArray[np.int32]:  # fmt: skip
    """Return seeds of glands: bent tubes, each tried at a random place."""
    size = len(keep_out)
    owner = np.zeros((size, size), np.int32)
    side_um = size * step_um
    rough = smooth_noise(random, size, round(side_um / 26)) * habit.roughness_um
    closed = keep_out | (border_distance(size, step_um) < BORDER_UM + 3.0)
    main = random.uniform(0, np.pi)
    tries = round(habit.tries * (side_um / 1000) ** 2)
    count = 0
    for number in range(tries):
        shrink = 1 - 0.45 * number / tries
        radius = random.uniform(*habit.radius_um) * shrink
        length = random.uniform(*habit.length_um) * shrink * random.uniform(0, 1)
        angle = main + random.normal() * habit.disorder
        bend = random.normal() * 0.25
        edge = BORDER_UM + radius
        if side_um <= 2 * edge:
            continue
        centre = random.uniform(edge, side_um - edge, 2)
        if owner[int(centre[0] / step_um), int(centre[1] / step_um)]:
            continue
        window, distance = _tube(centre, radius, length, angle, bend, size, step_um)
        distance = distance + rough[window] * min(1.0, radius / 30)
        if (owner[window] > 0)[distance < habit.gap_um].any():
            continue
        if closed[window][distance < 0].any():
            continue
        count += 1
        owner[window][distance < 0] = count
    return owner


def _tube(
    centre_um: NDArray[np.float64], radius: float, length: float, angle: float,
    bend: float, size: int, step_um: float,
) -> tuple[tuple[slice, slice], Field]:  # fmt: skip
    """Return a window and the distance in um to a bent tube within it."""
    t = np.linspace(-0.5, 0.5, 9)
    along, across = t * length, bend * length * (t**2 * 4 - 1)
    py = centre_um[0] + along * np.sin(angle) + across * np.cos(angle)
    px = centre_um[1] + along * np.cos(angle) - across * np.sin(angle)
    reach = radius + 30
    window = tuple(
        slice(
            max(int((p.min() - reach) / step_um), 0),
            min(int((p.max() + reach) / step_um) + 1, size),
        )
        for p in (py, px)
    )
    y = ((np.arange(window[0].start, window[0].stop) + 0.5) * step_um).astype("f4")
    x = ((np.arange(window[1].start, window[1].stop) + 0.5) * step_um).astype("f4")
    nearest = np.full((len(y), len(x)), np.inf, np.float32)
    for one_y, one_x in zip(py, px, strict=True):
        square = ((y - one_y) ** 2)[:, None] + ((x - one_x) ** 2)[None, :]
        np.minimum(nearest, square, out=nearest)
    return (window[0], window[1]), np.sqrt(nearest) - np.float32(radius)


def _fill_room(
    random: np.random.Generator, seeds: NDArray[np.int32], step_um: float,
    habit: GlandHabit,
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:  # fmt: skip
    """Let the glands grow towards each other; return their mask and owners."""
    size = len(seeds)
    away, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    owner = seeds[tuple(nearest)]
    ridge = np.zeros(owner.shape, np.bool_)
    ridge[:-1] |= owner[:-1] != owner[1:]
    ridge[:, :-1] |= owner[:, :-1] != owner[:, 1:]
    apart = np.full(owner.shape, 1e3, np.float32)
    if ridge.any():
        apart = ndimage.distance_transform_edt(~ridge).astype(np.float32) * step_um
    wavy = smooth_noise(random, size, round(size * step_um / 45))
    room = np.minimum(
        habit.growth_um * (1 + 0.35 * wavy) - away * step_um, apart - habit.gap_um / 2
    )
    room = ndimage.gaussian_filter(room.astype(np.float32), 3.0 / step_um)
    edge = border_distance(size, step_um) - BORDER_UM
    # a soft minimum: walls bend away from the border instead of running along it
    room = -6.0 * np.logaddexp(-room / 6.0, -edge / 6.0)
    return room > 0, owner


def _keep_whole(
    mask: NDArray[np.bool_], owner: NDArray[np.int32], step_um: float
) -> NDArray[np.int32]:
    """Return ids of each gland's largest piece, without holes, small ones left out."""
    kept = np.zeros_like(owner)
    count = 0
    boxes = ndimage.find_objects(np.where(mask, owner, 0))
    for index, box in enumerate(boxes, start=1):
        if box is None:
            continue
        pieces, n = ndimage.label(mask[box] & (owner[box] == index))
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
        if sizes.max() * step_um**2 < _SMALLEST_UM2:
            continue
        count += 1
        whole = ndimage.binary_fill_holes(pieces == sizes.argmax() + 1)
        kept[box][whole] = count
    return kept


def _measure(
    random: np.random.Generator, ids: NDArray[np.int32], step_um: float,
    habit: GlandHabit,
) -> GlandField:  # fmt: skip
    """Return the signed distance to the walls, and how thick these are."""
    inside = ndimage.distance_transform_edt(ids > 0)
    outside, nearest = ndimage.distance_transform_edt(ids == 0, return_indices=True)
    distance = (np.where(ids > 0, inside - 0.5, 0.5 - outside) * step_um).astype("f4")
    distance = ndimage.gaussian_filter(distance, 1.0)
    owner = ids[tuple(nearest)]
    depth = ndimage.maximum(inside * step_um, ids, np.arange(1, ids.max() + 1))
    wall = random.uniform(*habit.wall_um, len(depth))
    wall = np.minimum(wall, np.asarray(depth) * random.uniform(0.5, 0.8, len(depth)))
    rough = smooth_noise(random, len(ids), round(len(ids) * step_um / 22))
    thickness = np.concatenate([[0.0], wall])[owner] * (1 + 0.13 * rough)
    return GlandField(distance, owner, thickness.astype(np.float32))
