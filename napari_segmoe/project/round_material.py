"""What a project holds to learn from: counts and warnings. Loads no torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_segmoe.project.hold_out import (
    LEAST_OBJECTS,
    LEAST_PLACES,
    HoldOut,
    HoldOutMode,
    PlacedObject,
    UnitLevel,
    divide,
)
from napari_segmoe.project.judged_places import covers, rejected_boxes
from napari_segmoe.project.records import (
    ImageRecord,
    JudgedPlace,
    ObjectState,
    Provenance,
    ReviewState,
)
from napari_segmoe.project.store import ProjectStore

ACCEPTED = frozenset({ReviewState.ACCEPTED, ReviewState.REVIEWED, ReviewState.LOCKED})
WEIGHTS: Mapping[Provenance, float] = {
    Provenance.DRAWN: 1.0,
    Provenance.ACCEPTED_CLICK: 0.8,
    Provenance.ACCEPTED_AUTOMATIC: 0.5,
    Provenance.MODEL: 0.5,
}
MOST_UNLABELLED = 24


@dataclass(frozen=True, slots=True)
class Material:
    """What a round could learn from.

    Attributes
    ----------
    accepted : int
        Objects that a person accepted; proposals of a model are not learnt from.
    proposed : int
        Objects that wait for somebody to accept them.
    by_class : mapping of str or None to int
        Accepted objects of each of the project's classes; None: without one.
    by_provenance : mapping of Provenance to int
    images : int
        Images with accepted objects.
    other_images : int
        The project's other images.
    finished_tiles : int
        Boxes in which all else is known to be background.
    hold_out : HoldOut
        How the objects are divided.
    held_out : int
        Objects in quarantine; 0 when cross-fitting.
    warnings : tuple of str
        One sentence each.
    """

    accepted: int
    proposed: int
    by_class: Mapping[str | None, int]
    by_provenance: Mapping[Provenance, int]
    images: int
    other_images: int
    finished_tiles: int
    hold_out: HoldOut
    held_out: int
    warnings: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """Whether a round can learn, and be judged."""
        return self.hold_out.mode is not HoldOutMode.NONE

    @property
    def trainings(self) -> int:
        """How often a round trains: once, or for each fold and once for all."""
        if self.hold_out.mode is not HoldOutMode.CROSS_FITTING:
            return 1
        return 1 + len(set(self.hold_out.fold_of.values()))


def accepted_objects(store: ProjectStore) -> dict[PlacedObject, ObjectState]:
    """Return the objects that a person accepted, by image and id."""
    return {
        PlacedObject(record.name, number, state.box): state
        for record in store.images()
        for number, state in store.objects(record.name).items()
        if state.state in ACCEPTED
    }


def unlabelled_images(
    store: ProjectStore, *, seed: int = 0, most: int = MOST_UNLABELLED
) -> tuple[ImageRecord, ...]:
    """Return images whose own answers may teach: drawn by a seed, at most so many.

    None of them has an accepted object, or was rejected as a whole.
    """
    taken = {one.image for one in accepted_objects(store)}
    places = store.places()
    others = [
        one
        for one in store.images()
        if one.name not in taken and not _is_rejected(one, places.get(one.name, ()))
    ]
    order = np.random.default_rng([seed, 21]).permutation(len(others))
    return tuple(others[i] for i in order[:most])


def _is_rejected(image: ImageRecord, places: tuple[JudgedPlace, ...]) -> bool:
    whole = (0, 0, *image.shape)
    return any(covers(box, whole) for box in rejected_boxes(places))


def divide_project(store: ProjectStore) -> HoldOut:
    """Return how a project's accepted objects are divided."""
    found = tuple(accepted_objects(store))
    return divide(store.images(), found, salt=store.salt)


def count_material(store: ProjectStore) -> Material:
    """Count what a round would learn from, and say what is wrong with it."""
    names = {one.id: one.name for one in store.classes()}
    records = store.images()
    found = accepted_objects(store)
    hold_out = divide(records, tuple(found), salt=store.salt)
    total = sum(store.count_objects().values())
    used = {one.image for one in found}
    held = 0
    if hold_out.mode is HoldOutMode.QUARANTINE:
        held = sum(hold_out.fold(one) == 0 for one in found)
    by_class = Counter(
        None if one.class_id is None else names.get(one.class_id)
        for one in found.values()
    )
    material = Material(
        accepted=len(found),
        proposed=total - len(found),
        by_class=dict(by_class),
        by_provenance=dict(Counter(one.provenance for one in found.values())),
        images=len(used),
        other_images=len(records) - len(used),
        finished_tiles=sum(len(store.tiles(one.name)) for one in records),
        hold_out=hold_out,
        held_out=held,
        warnings=(),
    )
    return replace(material, warnings=tuple(_warnings(material, len(names))))


def _warnings(material: Material, class_count: int) -> list[str]:
    if not material.accepted:
        waiting = f" {material.proposed} proposals wait." if material.proposed else ""
        return [f"Nothing to learn from: no object is accepted yet.{waiting}"]
    found = []
    if material.hold_out.mode is HoldOutMode.NONE:
        found.append(too_few(material))
    known = [name for name in material.by_class if name is not None]
    if class_count > 1 and len(known) == 1:
        found.append(
            f"All accepted objects are of one class, {known[0]}: classes are not"
            " learnt from them."
        )
    if UnitLevel.PATIENT in material.hold_out.parted:
        found.append(
            "Too few patients to keep each on one side: objects of the same patient are"
            " learnt from and judged with, so the figures are too good."
        )
    elif UnitLevel.SLIDE in material.hold_out.parted:
        found.append(
            "Too few slides to keep each on one side: regions of the same slide are"
            " learnt from and judged with, so the figures are too good."
        )
    return found


def too_few(material: Material) -> str:
    """Say how many more objects a round needs."""
    count, places = material.accepted, len(material.hold_out.fold_of)
    return (
        f"Too few to judge a round: {count} accepted object{'' if count == 1 else 's'}"
        f" in {places} place{'' if places == 1 else 's'}. Accept at least"
        f" {LEAST_OBJECTS} in {LEAST_PLACES} images or tiles."
    )
