"""`multitask` and `semi_supervised` on real glands, killed and resumed. Slow."""

import pytest

from napari_segmoe.models.weights import load_weights
from tests.training.recipes.real_runs import (
    command,
    epochs_of,
    kill_in,
    run,
    trivial_dice,
)

pytestmark = pytest.mark.slow

EPOCHS = 5
SETTINGS = {
    "model": "semi_moe_lite",
    "encoder_weights": "imagenet",
    "modality": "histology",
    "image_head": "false",
    "spacing_um": 3.0,
    "data_spacing_um": 0.62,
    "input_px": 64,
    "batch_size": 4,
    "epochs": EPOCHS,
    "learning_rate": 2e-3,
    "encoder_rate_factor": 0.25,
    "warmup_steps": 20,
    "ema_decay": 0.95,
    "cross_entropy_weight": 1.0,
    "texture_weight": 0.0,
    "distance_weight": 1.0,
    "ring_weight": 0.25,
    "expert_weight": 0.5,
    "prompt_share": 0.3,
    "patience": 100,
    "validate_every": EPOCHS,
    "precision": "32-true",
    "device": "cpu",
    "threads": 1,
}
RECIPES = {
    "multitask": {"recipe": "multitask", "samples_per_image": 2},
    "semi_supervised": {
        "recipe": "semi_supervised",
        "label_fraction": 0.3,
        "samples_per_image": 5,
    },
}


@pytest.fixture(scope="module", params=RECIPES)
def whole_run(request, glas, tmp_path_factory):
    """An uninterrupted run: its settings, folder and events."""
    settings = SETTINGS | RECIPES[request.param]
    out = tmp_path_factory.mktemp("runs") / request.param
    return settings, out, run(command(glas, out, settings))


def test_the_loss_falls_and_the_mask_beats_calling_everything_gland(whole_run, glas):
    settings, out, events = whole_run
    epochs = epochs_of(events)
    losses = [one["train"]["segmentation"] for one in epochs.values()]
    assert len(losses) == EPOCHS
    assert losses[-1] < 0.9 * losses[0]
    best = epochs[events[-1]["best_epoch"]]["validation"]["dice"]
    trivial = trivial_dice(glas, out)
    assert best > trivial + 0.02, (best, trivial)
    _, card = load_weights(out / "best.safetensors")
    assert card.training["recipe"] == settings["recipe"]
    assert card.metrics["validation"]["dice"] == pytest.approx(best)


def test_after_kill_9_a_run_continues_the_same_curve(whole_run, glas, tmp_path):
    settings, _, events = whole_run
    kill_in(command(glas, tmp_path / "run", settings), 2)
    found = epochs_of(run(command(glas, tmp_path / "run", settings, "--resume")))
    assert list(found) == list(range(2, EPOCHS))
    for epoch, one in found.items():
        expected = epochs_of(events)[epoch]
        assert one["train"] == pytest.approx(expected["train"], rel=1e-3)
        assert one.get("validation") == pytest.approx(expected.get("validation"))
