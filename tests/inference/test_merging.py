import numpy as np

from napari_segmoe.inference.merging import component_under, merge_click
from napari_segmoe.types import Click


def _squares(*corners, size=10, shape=(64, 64)):
    mask = np.zeros(shape, bool)
    for y, x in corners:
        mask[y : y + size, x : x + size] = True
    return mask


def test_only_the_component_under_the_point_is_taken():
    both = _squares((5, 5), (40, 40))
    assert (component_under(both, 44, 44) == _squares((40, 40))).all()


def test_a_near_component_is_taken_within_reach_only():
    mask = _squares((20, 20))
    assert component_under(mask, 25, 18, reach_px=3).any()
    assert not component_under(mask, 25, 10, reach_px=3).any()


def test_a_click_changes_only_the_difference_under_it():
    previous = _squares((5, 5))
    answer = _squares((40, 40), (50, 20))
    merged = merge_click(previous, answer, Click(44, 44))
    assert (merged == _squares((5, 5), (40, 40))).all()


def test_locked_pixels_never_change():
    locked = _squares((40, 40), size=5)
    answer = _squares((40, 40))
    merged = merge_click(np.zeros_like(answer), answer, Click(48, 48), locked=locked)
    assert not (merged & locked).any()
    assert merged[48, 48]


def test_a_disobedient_answer_gets_a_disk():
    previous = _squares((20, 20), size=20)
    merged = merge_click(previous, previous, Click(30, 30, positive=False), obey_px=4)
    assert not merged[30, 30]
    assert not merged[30, 34]
    assert merged[30, 35]
