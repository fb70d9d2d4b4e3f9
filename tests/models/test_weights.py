"""Weights files: whole or not at all, and never altered in silence."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import CARD_KEY, WeightsCard
from napari_segmoe.models.weights import (
    hash_tensors,
    load_tensors,
    load_weights,
    save_weights,
)

CARD = WeightsCard(name="tiny", model="decoder_interaction_lite")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tiny.safetensors"


def test_the_card_gets_the_hash_of_the_tensors(path):
    layer = nn.Linear(2, 3)
    written = save_weights(path, layer, CARD)
    assert written.tensors_sha256 == hash_tensors(layer.state_dict())


def test_half_precision_is_stored_as_float16(path):
    save_weights(path, nn.BatchNorm1d(2), CARD, half=True)
    stored = load_file(path)
    assert stored["running_mean"].dtype == torch.float16
    assert stored["num_batches_tracked"].dtype == torch.int64


def test_nothing_half_written_stays(path, monkeypatch):
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_weights(path, nn.Linear(2, 3), CARD)
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_altered_tensor_is_noticed(path):
    written = save_weights(path, nn.Linear(2, 3), CARD)
    tensors = load_file(path)
    tensors["weight"][0, 0] += 1e-3
    save_file(tensors, path, metadata={CARD_KEY: written.model_dump_json()})
    with pytest.raises(WeightsError, match="does not match the hash"):
        load_weights(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {"b": tensors["a"]},
        lambda tensors: {"a": tensors["a"].double()},
        lambda tensors: {"a": tensors["a"].reshape(2, 2)},
        lambda tensors: {"a": tensors["a"] + 1},
    ],
)
def test_the_hash_covers_names_types_shapes_and_values(change):
    tensors = {"a": torch.arange(4.0)}
    assert hash_tensors(tensors) != hash_tensors(change(tensors))


def test_the_hash_does_not_depend_on_the_order():
    one, two = torch.zeros(1), torch.ones(2)
    assert hash_tensors({"a": one, "b": two}) == hash_tensors({"b": two, "a": one})


def test_tensors_that_do_not_fit_are_counted_and_named():
    layer = nn.Linear(2, 3)
    tensors = {"weight": torch.zeros(3, 4), "colour": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load_tensors(layer, tensors, source="odd.safetensors")
    message = str(caught.value)
    for fault in (
        "1 missing (first: bias)",
        "1 unknown (first: colour)",
        "1 of another shape (first: weight)",
    ):
        assert fault in message


def test_only_a_prompt_stem_may_be_missing():
    model = nn.ModuleDict({"prompt_stem": nn.Linear(1, 1), "body": nn.Linear(1, 1)})
    tensors = {
        name: torch.full_like(tensor, 2.0)
        for name, tensor in model.state_dict().items()
        if name.startswith("body")
    }
    before = model["prompt_stem"].weight.clone()
    load_tensors(model, tensors, source="old.safetensors")
    assert model["body"].weight.item() == 2
    assert torch.equal(model["prompt_stem"].weight, before)
