"""`segmoe train --recipe two_stage` on real glands, killed and resumed. Slow."""

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

FIRST, SECOND = 6, 2
SETTINGS = {
    "model": "utanet_lite",
    "recipe": "two_stage",
    "modality": "histology",
    "spacing_um": 3.0,
    "data_spacing_um": 0.62,
    "input_px": 64,
    "samples_per_image": 2,
    "batch_size": 4,
    "first_stage_epochs": FIRST,
    "epochs": SECOND,
    "learning_rate": 2e-3,
    "warmup_steps": 20,
    "ema_decay": 0.97,
    "prompt_share": 0.3,
    "patience": 100,
    "validate_every": SECOND,
    "precision": "32-true",
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def whole_run(glas, tmp_path_factory):
    """An uninterrupted run and its events."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, run(command(glas, out, SETTINGS))


def test_the_loss_falls_in_both_stages(whole_run):
    _, events = whole_run
    losses = [one["train"]["loss"] for one in epochs_of(events).values()]
    assert len(losses) == FIRST + SECOND
    assert losses[FIRST - 1] < 0.85 * losses[0]
    assert losses[-1] < losses[FIRST]


def test_the_mask_beats_calling_everything_gland(whole_run, glas):
    out, events = whole_run
    trivial = trivial_dice(glas, out)
    best = epochs_of(events)[events[-1]["best_epoch"]]["validation"]["dice"]
    assert best > trivial + 0.02, (best, trivial)
    model, card = load_weights(out / "best.safetensors")
    assert model.mixture is not None
    assert card.metrics["validation"]["dice"] == pytest.approx(best)


def test_routers_are_told_for_each_epoch_of_the_second_stage(whole_run):
    _, events = whole_run
    told = [epoch for epoch, one in epochs_of(events).items() if "routing" in one]
    assert told == list(range(FIRST, FIRST + SECOND))


@pytest.mark.parametrize("killed_in", [2, FIRST + 1])
def test_after_kill_9_a_run_continues_the_same_curve(
    whole_run, glas, tmp_path, killed_in
):
    """Killed in the middle of an epoch of the first stage, and of the second."""
    _, whole = whole_run
    kill_in(command(glas, tmp_path / "run", SETTINGS), killed_in)
    found = epochs_of(run(command(glas, tmp_path / "run", SETTINGS, "--resume")))
    assert list(found) == list(range(killed_in, FIRST + SECOND))
    for epoch, one in found.items():
        expected = epochs_of(whole)[epoch]
        assert one["train"] == pytest.approx(expected["train"], rel=1e-3)
        assert one.get("validation") == pytest.approx(expected.get("validation"))
