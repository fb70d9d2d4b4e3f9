import pytest

from napari_segmoe.models.efficientnet import EfficientNetEncoder
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.config import make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.starting_weights import find_encoder
from tests.training.tissue import touching_glands, write_folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    folder = write_folder(root / "d", [touching_glands()] * 6)
    config = make_config(
        data=folder,
        out=root / "out",
        model="semi_moe_lite",
        modality="histology",
        spacing_um=1.0,
        data_spacing_um=0.5,
        image_head=False,
        input_px=64,
        epochs=2,
        samples_per_image=2,
        batch_size=2,
        distance_weight=1.0,
        ring_weight=0.5,
        expert_weight=0.5,
        validation_fraction=0.3,
        warmup_steps=2,
        precision="32-true",
        device="cpu",
        threads=1,
    )
    return config, list(fit(config))


def test_an_epoch_draws_several_samples_of_each_image(run):
    _, events = run
    start = events[0]
    steps = {event["steps"] for event in events if event["event"] == "progress"}
    assert steps == {start["train_images"]}  # twice as many samples, two a step


def test_all_losses_and_figures_are_there(run):
    _, events = run
    epochs = [event for event in events if event["event"] == "epoch"]
    assert {"expert", "distance", "ring", "object_class"} <= set(epochs[0]["train"])
    assert "class" not in epochs[0]["train"]
    figures = epochs[-1]["validation"]
    assert {"dice", "object_f1", "click_iou", "object_accuracy"} <= set(figures)
    assert figures["score"] == figures["dice"] + figures["click_iou"] / 2


def test_the_weights_know_their_pixel_size_and_have_no_image_head(run):
    config, _ = run
    model, card = load_weights(config.out / "best.safetensors")
    assert (card.spacing_um, card.assumed_spacing_um) == (1.0, 0.5)
    assert card.classes == ()
    assert card.object_classes == ("benign", "malignant")
    assert model.image_head is None
    assert model.region_head is not None


def test_a_resumed_run_continues_the_same_curve(run, tmp_path):
    config, whole = run
    parts = config.model_copy(update={"out": tmp_path / "parts"})
    unfinished = fit(parts)
    for event in unfinished:
        if event["event"] == "epoch":
            break
    unfinished.close()
    resumed = list(fit(parts, resume=True))
    assert _losses(resumed) == pytest.approx(_losses(whole)[1:], rel=1e-4)


def _losses(events):
    return [event["train"]["loss"] for event in events if event["event"] == "epoch"]


def test_the_encoder_is_found_wherever_it_is():
    shared = find_encoder(create_model("semi_moe_lite"))
    assert isinstance(shared, EfficientNetEncoder)
    plain = create_model("decoder_interaction_lite")
    assert find_encoder(plain) is plain.encoder
    assert find_encoder(create_model("semi_moe", widths=(4, 8, 16))) is None
