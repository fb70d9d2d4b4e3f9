"""What is known of pixels: objects, a ring round them, finished tiles; nothing else."""

import numpy as np

from napari_segmoe.project.records import ImageRecord
from napari_segmoe.training.finetune.known import known_ids
from napari_segmoe.training.finetune.snapshot import LearntObject, LearntPatch

SHAPE = (60, 80)


def make_patch(objects, *, others=(), tiles=()):
    labels = np.zeros(SHAPE, np.uint32)
    learnt = []
    for number, (y0, x0, y1, x1) in objects.items():
        labels[y0:y1, x0:x1] = number
        learnt.append(LearntObject(number, (y0, x0, y1, x1), None, 1.0, "u", 0))
    for number, (y0, x0, y1, x1) in dict(others).items():
        labels[y0:y1, x0:x1] = number
    record = ImageRecord(name="image-0001", fingerprint="0", shape=SHAPE)
    return LearntPatch(record, (0, 0, *SHAPE), labels, tuple(learnt), tuple(tiles))


def test_unlabelled_pixels_are_not_known():
    patch = make_patch({1: (20, 20, 30, 30)})
    ids = known_ids(patch, patch.objects)
    assert (ids[20:30, 20:30] == 1).all()
    assert ids[22, 17] == 0  # in the ring
    assert ids[22, 10] == -1
    assert ids[50, 70] == -1


def test_the_ring_is_four_network_pixels_or_a_tenth_of_the_object():
    small = make_patch({1: (20, 30, 30, 40)})
    ids = known_ids(small, small.objects)
    assert [ids[25, 30 - step] for step in (4, 5)] == [0, -1]
    ids = known_ids(small, small.objects, pixel_px=2.0)
    assert [ids[25, 30 - step] for step in (8, 9)] == [0, -1]
    large = make_patch({1: (5, 20, 55, 80)})
    ids = known_ids(large, large.objects)
    assert [ids[30, 20 - step] for step in (6, 7)] == [0, -1]


def test_another_object_is_no_background_in_a_ring():
    patch = make_patch({1: (20, 20, 30, 30), 2: (20, 31, 30, 40)})
    ids = known_ids(patch, patch.objects)
    assert (ids[20:30, 31:40] == 2).all()
    assert (ids[20:30, 20:30] == 1).all()


def test_what_nobody_accepted_is_not_known_even_in_a_finished_tile():
    patch = make_patch(
        {1: (20, 20, 30, 30)}, others={7: (20, 31, 30, 40)}, tiles=[(0, 0, *SHAPE)]
    )
    ids = known_ids(patch, patch.objects)
    assert (ids[20:30, 31:40] == -1).all()
    assert ids[50, 70] == 0


def test_held_out_objects_leave_nothing_behind():
    patch = make_patch(
        {1: (5, 5, 15, 15), 2: (40, 50, 50, 60)},
        tiles=[(0, 0, 30, 30), (30, 30, 60, 80)],
    )
    ids = known_ids(patch, patch.objects[:1])
    assert ids[25, 25] == 0
    assert (ids[30:, 30:] == -1).all()


def test_objects_at_the_border_keep_their_ring_inside():
    patch = make_patch({1: (0, 0, 10, 10)})
    ids = known_ids(patch, patch.objects)
    assert ids[0, 0] == 1
    assert ids[12, 2] == 0
