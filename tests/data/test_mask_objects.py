"""Which pixels of a mask are one object."""

import numpy as np

from napari_segmoe.data.mask_objects import label_components


def test_components_touch_at_corners_and_small_ones_go():
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = mask[1, 1] = True
    mask[5:8, 5:8] = True
    assert label_components(mask).max() == 2
    labels = label_components(mask, min_area_px=3)
    assert labels.max() == 1
    assert np.count_nonzero(labels) == 9
