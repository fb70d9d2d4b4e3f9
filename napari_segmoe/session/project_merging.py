"""Brings steps of this window onto an image that another one has changed meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from napari_segmoe.project.records import ObjectState, PixelPatch
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.objects import Labels
from napari_segmoe.session.unsaved_step import UnsavedStep


def rebase_steps(
    store: ProjectStore, name: str, steps: Sequence[UnsavedStep], *, seen: int
) -> tuple[UnsavedStep, ...] | None:
    """Return the same steps as they are to be stored after somebody else's.

    Objects that both windows made at once get other numbers here.

    Parameters
    ----------
    store : ProjectStore
    name : str
        The image.
    steps : sequence of UnsavedStep
        Of that image, oldest first.
    seen : int
        Number of its newest event that the steps build on.

    Returns
    -------
    tuple of UnsavedStep or None
        None where both changed the same pixels or objects.
    """
    foreign = {
        number
        for event in store.events(since=seen, image=name)
        for number in event.change.objects or ()
    }
    labels = store.labels(name)
    own = {record.id for record in steps[0].before}
    touched = {one for step in steps for one in step.change.objects or ()}
    if touched & own & foreign:
        return None
    taken = foreign | set(store.objects(name))
    numbers = _renumber(touched - own, taken=taken, labels=labels)
    moved = []
    for step in steps:
        patch = _rebase(step.patch, labels, numbers)
        if patch is None and step.patch is not None:
            return None
        if patch is not None:
            y0, x0, y1, x1 = patch.box
            labels[y0:y1, x0:x1] = patch.after
        moved.append(_moved(step, patch, numbers))
    return tuple(moved)


def _renumber(made: set[int], *, taken: set[int], labels: Labels) -> Mapping[int, int]:
    """Return a number that is free for each new object."""
    free = 1 + max((int(labels.max(initial=0)), *taken, *made), default=0)
    numbers = {}
    for one in sorted(made):
        numbers[one] = free if one in taken else one
        free += one in taken
    return numbers


def _rebase(
    patch: PixelPatch | None, labels: Labels, numbers: Mapping[int, int]
) -> PixelPatch | None:
    """Return a patch on other surroundings; None where they are in its way."""
    if patch is None:
        return None
    y0, x0, y1, x1 = patch.box
    there = labels[y0:y1, x0:x1].copy()
    is_changed = patch.before != patch.after
    before, after = (_renamed(one, numbers) for one in (patch.before, patch.after))
    if not np.array_equal(there[is_changed], before[is_changed]):
        return None
    return PixelPatch(patch.box, there, np.where(is_changed, after, there))


def _renamed(labels: Labels, numbers: Mapping[int, int]) -> Labels:
    renamed = labels.copy()
    for old, new in numbers.items():
        if old != new:
            renamed[labels == old] = new
    return renamed


def _moved(
    step: UnsavedStep, patch: PixelPatch | None, numbers: Mapping[int, int]
) -> UnsavedStep:
    objects: dict[int, ObjectState | None] | None = None
    if step.change.objects is not None:
        objects = {numbers.get(k, k): state for k, state in step.change.objects.items()}
    return replace(step, change=replace(step.change, objects=objects), patch=patch)
