"""Each kind of explanation, from traces made by hand."""

import numpy as np
import pytest
import torch

from napari_segmoe.data.windows import Window
from napari_segmoe.inference.explanations.canvas import Canvas, covered_px, leading
from napari_segmoe.inference.explanations.collection import explain_answer
from napari_segmoe.inference.explanations.geometry import (
    distance_disagreement,
    ring_of,
)
from napari_segmoe.inference.explanations.uncertainty import entropy_bits
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.models.outputs import Routing, SegmentationOutput

SIDE = 8


class StubNetwork:
    """Enlarges as the real one and pads nothing."""

    enlarge = WindowNetwork.enlarge

    def padded_px(self, side_px):
        return side_px


def _explain(shape=(SIDE, SIDE), window=None, probability=None, **fields):
    window = window or Window(0, 0, SIDE, SIDE)
    if probability is None:
        probability = np.full((SIDE, SIDE), 0.5, np.float32)
    output = SegmentationOutput(logits=torch.zeros(1, 1, SIDE, SIDE), **fields)
    answer = WindowAnswer(window, probability, output)
    return {one.key: one for one in explain_answer(answer, StubNetwork(), shape)}


def _flat(value, channels=1):
    return torch.full((1, channels, SIDE, SIDE), float(value))


def _left_half(value):
    trace = torch.zeros(1, 1, SIDE, SIDE)
    trace[..., : SIDE // 2] = value
    return trace


def _routing(stage, experts, *weights):
    rows = torch.tensor([weights])
    return Routing(stage, experts, rows, rows.argsort(dim=1, descending=True))


def test_entropy_is_one_bit_for_a_coin_toss_and_none_for_certainty():
    bits = entropy_bits(np.array([0.0, 0.5, 1.0, 0.11], np.float32))
    np.testing.assert_allclose(bits, [0, 1, 0, 0.4999], atol=1e-3)


def test_mask_and_distance_contradict_each_other_only_with_opposite_signs():
    probability = np.array([1.0, 1.0, 0.0, 0.5, 0.75], np.float32)
    distance = np.array([1.0, -1.0, -1.0, 1.0, -0.5], np.float32)
    np.testing.assert_allclose(
        distance_disagreement(probability, distance), [0, 1, 0, 0, 0.5], atol=1e-6
    )


def test_the_ring_lies_outside_the_object_and_is_two_pixels_wide():
    mask = np.zeros((15, 15), np.float32)
    mask[5:10, 5:10] = 1
    ring = ring_of(mask)
    assert not (ring * mask).any()
    assert ring[7].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]


def test_a_boundary_on_the_masks_own_ring_is_no_disagreement():
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[3:5, 3:5] = 1
    scores = torch.from_numpy(ring_of(mask) * 200 - 100)[None, None]
    found = _explain(probability=mask, boundary=scores)
    assert found["disagreement/boundary"].values.max() < 1e-6
    assert found["boundary"].values.max() == 1


def test_where_the_window_does_not_reach_is_far_outside_and_nothing_else():
    window = Window(0, 0, SIDE, SIDE)
    found = _explain(
        (SIDE, 2 * SIDE),
        window,
        distance=_flat(0.5),
        boundary=_flat(9),
        traces={"attention/D1": _flat(1)},
    )
    outside = {key: one.values[:, SIDE:] for key, one in found.items()}
    assert (outside.pop("distance") == -1).all()
    assert all((values == 0).all() for values in outside.values())
    assert (found["distance"].values[:, :SIDE] == 0.5).all()


@pytest.mark.parametrize(
    ("side", "grid_px", "padded_px", "covered"),
    [
        (16, 64, 64, 64),  # stride 4, nothing padded
        (20, 70, 80, 80),  # stride 4 of the padded input
        (35, 70, 80, 70),  # stride 2, cut to the input
        (33, 65, 80, 66),  # the same, rounded up
        (70, 70, 80, 70),  # outputs
        (1, 1, 32, 1),
    ],
)
def test_maps_cover_the_padded_or_the_cut_input(side, grid_px, padded_px, covered):
    assert covered_px(side, grid_px=grid_px, padded_px=padded_px) == covered


def test_padding_is_cut_off_a_map():
    class Padding(StubNetwork):
        def padded_px(self, side_px):
            return 2 * side_px

    output = SegmentationOutput(torch.zeros(1, 1, SIDE, SIDE))
    answer = WindowAnswer(Window(0, 0, SIDE, SIDE), np.zeros((SIDE, SIDE)), output)
    canvas = Canvas(answer, Padding(), (SIDE, SIDE))
    trace = torch.zeros(1, 1, 2 * SIDE, 2 * SIDE)
    trace[..., :SIDE, :SIDE] = 3
    assert (canvas.on_grid(trace) == 3).all()


def test_of_several_channels_the_norm_is_shown():
    found = _explain(traces={"change/D1": torch.cat([_flat(3), _flat(-4)], dim=1)})
    assert found["change/D1"].values == pytest.approx(5)
    assert found["change/D1"].value_range == (0, 5)
    assert found["change/D1"].group == "Tasks"


