"""The progress of a region's segmentation, drawn coarsely."""

import numpy as np
from napari.layers import Labels

from napari_segmoe.viewer.slide_layers import set_grain


def test_coarse_progress_lies_on_the_pixels_that_it_stands_for():
    layer = Labels(np.zeros((3, 3), np.uint8), affine=np.diag([0.5, 0.5, 1]))
    set_grain(layer, 4)
    assert tuple(layer.data_to_world((1, 2))) == (0.5 * 5.5, 0.5 * 9.5)
    set_grain(layer, 1)
    assert tuple(layer.data_to_world((1, 2))) == (0.5, 1)
