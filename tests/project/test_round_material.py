"""Counts and warnings of what a round would learn from."""

import numpy as np

from napari_segmoe.project.hold_out import HoldOutMode
from napari_segmoe.project.importing import set_objects
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    Provenance,
    ReviewState,
)
from napari_segmoe.project.round_material import count_material
from napari_segmoe.project.store import ProjectStore


def make_store(path, *, images, class_name="small", group=None):
    store = ProjectStore.create(path / "p.segmoe")
    store.append(
        EventKind.CLASSES,
        Change(
            classes=(
                ClassRecord(id=1, name="small", colour="#000000"),
                ClassRecord(id=2, name="large", colour="#ffffff"),
            )
        ),
    )
    for number in range(images):
        record = ImageRecord(
            name=store.next_image_name(),
            fingerprint=f"{number:032x}",
            shape=(60, 60),
            group=group,
        )
        store.add_image(record)
        labels = np.zeros((60, 60), np.uint32)
        labels[5:20, 5:20], labels[30:50, 30:50] = 1, 2
        name = class_name if class_name != "both" else ("small", "large")[number % 2]
        set_objects(store, record, labels, {1: name, 2: name}, is_finished=number == 0)
    return store


def test_an_empty_project_has_nothing_to_learn_from(tmp_path):
    with make_store(tmp_path, images=0) as store:
        found = count_material(store)
    assert (found.accepted, found.is_enough) == (0, False)
    assert found.warnings[0].startswith("Nothing to learn from")


def test_objects_are_counted_by_class_and_provenance(tmp_path):
    with make_store(tmp_path, images=4, class_name="both") as store:
        found = count_material(store)
    assert found.accepted == 8
    assert found.by_class == {"small": 4, "large": 4}
    assert found.by_provenance == {Provenance.DRAWN: 8}
    assert (found.images, found.other_images, found.finished_tiles) == (4, 0, 1)
    assert found.hold_out.mode is HoldOutMode.CROSS_FITTING
    assert found.trainings == 3
    assert found.warnings == ()


def test_proposals_are_not_learnt_from(tmp_path):
    with make_store(tmp_path, images=3) as store:
        image = store.images()[0].name
        states = {
            number: state.model_copy(update={"state": ReviewState.PROPOSED})
            for number, state in store.objects(image).items()
        }
        store.append(EventKind.UNDO, Change(objects=states), image=image)
        found = count_material(store)
    assert (found.accepted, found.proposed) == (4, 2)
    assert any("Too few" in one for one in found.warnings)


def test_one_class_only_is_warned_of(tmp_path):
    with make_store(tmp_path, images=4) as store:
        found = count_material(store)
    assert any("one class, small" in one for one in found.warnings)


def test_one_patient_on_both_sides_is_warned_of(tmp_path):
    with make_store(tmp_path, images=6, class_name="both", group="p1") as store:
        found = count_material(store)
    assert any("same patient" in one for one in found.warnings)


def test_many_objects_are_held_out_not_cross_fitted(tmp_path):
    with make_store(tmp_path, images=20, class_name="both") as store:
        found = count_material(store)
    assert found.hold_out.mode is HoldOutMode.QUARANTINE
    assert found.held_out == 8
    assert found.trainings == 1
