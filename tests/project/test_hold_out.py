"""Which objects are held out: a stable fifth, whole patients, or folds below 25."""

import itertools

import pytest

from napari_segmoe.project.hold_out import (
    HoldOutMode,
    PlacedObject,
    UnitLevel,
    divide,
)
from napari_segmoe.project.records import ImageRecord, RegionPlace


def make_images(count, *, groups=None, shape=(500, 500)):
    return [
        ImageRecord(
            name=f"image-{number + 1:04}",
            fingerprint=f"{number:032x}",
            shape=shape,
            group=None if groups is None else groups(number),
        )
        for number in range(count)
    ]


def place(image, number, *, at=(10, 10)):
    y, x = at
    return PlacedObject(image.name, number, (y, x, y + 20, x + 20))


def two_each(images):
    return [place(one, number) for one in images for number in (1, 2)]


def held_by(hold_out):
    return {one for one in hold_out.unit_of if hold_out.fold(one) == 0}


def test_from_25_objects_on_a_fifth_of_the_images_is_held_out():
    images = make_images(20)
    found = divide(images, two_each(images), salt="s")
    assert found.mode is HoldOutMode.QUARANTINE
    assert found.level is UnitLevel.IMAGE or found.level is UnitLevel.PATIENT
    assert len({one.image for one in held_by(found)}) == 4


def test_what_is_held_out_stays_so_when_images_and_objects_join():
    images = make_images(40)
    before = divide(images[:20], two_each(images[:20]), salt="s")
    after = divide(images, [*two_each(images), place(images[0], 9)], salt="s")
    known = set(before.unit_of)
    assert held_by(before) == held_by(after) & known


def test_another_project_holds_out_others():
    images = make_images(60)
    chosen = {
        frozenset(
            one.image for one in held_by(divide(images, two_each(images), salt=s))
        )
        for s in "abcdef"
    }
    assert len(chosen) > 1


def test_a_patient_is_on_one_side_only():
    images = make_images(40, groups=lambda number: f"p{number // 2}")
    found = divide(images, two_each(images), salt="s")
    assert found.level is UnitLevel.PATIENT
    group_of = {one.name: one.group for one in images}
    sides = {(group_of[one.image], found.fold(one) == 0) for one in found.unit_of}
    assert len(sides) == 20


def test_regions_of_a_slide_stay_together():
    region = RegionPlace(origin_yx=(0, 0), step_yx=(1, 1))
    images = [
        one.model_copy(update={"region": region, "fingerprint": f"{n // 3:032x}"})
        for n, one in enumerate(make_images(36))
    ]
    found = divide(images, two_each(images), salt="s")
    of_slide = {one.name: one.fingerprint for one in images}
    assert len({(of_slide[one.image], found.fold(one)) for one in found.unit_of}) == 12


def test_below_25_objects_folds_of_whole_images_judge_each_other():
    images = make_images(8)
    found = divide(images, two_each(images), salt="s")
    assert found.mode is HoldOutMode.CROSS_FITTING
    by_fold = dict.fromkeys(set(found.fold_of.values()), 0)
    for one in found.unit_of:
        by_fold[found.fold(one)] += 1
    assert by_fold == {0: 8, 1: 8}
    assert len({(one.image, found.fold(one)) for one in found.unit_of}) == 8


def test_one_large_image_is_parted_by_tiles():
    (image,) = make_images(1, shape=(4000, 4000))
    spots = itertools.product(range(100, 4000, 700), repeat=2)
    objects = [place(image, n, at=at) for n, at in enumerate(spots, start=1)]
    found = divide([image], objects, salt="s")
    assert found.level is UnitLevel.TILE
    assert found.mode is HoldOutMode.QUARANTINE
    assert UnitLevel.IMAGE in found.parted


def test_two_patients_are_parted_and_it_is_known():
    images = make_images(20, groups=lambda number: f"p{number % 2}")
    found = divide(images, two_each(images), salt="s")
    assert found.level in (UnitLevel.SLIDE, UnitLevel.IMAGE)
    assert UnitLevel.PATIENT in found.parted


@pytest.mark.parametrize("count", [0, 1, 2])
def test_objects_in_fewer_than_three_places_judge_nothing(count):
    images = make_images(count)
    found = divide(images, two_each(images), salt="s")
    assert found.mode is HoldOutMode.NONE


def test_four_objects_are_too_few():
    images = make_images(4)
    found = divide(images, [place(one, 1) for one in images], salt="s")
    assert found.mode is HoldOutMode.NONE


def test_units_tell_neither_image_nor_patient():
    images = make_images(6, groups=lambda number: "Meier")
    found = divide(images, two_each(images), salt="s")
    assert not any("Meier" in unit or "image" in unit for unit in found.fold_of)
