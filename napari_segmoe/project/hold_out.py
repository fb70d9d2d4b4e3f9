"""Which accepted objects are never learnt from, so that they can judge what is."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from napari_segmoe.project.records import ImageRecord, PixelBox

SHARE = 5  # one unit of five
QUARANTINE_FROM = 25  # accepted objects
LEAST_OBJECTS = 5
LEAST_PLACES = 3  # images or tiles
ENOUGH_UNITS = 5
TILE_PX = 512
FOLDS = 2


class UnitLevel(StrEnum):
    """What is kept on one side of the hold-out, coarsest first."""

    PATIENT = "patient"
    SLIDE = "slide"
    IMAGE = "image"
    TILE = "tile"


class HoldOutMode(StrEnum):
    """How a round is judged."""

    QUARANTINE = "quarantine"
    CROSS_FITTING = "cross_fitting"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An accepted object: in which image, its id and its box."""

    image: str
    id: int
    box: PixelBox


@dataclass(frozen=True, slots=True)
class HoldOut:
    """How accepted objects are divided.

    Attributes
    ----------
    mode : HoldOutMode
        NONE: too few objects, or all in one place; nothing could be judged.
    level : UnitLevel
        What is never on two sides.
    unit_of : mapping of PlacedObject to str
        An opaque name of each object's unit, the same in every round.
    fold_of : mapping of str to int
        Of each unit. In a quarantine 0 is held out and 1 learnt from, in every round
        the same; in cross-fitting each fold is held out in turn.
    parted : sequence of UnitLevel
        Coarser levels that had to be parted: one patient is on both sides.
    """

    mode: HoldOutMode
    level: UnitLevel
    unit_of: Mapping[PlacedObject, str]
    fold_of: Mapping[str, int]
    parted: tuple[UnitLevel, ...] = ()

    def fold(self, placed: PlacedObject) -> int:
        """Return the fold of an object."""
        return self.fold_of[self.unit_of[placed]]


class _Places:
    """Where units stand in an order that later images do not change."""

    def __init__(self, images: Sequence[ImageRecord], salt: str) -> None:
        self.salt = salt
        self._images = {one.name: one for one in images}
        self._numbers = {
            level: _number(name_of(one) for one in images)
            for level, name_of in _NAMERS.items()
        }
        self._tiles_before: dict[str, int] = {}
        tiles = 0
        for one in images:
            self._tiles_before[one.name] = tiles
            tiles += math.prod(-(-side // TILE_PX) for side in one.shape)

    def unit(self, placed: PlacedObject, level: UnitLevel) -> tuple[str, int]:
        """Return a unit's name and number."""
        record = self._images[placed.image]
        if level is UnitLevel.TILE:
            return self._tile(record, placed.box)
        name = _NAMERS[level](record)
        return self._hide(name), self._numbers[level][name]

    def _tile(self, record: ImageRecord, box: PixelBox) -> tuple[str, int]:
        row, column = ((box[axis] + box[axis + 2]) // 2 // TILE_PX for axis in (0, 1))
        columns = -(-record.shape[1] // TILE_PX)
        name = self._hide(f"{record.name}/{row}/{column}")
        return name, self._tiles_before[record.name] + row * columns + column

    def _hide(self, name: str) -> str:
        return hashlib.sha256(f"{self.salt}:unit:{name}".encode()).hexdigest()[:16]

    def is_held(self, number: int) -> bool:
        """Return whether a unit is the one of its five that is held out."""
        block, place = divmod(number, SHARE)
        drawn = hashlib.sha256(f"{self.salt}:hold-out:{block}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") % SHARE == place


def _slide(record: ImageRecord) -> str:
    return record.name if record.region is None else f"slide:{record.fingerprint}"


def _patient(record: ImageRecord) -> str:
    return _slide(record) if record.group is None else f"patient:{record.group}"


_NAMERS: Mapping[UnitLevel, Callable[[ImageRecord], str]] = {
    UnitLevel.PATIENT: _patient,
    UnitLevel.SLIDE: _slide,
    UnitLevel.IMAGE: lambda record: record.name,
}


def _number(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def divide(
    images: Sequence[ImageRecord], objects: Sequence[PlacedObject], *, salt: str
) -> HoldOut:
    """Divide accepted objects, by patient, slide, image or tile.

    A function of names, groups, boxes and salt alone: what was held out in one round is
    in the next, whatever joins the project. The coarsest level with five units is
    taken, so that patients stay together wherever there are enough of them.

    Parameters
    ----------
    images : sequence of ImageRecord
        All of the project, in its order.
    objects : sequence of PlacedObject
        Accepted ones.
    salt : str
        The project's.
    """
    places = _Places(images, salt)
    level = _choose_level(places, objects)
    found = {one: places.unit(one, level) for one in objects}
    unit_of = {one: name for one, (name, _) in found.items()}
    numbers = dict(found.values())
    counts = Counter(unit_of.values())
    parted = _parted(places, objects, level)
    place_of = {
        one: name if level is UnitLevel.TILE else one.image
        for one, name in unit_of.items()
    }
    is_spread = len(counts) >= FOLDS and len(set(place_of.values())) >= LEAST_PLACES
    if len(objects) < LEAST_OBJECTS or not is_spread:
        fold_of = dict.fromkeys(counts, 0)
        return HoldOut(HoldOutMode.NONE, level, unit_of, fold_of, parted)
    held = {name for name, number in numbers.items() if places.is_held(number)}
    judging = {place_of[one] for one, name in unit_of.items() if name in held}
    if (
        len(objects) >= QUARANTINE_FROM
        and len(judging) >= LEAST_PLACES
        and sum(counts[name] for name in held) >= LEAST_OBJECTS
        and len(held) < len(counts)
    ):
        fold_of = {name: int(name not in held) for name in counts}
        return HoldOut(HoldOutMode.QUARANTINE, level, unit_of, fold_of, parted)
    fold_of = _fold(counts)
    return HoldOut(HoldOutMode.CROSS_FITTING, level, unit_of, fold_of, parted)


def _choose_level(places: _Places, objects: Sequence[PlacedObject]) -> UnitLevel:
    for level in UnitLevel:
        if len({places.unit(one, level) for one in objects}) >= ENOUGH_UNITS:
            return level
    return UnitLevel.TILE


def _parted(
    places: _Places, objects: Sequence[PlacedObject], level: UnitLevel
) -> tuple[UnitLevel, ...]:
    """Return the coarser levels of which one unit holds several of this level."""
    found = []
    for coarser in list(UnitLevel)[: list(UnitLevel).index(level)]:
        inner = defaultdict(set)
        for one in objects:
            inner[places.unit(one, coarser)].add(places.unit(one, level))
        if any(len(names) > 1 for names in inner.values()):
            found.append(coarser)
    return tuple(found)


def _fold(counts: Mapping[str, int]) -> dict[str, int]:
    """Deal units out to folds with about as many objects each; by their hashes."""
    sizes = [0] * FOLDS
    fold_of = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        fold_of[name] = sizes.index(min(sizes))
        sizes[fold_of[name]] += counts[name]
    return fold_of
