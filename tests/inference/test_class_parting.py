import numpy as np

from napari_segmoe.inference.class_parting import part_classes
from napari_segmoe.inference.selection import label_objects


def _touching():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:55] = 1
    classes = np.ones((30, 60), np.uint8)
    classes[:, 30:] = 2
    return labels, classes


def test_touching_pieces_of_two_classes_are_two_objects():
    labels, classes = _touching()
    parted = part_classes(labels, classes, smallest_px=10)
    assert sorted(np.unique(parted)) == [0, 1, 2]
    assert (parted[5:25, 5:30] == parted[6, 6]).all()
    assert (parted[5:25, 30:55] == parted[6, 40]).all()
    assert ((parted > 0) == (labels > 0)).all()


def test_one_class_stays_one_object():
    labels, classes = _touching()
    assert (part_classes(labels, np.ones_like(classes), smallest_px=1) == labels).all()


def test_small_pieces_go_to_the_nearest_object():
    labels, classes = _touching()
    classes[10:13, 10:13] = 3
    classes[5, 30:34] = 1
    parted = part_classes(labels, classes, smallest_px=20)
    assert parted.max() == 2
    assert (parted[5:25, 5:30] == parted[6, 6]).all()


def test_doubt_everywhere_leaves_one_object():
    labels = np.ones((8, 8), np.int32)
    rows, columns = np.indices((8, 8))
    classes = (1 + (rows + columns) % 2).astype(np.uint8)
    classes[0, 0] = 3
    parted = part_classes(labels, classes, smallest_px=60)
    assert (parted == 1).all()


def test_ids_have_no_gap_and_objects_stay_apart():
    labels, classes = _touching()
    labels[labels > 0] = 4
    labels[27:29, 5:20] = 9
    parted = part_classes(labels, classes, smallest_px=1)
    assert sorted(np.unique(parted)) == [0, 1, 2, 3]
    assert parted[27, 6] not in np.unique(parted[5:25])


def test_an_empty_mask_has_no_object():
    empty = np.zeros((4, 4), np.int32)
    assert not part_classes(empty, np.ones((4, 4), np.uint8), smallest_px=1).any()


def test_objects_by_size_are_parted_by_class():
    labels, classes = _touching()
    classes[:, :20], classes[:, 20:] = 1, 2
    found = label_objects(labels > 0, 1e-3, classes=classes)
    assert found[10, 40] == 1  # the larger one first
    assert found[10, 10] == 2
    assert label_objects(labels > 0, 1e-3).max() == 1
