"""Brings an image's objects from the project into the session, and the other way."""

from collections.abc import Mapping
from dataclasses import replace

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.project.records import Change, EventKind, PixelPatch
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.objects import (
    LabelPatch,
    ObjectRecord,
    add_objects,
    diff_labels,
)
from napari_segmoe.session.project_states import restored_records, state_of
from napari_segmoe.session.slide_scene import is_same
from napari_segmoe.session.slide_work import SlideWork
from napari_segmoe.session.unsaved_step import UnsavedStep
from napari_segmoe.session.workspace import Workspace


def restore(
    store: ProjectStore, name: str, workspace: Workspace, *, label_version: int
) -> None:
    """Put a project's objects and tiles of an image into its workspace.

    Steps made before can no longer be undone there; prompts stay.
    """
    labels = store.labels(name)
    records = restored_records(
        store.objects(name),
        labels,
        spacing_um=workspace.image.spacing_um,
        region=workspace.image.region,
    )
    tiles = tuple(tile.box for tile in store.tiles(name))  # all is read, or nothing new
    places = store.places(name).get(name, ())
    workspace.replace_labels(labels)
    workspace.history.clear()
    workspace.snapshot = replace(
        workspace.snapshot,
        records=records,
        tiles=tiles,
        places=places,
        label_version=label_version,
    )


def add_regions(store: ProjectStore, work: SlideWork) -> None:
    """Add the regions that a project has of a slide to those worked on."""
    for record in store.images():
        if record.fingerprint != work.scene.key or record.region is None:
            continue
        place = record.region
        region = SlideRegion(
            work.scene.path, place.origin_yx, place.step_yx, record.shape
        )
        if not any(is_same(one.region, region) for one in work.records):
            work.add(region)


def take_in(
    store: ProjectStore, name: str | None, workspace: Workspace, *, label_version: int
) -> UnsavedStep | None:
    """Lay a workspace's own objects onto those that the project has of its image.

    Pixels that the project's objects cover stay theirs.

    Returns
    -------
    UnsavedStep or None
        The step to be stored; None where there is nothing to add.
    """
    own, records = workspace.labels, workspace.snapshot.records
    has_others = name is not None and bool(store.objects(name))
    if not has_others:
        states = {record.id: state_of(record) for record in records}
        patch = _patch(diff_labels(own * 0, own))
        return _step(states, patch, workspace) if states else None
    assert name is not None
    restore(store, name, workspace, label_version=label_version)
    first_id = 1 + max((int(workspace.labels.max()), *store.objects(name)))
    found, new_ids = add_objects(workspace.labels, own, first_id=first_id)
    if found is None:
        return None
    found.apply(workspace.labels)
    workspace.replace_labels(workspace.labels)
    added = _renumbered(records, new_ids, workspace)
    workspace.snapshot = replace(
        workspace.snapshot, records=(*workspace.snapshot.records, *added)
    )
    states = {record.id: state_of(record) for record in added}
    return _step(states, _patch(found), workspace)


def _renumbered(
    records: tuple[ObjectRecord, ...], new_ids: Mapping[int, int], workspace: Workspace
) -> tuple[ObjectRecord, ...]:
    """Return records under their new ids, measured on what is left of them."""
    kept = {new_ids[one.id]: one for one in records if one.id in new_ids}
    states = {number: state_of(one) for number, one in kept.items()}
    image = workspace.image
    return restored_records(
        states, workspace.labels, spacing_um=image.spacing_um, region=image.region
    )


def _step(
    states: Mapping[int, object], patch: PixelPatch | None, workspace: Workspace
) -> UnsavedStep:
    change = Change(objects=dict(states), details={"action": "taken_in"})  # type: ignore[arg-type]
    return UnsavedStep(EventKind.IMPORT, change, patch, workspace)


def _patch(patch: LabelPatch | None) -> PixelPatch | None:
    return None if patch is None else PixelPatch(patch.box, patch.before, patch.after)
