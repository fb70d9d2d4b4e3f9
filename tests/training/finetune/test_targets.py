"""Distances and rings are known where nothing hidden could change them."""

import numpy as np
import torch

from napari_segmoe.training.finetune.targets import partial_fields, stack_partial
from napari_segmoe.training.finetune.views import PartialSample


def make_ids():
    ids = np.full((40, 40), -1, np.int32)
    ids[8:32, 8:32] = 0
    ids[16:24, 16:24] = 3
    return ids


def test_a_distance_is_known_where_the_unknown_is_no_nearer():
    found = partial_fields(make_ids(), limit_px=16)
    assert found.distance_known[20, 20]
    assert found.distance_known[20, 14]  # 2 px to the object, 7 to the unknown
    assert not found.distance_known[20, 9]  # 7 px to the object, 2 to the unknown
    assert not found.distance_known[2, 2]


def test_known_distances_are_those_of_the_whole_truth():
    ids = make_ids()
    whole = np.maximum(ids, 0)
    whole[0:6, 0:6] = 9  # hidden in the unknown
    partly, truly = (partial_fields(one, limit_px=16) for one in (ids, whole))
    known = partly.distance_known
    assert np.array_equal(partly.distance[known], truly.distance[known])
    assert not np.array_equal(partly.distance, truly.distance)


def test_everything_is_known_of_a_whole_mask():
    found = partial_fields(np.maximum(make_ids(), 0), limit_px=16)
    assert found.distance_known.all()
    assert found.ring_known.all()


def test_weights_are_zero_where_nothing_is_known():
    sample = PartialSample(torch.zeros(3, 40, 40), make_ids(), weight=0.5)
    batch = stack_partial([sample], limit_px=16)
    assert batch.weight[0, 0, 2, 2] == 0
    assert batch.weight[0, 0, 20, 20] == 0.5
    assert batch.truth.sum() == 64
