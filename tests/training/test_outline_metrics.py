"""Distances of outlines against hand-made numbers and against MONAI."""

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.training.outline_metrics import border_points, score_outlines


def _box(y0, x0, y1, x1, size=32):
    mask = np.zeros((size, size), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _blob(seed, size=48):
    noise = np.random.default_rng(seed).normal(size=(size, size))
    return ndimage.gaussian_filter(noise, 4) > 0.02


def test_hausdorff_of_boxes_shifted_by_five():
    scores = score_outlines(_box(5, 5, 15, 15), _box(5, 10, 15, 20))
    assert scores.hd95 == 5


def test_hausdorff_forgives_five_percent_of_the_outline():
    truth = _box(4, 4, 28, 28)
    spur = truth.copy()
    spur[0, 0] = True  # 1 of 93 border points, far away
    scores = score_outlines(spur, truth)
    assert scores.hd95 == 0
    assert scores.asd == pytest.approx(np.hypot(4, 4) / (93 + 92))


def test_single_pixels_have_the_distance_between_them():
    scores = score_outlines(_box(2, 2, 3, 3), _box(2, 12, 3, 13), (0.5, 2.0))
    assert (scores.hd95, scores.asd) == (10, 10)
    assert (scores.hd95_um, scores.asd_um) == (20, 20)
    assert scores.boundary_f1 == 0


def test_micrometres_follow_each_axis_and_are_silent_without_a_pixel_size():
    down, across = _box(12, 2, 13, 3), _box(2, 12, 3, 13)
    near = _box(2, 2, 3, 3)
    assert score_outlines(near, down, (0.5, 2.0)).hd95_um == 5
    assert score_outlines(near, across, (0.5, 2.0)).hd95_um == 20
    assert "hd95_um" not in score_outlines(near, down).as_dict()


def test_boundary_f1_takes_outlines_within_three_pixels():
    truth = _box(4, 4, 24, 24)
    assert score_outlines(_box(6, 6, 22, 22), truth).boundary_f1 == 1  # corners 2.8
    assert score_outlines(_box(8, 8, 20, 20), truth).boundary_f1 == 0


def test_boundary_f1_worked_by_hand():
    truth = _box(10, 0, 11, 10)  # a line of 10 px
    longer = _box(10, 0, 11, 20)  # 13 of its 20 px lie within 3 px
    scores = score_outlines(longer, truth)
    assert scores.boundary_f1 == pytest.approx(2 * 0.65 * 1 / 1.65)


def test_outlines_of_empty_masks():
    empty, full = _box(0, 0, 0, 0), _box(0, 0, 4, 4)
    both = score_outlines(empty, empty, (1.0, 1.0))
    assert (both.hd95, both.asd, both.boundary_f1, both.asd_um) == (0, 0, 1, 0)
    for scores in (score_outlines(empty, full), score_outlines(full, empty)):
        assert (scores.hd95, scores.asd, scores.boundary_f1) == (None, None, 0)


def test_pixels_at_the_image_border_are_outline():
    assert len(border_points(np.ones((5, 5), bool))) == 16


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_monai(seed):
    monai = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    predicted, truth = _blob(seed), _blob(seed + 100)
    scores = score_outlines(predicted, truth)
    pair = [torch.from_numpy(one)[None, None].float() for one in (predicted, truth)]
    hd95 = monai.compute_hausdorff_distance(
        *pair, include_background=True, percentile=95
    )
    asd = monai.compute_average_surface_distance(
        *pair, include_background=True, symmetric=True
    )
    assert scores.hd95 == pytest.approx(float(hd95), rel=1e-5)
    assert scores.asd == pytest.approx(float(asd), rel=1e-5)


def test_outlines_at_zero_are_measured_after_a_training_too():
    """Runs take denormal numbers for zeros, of which a tree of scipy died."""
    torch = pytest.importorskip("torch")
    predicted, truth = np.ones((40, 40), bool), _box(5, 0, 40, 40, size=40)
    expected = score_outlines(predicted, truth)
    if not torch.set_flush_denormal(True):
        pytest.skip("This CPU has no such mode.")
    try:
        assert score_outlines(predicted, truth) == expected
    finally:
        torch.set_flush_denormal(False)
