"""The recipe `supervised`: its losses, deep heads, heads of objects, a short run."""

import pytest
import torch

from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.config import make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.losses.dice_cross_entropy import dice_cross_entropy
from napari_segmoe.training.recipes.supervised import supervised_losses
from napari_segmoe.training.samples import Sample
from napari_segmoe.types import Prompts


def _config(**changes):
    return make_config(**({"data": "d", "out": "o", "recipe": "supervised"} | changes))


def _batch(count=2):
    generator = torch.Generator().manual_seed(0)
    return make_batch(
        [
            Sample(
                image=torch.rand(3, 16, 16, generator=generator),
                truth=(torch.rand(16, 16, generator=generator) > 0.5).numpy(),
                prompts=Prompts(),
                previous=None,
                image_class=1,
                object_class=0,
            )
            for _ in range(count)
        ]
    )


def _scores(channels=1, size=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, size, size, generator=generator)


def _losses(output, **changes):
    return supervised_losses(torch.nn.Module(), output, _batch(), _config(**changes))


def test_dice_and_cross_entropy_weigh_the_same():
    losses = _losses(SegmentationOutput(logits=_scores()))
    dice, entropy = dice_cross_entropy(_scores(), _batch().truth)
    assert losses["loss"].item() == pytest.approx((dice + entropy).item())


def test_their_weights_can_be_set():
    losses = _losses(
        SegmentationOutput(logits=_scores()), dice_weight=0.0, pixel_weight=2.0
    )
    assert losses["loss"] == pytest.approx(2 * losses["cross_entropy"].item())


def test_two_channels_are_background_and_object():
    """The softmax's cross-entropy, by way of one score."""
    losses = _losses(SegmentationOutput(logits=_scores(2)))
    expected = torch.nn.functional.cross_entropy(
        _scores(2), _batch().truth[:, 0].long()
    )
    assert losses["cross_entropy"].item() == pytest.approx(expected.item())


def test_of_more_channels_the_classes_of_pixels_count():
    batch = _batch()
    batch.truth_classes = torch.randint(0, 4, (2, 16, 16))
    batch.truth_classes[:, :2] = 255  # not known
    output = SegmentationOutput(logits=_scores(4))
    losses = supervised_losses(torch.nn.Module(), output, batch, _config())
    expected = torch.nn.functional.cross_entropy(
        _scores(4), batch.truth_classes, ignore_index=255
    )
    assert losses["cross_entropy"].item() == pytest.approx(expected.item())
    assert 0 < losses["dice"] < 1


def test_each_deep_head_counts_at_the_mask_s_size():
    output = SegmentationOutput(
        logits=_scores(), auxiliary=(_scores(size=8), _scores(size=16, seed=2))
    )
    losses = _losses(output, auxiliary_weight=0.5)
    alone = _losses(SegmentationOutput(logits=_scores()))["loss"]
    second = _losses(SegmentationOutput(logits=_scores(seed=2)))["loss"]
    assert losses["auxiliary"] > second
    total = alone + 0.5 * losses["auxiliary"]
    assert losses["loss"].item() == pytest.approx(total.item())


def test_deep_heads_can_be_left_out():
    output = SegmentationOutput(logits=_scores(), auxiliary=(_scores(size=8),))
    assert "auxiliary" not in _losses(output, auxiliary_weight=0.0)


def test_an_image_head_is_built_only_where_asked_for():
    assert not _config().image_head
    assert _config(image_head=True).image_head
    assert _config(recipe="multitask").image_head


def test_an_image_head_that_is_there_is_trained():
    output = SegmentationOutput(logits=_scores(), class_logits=torch.zeros(2, 2))
    losses = _losses(output, class_weight=0.5)
    assert losses["class"] > 0
    alone = _losses(SegmentationOutput(logits=_scores()))["loss"]
    assert losses["loss"].item() == pytest.approx(
        (alone + 0.5 * losses["class"]).item()
    )


@pytest.fixture(scope="module")
def short_run(tiny_folder, tmp_path_factory):
    """Two epochs of a network with deep heads and routers."""
    config = _config(
        data=tiny_folder,
        out=tmp_path_factory.mktemp("runs") / "run",
        model="mixsearch_lite",
        input_px=32,
        epochs=2,
        batch_size=6,
        learning_rate=3e-3,
        warmup_steps=1,
        empty_class="normal",
        precision="32-true",
        device="cpu",
        threads=1,
    )
    return config, list(fit(config))


def test_a_run_lowers_the_loss_and_counts_what_the_network_has(short_run):
    _, events = short_run
    first, second = (event["train"] for event in events if event["event"] == "epoch")
    assert second["loss"] < first["loss"]
    assert set(first) == {"loss", "dice", "cross_entropy", "auxiliary", "object_class"}


def test_its_weights_take_prompts_and_tell_objects_apart(short_run):
    config, _ = short_run
    model, card = load_weights(config.out / "best.safetensors")
    assert model.prompt_stem is not None
    assert card.object_classes == ("benign", "malignant")
    assert card.classes == ()