def test_changes_of_other_blocks_are_no_tasks():
    found = _explain(traces={"change/Swin L1": _flat(1)})
    assert found["change/Swin L1"].group == "Branches"


def test_contributions_of_a_stage_share_their_range():
    traces = {
        "contribution/S1/expert 1": _flat(1),
        "contribution/S1/expert 2": _flat(4),
        "contribution/S2/expert 1": _flat(9),
    }
    found = _explain(traces=traces)
    assert found["contribution/S1/expert 1"].value_range == (0, 4)
    assert found["contribution/S2/expert 1"].value_range == (0, 9)
    assert "dominant/S2" not in found
    assert "one number for" in found["contribution/S1/expert 1"].description


def test_the_leading_expert_is_named_at_each_place():
    traces = {
        "contribution/mask/distance expert": _flat(1),
        "contribution/mask/boundary expert": _left_half(2),
    }
    leader = _explain(traces=traces)["dominant/mask"]
    assert leader.kind == "categories"
    assert leader.labels == ("none", "distance expert", "boundary expert")
    assert (leader.values[:, : SIDE // 2] == 2).all()
    assert (leader.values[:, SIDE // 2 :] == 1).all()
    assert leader.name == "Leading expert for the mask"


def test_where_nobody_adds_anything_nobody_leads():
    maps = {"a": np.zeros((2, 2)), "b": np.array([[0, 0], [0, 1]])}
    leader = leading(maps, key="k", name="n", group="Experts", description="d.")
    assert leader.values.tolist() == [[0, 0], [0, 2]]


def test_features_of_shared_experts_are_shown_once():
    shared = {f"energy/{stage}/expert 1": _flat(2) for stage in ("S1", "S2")}
    assert "energy/expert 1" in _explain(traces=shared)
    apart = shared | {"energy/S2/expert 1": _flat(3)}
    found = _explain(traces=apart)
    assert {"energy/S1/expert 1", "energy/S2/expert 1"} <= set(found)


def test_routing_is_one_matrix_with_zeros_for_absent_experts():
    found = _explain(
        routing=(
            _routing("S1", ("expert 1", "expert 2"), 0.25, 0.75),
            _routing("S2", ("expert 2", "expert 3"), 0.5, 0.5),
        )
    )["routing"]
    assert found.row_labels == ("S1", "S2")
    assert found.labels == ("expert 1", "expert 2", "expert 3")
    assert found.values.tolist() == [[0.25, 0.75, 0], [0, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("stage", "experts", "title"),
    [
        ("D1", ("segmentation", "classification"), "level x task"),
        ("mask", ("mask expert", "distance expert"), "task x expert"),
        ("S1", ("expert 1", "expert 2"), "stage x expert"),
        ("cell 2_0", ("normal", "up"), "node x cell"),
    ],
)
def test_routing_says_what_its_rows_and_columns_are(stage, experts, title):
    found = _explain(routing=(_routing(stage, experts, 0.5, 0.5),))["routing"]
    assert title in found.name
    assert "image" in found.description


def test_balance_goes_both_ways():
    found = _explain(traces={"balance/L1": _left_half(-1)})["balance/L1"]
    assert found.value_range == (-1, 1)
    assert found.values.min() == -1
    assert "CNN" in found.description


def test_the_preferred_branch_is_the_strongest():
    traces = {
        "branch/DFE L1/dilation 6": _flat(1),
        "branch/DFE L1/dilation 12": _left_half(2),
    }
    found = _explain(traces=traces)
    assert found["preference/DFE L1"].values[0].tolist() == [2] * 4 + [1] * 4
    assert found["branch/DFE L1/dilation 6"].value_range == (0, 2)


def test_scale_weights_are_a_table():
    traces = {"scales/E1": torch.tensor([[0.2, 0.3, 0.5]])}
    found = _explain(traces=traces)["scales"]
    assert found.labels == ("dilation 1", "dilation 2", "dilation 4")
    np.testing.assert_allclose(found.values, [[0.2, 0.3, 0.5]])


def test_outputs_that_agree_do_not_disagree():
    agreeing = _explain(auxiliary=(_flat(0), _flat(0)))
    assert not agreeing["depth/disagreement"].values.any()
    other = _explain(auxiliary=(_flat(0), _flat(100)))
    assert other["depth/disagreement"].values == pytest.approx(0.5)
    assert other["depth/output 2"].values == pytest.approx(1)


def test_an_experts_own_output_is_compared_with_that_of_all():
    found = _explain(
        distance=_flat(1),
        expert_outputs={"mask expert": _flat(100), "distance expert": _flat(0)},
        auxiliary=(_flat(100),),
    )
    assert found["alone/mask expert"].values == pytest.approx(0.5)
    assert found["alone/distance expert"].values == pytest.approx(0.5)
    assert "depth/disagreement" not in found


def test_cells_are_shares_and_maps():
    traces = {"cell/2_0/normal": _flat(3), "cell/2_0/up": _flat(1)}
    found = _explain(traces=traces)
    assert found["cells"].values.tolist() == [[0, 0.75, 0.25]]
    assert found["cell/2_0/up"].value_range == (0, 3)
    assert "coarser" in found["cell/2_0/up"].description
