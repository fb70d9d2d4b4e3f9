"""Cards are read from a file's header alone, and damaged files are refused."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import CARD_KEY, WeightsCard, find_weights, read_card
from napari_segmoe.types import Modality

CARD = WeightsCard(
    name="tiny", model="decoder_interaction_lite", modality=Modality.ULTRASOUND
)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tiny.safetensors"
    tensors = {"a": np.zeros((2, 3), np.float32)}
    save_file(tensors, path, metadata={CARD_KEY: CARD.model_dump_json()})
    return path


def test_a_card_comes_back_as_written(weights):
    assert read_card(weights) == CARD


def test_every_card_says_what_it_is_not_for():
    assert "not a medical device" in CARD.intended_use


def test_a_card_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        CARD.name = "other"


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="Extra inputs"):
        WeightsCard(name="tiny", model="x", colour="red")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="No weights file"):
        read_card(tmp_path / "none.safetensors")


def test_a_pickle_is_refused_unopened(tmp_path):
    path = tmp_path / "old.safetensors"
    path.write_bytes(b"\x80\x04\x95" + bytes(100))
    with pytest.raises(WeightsError, match="is a pickle"):
        read_card(path)


def test_a_torch_archive_is_refused_unopened(tmp_path):
    path = tmp_path / "old.safetensors"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(WeightsError, match="is a pickle"):
        read_card(path)


@pytest.mark.parametrize("kept", [0, 4, 40])
def test_a_header_cut_short_is_refused(weights, kept):
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="cut short"):
        read_card(weights)


def test_tensors_cut_short_are_refused(weights):
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="holds 20 bytes of tensors"):
        read_card(weights)


def test_a_header_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", 8) + b"not json")
    with pytest.raises(WeightsError, match="header cannot be read"):
        read_card(path)


def test_weights_without_a_card_are_refused(tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path)
    with pytest.raises(WeightsError, match="has no card"):
        read_card(path)


def test_a_wrong_value_is_named(tmp_path):
    path = tmp_path / "wrong.safetensors"
    card = {**json.loads(CARD.model_dump_json()), "input_px": -1}
    tensors = {"a": np.zeros(1, np.float32)}
    save_file(tensors, path, metadata={CARD_KEY: json.dumps(card)})
    with pytest.raises(WeightsError, match="input_px"):
        read_card(path)


def test_a_path_is_found(weights):
    assert find_weights(weights) == weights
    assert find_weights(str(weights)) == weights


def test_an_unknown_name_is_refused():
    with pytest.raises(WeightsError, match="No weights 'nobody'"):
        find_weights("nobody")
