"""Memory that runs out costs time, never a window."""

import numpy as np
import pytest
import torch

from napari_segmoe.errors import DeviceError
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.regions import forwarding
from tests.inference.regions.fakes import (
    NO_MEMORY,
    DarkNetwork,
    Pixels,
    many_discs,
    paint,
    run,
)

SHAPE = (200, 260)


@pytest.fixture(scope="module")
def tissue():
    return paint(SHAPE, many_discs(SHAPE, count=15))


@pytest.mark.parametrize(
    "failure",
    [RuntimeError(NO_MEMORY), torch.OutOfMemoryError(NO_MEMORY), MemoryError()],
    ids=lambda failure: type(failure).__name__,
)
def test_smaller_batches_lose_no_window(tissue, failure):
    usual, _ = run(DarkNetwork(), Pixels(tissue), batch_size=8)
    network = DarkNetwork([None, failure, failure])
    answer, steps = run(network, Pixels(tissue), batch_size=8)
    assert network.sizes[:3] == [8, 2, 2]
    assert sum(network.sizes) == answer.windows - answer.empty_windows
    assert steps[-1].done == answer.windows
    np.testing.assert_array_equal(answer.labels, usual.labels)
    assert answer.notes == (
        "Memory ran short, so fewer windows were computed at a time.",
    )


def test_a_device_too_small_for_one_window_leaves_the_rest_to_the_cpu(
    tissue, monkeypatch
):
    usual, _ = run(DarkNetwork(), Pixels(tissue))
    helper = DarkNetwork()
    monkeypatch.setattr(forwarding, "on_cpu", lambda _: helper)
    device = DarkNetwork(
        [None, *[RuntimeError(NO_MEMORY)] * 2], device="cpu", classes=0
    )
    device.device = torch.device("cuda:0")
    answer, _ = run(device, Pixels(tissue), batch_size=2)
    assert device.sizes == [2]
    assert sum(helper.sizes) == answer.windows - answer.empty_windows - 2
    np.testing.assert_array_equal(answer.labels, usual.labels)
    assert answer.notes == (
        "Memory ran short, so fewer windows were computed at a time.",
        "Memory ran out on cuda:0, so the CPU finished; it may be slower.",
    )


def test_a_cpu_too_small_for_one_window_is_said(tissue):
    network = DarkNetwork([RuntimeError(NO_MEMORY)])
    with pytest.raises(DeviceError, match="Close other programs"):
        run(network, Pixels(tissue), batch_size=1)


def test_other_errors_come_through(tissue):
    network = DarkNetwork([RuntimeError("mat1 and mat2 shapes cannot be multiplied")])
    with pytest.raises(RuntimeError, match="mat1"):
        run(network, Pixels(tissue))


def test_the_copy_on_the_cpu_answers_as_the_network(small_weights):
    from napari_segmoe.models.weights import load_weights

    model, card = load_weights(small_weights)
    network = WindowNetwork(model, card, torch.device("cpu"))
    copied = forwarding.on_cpu(network)
    tiles = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    assert copied.model is not network.model
    np.testing.assert_array_equal(
        copied.answer_tiles(tiles).probability, network.answer_tiles(tiles).probability
    )
