import dataclasses

import numpy as np
import pytest
import torch

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import make_config
from napari_segmoe.training.fields import (
    FieldOptions,
    field_losses,
    field_options,
    make_fields,
)
from napari_segmoe.training.samples import Sample
from napari_segmoe.types import Prompts

OPTIONS = FieldOptions(distance_limit_px=8)


def _sample(ids, *, pooled=None):
    return Sample(
        torch.rand(3, *ids.shape),
        ids > 0,
        Prompts(),
        None,
        -1,
        0,
        ids=ids,
        pooled=pooled,
    )


@pytest.fixture
def touching():
    ids = np.zeros((40, 60), np.int32)
    ids[10:30, 10:30], ids[10:30, 30:50] = 1, 2
    return ids


def _config(tmp_path, **changes):
    return make_config(data=tmp_path, out=tmp_path, **changes)


def test_touching_glands_have_a_valley_and_a_ring_between_them(touching):
    fields = make_fields([_sample(touching)], OPTIONS)
    row, ring = fields.distance[0, 0, 20], fields.ring[0, 0, 20]
    assert row[20] == pytest.approx(1)
    assert row[29] == row[30] == 0  # each has its edge here
    assert row[0] == -1
    assert ring[28:32].all()
    merged = dataclasses.replace(_sample(touching), ids=None)
    assert make_fields([merged], OPTIONS).distance[0, 0, 20, 30] > 0.9


def test_a_prompted_sample_has_fields_of_its_object_alone(touching):
    only = dataclasses.replace(_sample(touching), ids=None, truth=touching == 1)
    fields = make_fields([only], OPTIONS)
    assert (fields.distance[0, 0, :, 40:] == -1).all()
    assert not fields.ring[0, 0, :, 34:].any()


def test_an_empty_answer_is_far_from_everything():
    nothing = _sample(np.zeros((16, 16), np.int32))
    fields = make_fields([nothing], OPTIONS)
    assert (fields.distance == -1).all()
    assert not fields.ring.any()


def test_right_heads_cost_nothing_and_experts_count_less(touching, tmp_path):
    fields = make_fields([_sample(touching)], OPTIONS)
    config = _config(tmp_path, distance_weight=2.0, ring_weight=1.0, expert_weight=0.5)
    sure = (fields.ring * 2 - 1) * 50
    right = {"distance": fields.distance, "boundary": sure}
    own = {"distance expert": fields.distance, "boundary expert": sure}
    total, _ = field_losses(_output(**right, expert_outputs=own), fields, config)
    assert float(total) == pytest.approx(0, abs=1e-4)
    wrong = own | {"distance expert": fields.distance + 1}
    total, parts = field_losses(_output(**right, expert_outputs=wrong), fields, config)
    assert float(parts["distance"]) == pytest.approx(0.5)
    assert float(total) == pytest.approx(1.0, abs=1e-4)
    total, _ = field_losses(
        _output(**(right | {"distance": fields.distance + 1})), fields, config
    )
    assert float(total) == pytest.approx(2.0, abs=1e-4)


def _output(**heads):
    return SegmentationOutput(logits=torch.zeros(1, 1, 40, 60), **heads)


def test_fields_are_made_only_where_a_loss_asks(touching, tmp_path):
    assert field_options(_config(tmp_path)) is None
    options = field_options(_config(tmp_path, ring_weight=0.1))
    assert options is not None
    assert make_batch([_sample(touching)]).fields is None
    batch = make_batch([_sample(touching)], fields=options)
    assert batch.to(torch.device("cpu")).fields.ring.shape == (1, 1, 40, 60)


def test_the_class_is_asked_of_one_object(touching):
    batch = make_batch([_sample(touching, pooled=touching == 2), _sample(touching)])
    assert (batch.object_mask[0, 0].numpy() == (touching == 2)).all()
    assert not batch.near_object[0, 0, :, :20].any()
    assert (batch.object_mask[1, 0].numpy() == (touching > 0)).all()
    assert batch.near_object[1].all()
