"""Pooling under a mask, in its ring, and the five numbers of its shape, by hand."""

import math

import pytest
import torch

from napari_segmoe.models.region_head import (
    RegionHead,
    _pool_inside_and_around,
    _ring,
    _shape_numbers,
)


def _square(side=10, size=40):
    mask = torch.zeros(1, 1, size, size)
    start = (size - side) // 2
    mask[..., start : start + side, start : start + side] = 1
    return mask


def test_shape_numbers_of_a_rectangle():
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 2:7, 5:15] = 1  # 5 high, 10 wide
    log_area, tall, wide, ratio, fill = _shape_numbers(mask)[0].tolist()
    assert log_area == pytest.approx(math.log(50 / 400 + 1e-4))
    assert (tall, wide) == (0.25, 0.5)
    assert ratio == pytest.approx(math.log(0.51 / 0.26))
    assert fill == pytest.approx(1)


def test_the_ring_is_a_sixth_of_the_diameter_wide_and_outside():
    mask = _square(side=20, size=40)
    ring = _ring(mask)
    # .15 * sqrt(400) = 3 steps: 26 x 26 less 20 x 20.
    assert ring.sum().item() == 26**2 - 20**2
    assert (ring * mask).sum().item() == 0


def test_the_ring_of_a_small_object_is_one_pixel_wide():
    assert _ring(_square(side=2)).sum().item() == 4**2 - 2**2


def test_rings_of_a_batch_do_not_depend_on_each_other():
    small, large = _square(side=4), _square(side=24)
    together = _ring(torch.cat([small, large]))
    assert torch.equal(together[:1], _ring(small))
    assert torch.equal(together[1:], _ring(large))


def test_maps_are_pooled_inside_around_and_as_their_difference():
    mask = _square(side=20, size=40)
    feature = torch.where(mask > 0, 3.0, 1.0)
    inside, around, difference = _pool_inside_and_around(feature, mask)
    assert inside.item() == pytest.approx(3)
    assert around.item() == pytest.approx(1)
    assert difference.item() == pytest.approx(2)


def test_a_coarser_map_is_pooled_under_the_shrunk_mask():
    mask = _square(side=20, size=40)
    feature = torch.where(_square(side=10, size=20) > 0, 3.0, 1.0)
    assert _pool_inside_and_around(feature, mask)[0].item() == pytest.approx(3)


def test_the_class_depends_on_what_is_under_the_mask_only():
    torch.manual_seed(0)
    head = RegionHead((1,), embedding_channels=0, classes=2).eval()
    mask = _square(side=10, size=40)
    feature = torch.rand(1, 1, 40, 40)
    elsewhere = feature.clone()
    elsewhere[..., :5, :5] += 9
    with torch.no_grad():
        scores = head((feature,), None, mask)
        assert torch.equal(head((elsewhere,), None, mask), scores)
        assert not torch.equal(head((feature + mask,), None, mask), scores)


def test_half_precision_maps_are_pooled_in_float32():
    head = RegionHead((1,), embedding_channels=4, classes=2).eval()
    feature = torch.rand(1, 1, 40, 40).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores = head((feature,), torch.rand(1, 4).bfloat16(), _square())
    assert scores.dtype == torch.float32


def test_layers_tell_what_lies_above_and_below_an_object():
    torch.manual_seed(0)
    head = RegionHead((2,), embedding_channels=0, classes=3, context="layers").eval()
    feature = torch.rand(1, 2, 40, 40)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 18:22, 10:20] = 1
    before = head((feature,), None, mask)
    for rows in (slice(14, 18), slice(22, 26)):
        other = feature.clone()
        other[..., rows, 10:20] += 1
        assert not torch.allclose(head((other,), None, mask), before)
    far = feature.clone()
    far[..., :10, :] += 1
    far[..., 18:22, 30:] += 1  # beside it, beyond the ring
    assert torch.allclose(head((far,), None, mask), before)


def test_above_and_below_are_not_the_same():
    torch.manual_seed(0)
    head = RegionHead((1,), embedding_channels=0, classes=3, context="layers").eval()
    feature = torch.zeros(1, 1, 40, 40)
    feature[..., :20, :] = 1
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 18:22, 10:20] = 1
    turned = head((feature.flip(2),), None, mask.flip(2))
    assert not torch.allclose(head((feature,), None, mask), turned)


def test_an_unknown_context_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        RegionHead((1,), embedding_channels=0, classes=2, context="nothing")
