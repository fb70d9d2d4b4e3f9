import numpy as np
import pytest

from napari_segmoe.inference.regions.class_plane import ClassPlane, owned
from napari_segmoe.inference.regions.components import Stitcher
from napari_segmoe.inference.regions.lattice import make_lattice
from napari_segmoe.inference.regions.numbering import Numbering


@pytest.mark.parametrize("shape", [(64, 64), (40, 200), (131, 97)])
@pytest.mark.parametrize("overlap_px", [0, 16, 33])
def test_each_pixel_is_owned_by_the_window_whose_centre_is_nearest(shape, overlap_px):
    lattice = make_lattice(shape, window_px=64, overlap_px=overlap_px)
    for axis in (lattice.rows, lattice.columns):
        found = np.full(axis.length, -1)
        for number in range(len(axis.starts)):
            low, high = owned(axis, number)
            assert (found[low:high] == -1).all()
            found[low:high] = number
        assert found.tolist() == [axis.owner(pixel) for pixel in range(axis.length)]


def test_windows_may_come_in_any_order():
    lattice = make_lattice((100, 150), window_px=64, overlap_px=16)
    planes = []
    for order in (list(lattice), list(reversed(list(lattice)))):
        plane = ClassPlane(lattice)
        for row, column in order:
            number = np.uint8(1 + 3 * row + column)
            plane.add(row, column, np.full((64, 64), number))
        planes.append(plane.values)
    assert (planes[0] == planes[1]).all()
    assert planes[0][0, 0] == 1
    assert planes[0][-1, -1] == planes[0].max()


def test_a_component_of_two_classes_becomes_two_objects():
    mask = np.zeros((40, 80), bool)
    mask[10:30, 10:70] = True
    classes = np.ones((40, 80), np.uint8)
    classes[:, 45:] = 2
    stitcher = Stitcher(mask.shape)
    stitcher.add((0, 0, 40, 80), mask)
    numbering = Numbering(stitcher, smallest_px=10)
    for component in stitcher.take_complete(lambda *_: True):
        numbering.add(component, None, None, classes)
    for _ in numbering.finish():
        pass
    assert stitcher.labels[20, 20] == 1  # the larger one
    assert stitcher.labels[20, 60] == 2
    assert ((stitcher.labels > 0) == mask).all()
