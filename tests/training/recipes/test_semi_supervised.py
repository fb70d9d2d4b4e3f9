"""The recipe `semi_supervised`: who teaches whom, ramp, options, resume, errors."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segmoe.errors import ConfigError
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.average import WeightAverage
from napari_segmoe.training.config import make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.recipes.semi_supervised import (
    SemiBatch,
    SemiSupervised,
    ramped_weight,
)
from napari_segmoe.training.recipes.semi_supervised_step import (
    SemiSupervisedStep,
    find_heads,
)
from napari_segmoe.training.routing_usage import RoutingUsage
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.run_parts import read_parts
from napari_segmoe.training.unlabelled_draws import UnlabelledBatch

TINY = {"widths": [4, 6, 8], "classes": 2}
FULL = {
    "ema_teacher": True,
    "confidence_gate": 0.55,
    "weak_to_strong": True,
    "consistency_weight": 0.5,
}


def _config(folder, out, **changes):
    values = {
        "data": folder,
        "out": out,
        "model": "semi_moe",
        "model_options": TINY,
        "recipe": "semi_supervised",
        "label_fraction": 0.5,
        "input_px": 32,
        "epochs": 2,
        "batch_size": 3,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "empty_class": "normal",
        "validation_fraction": 0.3,
        "prompt_share": 0.3,
        "precision": "32-true",
        "device": "cpu",
        "threads": 1,
    }
    return make_config(**(values | changes))


def _epochs(events):
    return [event for event in events if event["event"] == "epoch"]


def _losses(events):
    return [event["train"]["loss"] for event in _epochs(events)]


@pytest.fixture(scope="module")
def whole_run(tiny_folder, tmp_path_factory):
    config = _config(tiny_folder, tmp_path_factory.mktemp("runs") / "whole")
    return config, list(fit(config))


@pytest.fixture(scope="module")
def full_run(tiny_folder, tmp_path_factory):
    """A run with every option on."""
    config = _config(tiny_folder, tmp_path_factory.mktemp("runs") / "full", **FULL)
    return config, list(fit(config))


def _step(model, config, teacher=None):
    return SemiSupervisedStep(
        model,
        config,
        heads=find_heads(model),
        usage=RoutingUsage(),
        teacher=teacher,
    )


def _tiny_step(tmp_path, *, taught=False, **changes):
    torch.manual_seed(0)
    model = create_model("semi_moe", **TINY)
    config = _config(tmp_path, tmp_path / "run", **changes)
    teacher = WeightAverage(model, decay=0.9) if taught else None
    return _step(model, config, teacher)


def _images(rng, count=2):
    image = torch.from_numpy(rng.normal(size=(count, 3, 32, 32)).astype(np.float32))
    return UnlabelledBatch(image)


def _learners(step, images):
    """Names of the parameters that unlabelled images change."""
    cost, figures = step._of_unlabelled(images)
    cost.backward()
    found = {
        name
        for name, value in step.labelled.model.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    }
    return found, figures


def test_gates_teach_experts_and_learn_nothing_themselves(tmp_path, rng):
    found, _ = _learners(_tiny_step(tmp_path).train(), _images(rng))
    assert any(name.startswith("expert_heads.") for name in found)
    assert any(name.startswith("experts.") for name in found)
    assert not [name for name in found if name.startswith("gating.")]


def test_a_teacher_teaches_the_gates_too_and_stays_as_it_is(tmp_path, rng):
    step = _tiny_step(tmp_path, taught=True, ema_teacher=True).train()
    before = {k: v.clone() for k, v in step.teacher.average.state_dict().items()}
    found, _ = _learners(step, _images(rng))
    assert any(name.startswith("gating.") for name in found)
    after = step.teacher.average.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_teacher_and_step_share_no_parameters_and_one_optimiser_sees_the_rest(
    tmp_path,
):
    step = _tiny_step(tmp_path, taught=True, ema_teacher=True)
    model = {id(value) for value in step.labelled.model.parameters()}
    assert {id(value) for value in step.parameters()} == model | {
        id(step.objectives.scales)
    }


def test_no_confident_pixel_leaves_nothing_to_learn_but_the_scales(tmp_path, rng):
    step = _tiny_step(tmp_path, confidence_gate=0.999).train()
    found, figures = _learners(step, _images(rng))
    assert float(figures["pseudo_counted"]) == 0.0
    assert found == set()


def test_strong_views_learn_what_plain_views_say(tmp_path, rng):
    step = _tiny_step(tmp_path, taught=True, ema_teacher=True, weak_to_strong=True)
    images = _images(rng)
    labels, _ = step.train()._label(images)
    images.strong = torch.zeros_like(images.image)
    images.pasted = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    images.pasted[0, :, :16] = True
    mixed, output = step._label(images)
    assert torch.equal(mixed.mask[0, :, 16:], labels.mask[0, :, 16:])
    assert torch.equal(mixed.mask[0, :, :16], labels.mask[1, :, :16])
    with torch.no_grad():  # the network saw zeros alone
        blank = step.labelled.model(torch.zeros(2, 3, 32, 32))
    assert torch.allclose(output.expert_outputs["mask expert"],
                          blank.expert_outputs["mask expert"], atol=1e-4)  # fmt: skip


def test_fixed_weights_are_those_of_multitask(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "run", adaptive_objectives=False)
    recipe = SemiSupervised(config, load_run_data(config))
    model = recipe.make_model(recipe.stages()[0], None)
    step = recipe.make_step(model).eval()
    assert step.objectives is None
    assert len(recipe.make_optimizers(model, step, recipe.stages()[0])) == 1
    assert recipe.config.expert_weight == 1.0  # 0 stands for the paper's


def test_adaptive_objectives_weigh_three_tasks_and_leave_classes(tmp_path, tiny_folder):
    config = _config(tiny_folder, tmp_path / "run")
    step = _tiny_step(tmp_path, distance_weight=0.5, ring_weight=1.0, expert_weight=1.0)
    losses = {
        "loss": torch.tensor(0.8 * (2 + 1 * 3) + 0.5 * 4 + 1 * 5 + 7.0),
        "segmentation": torch.tensor(2.0),
        "expert": torch.tensor(3.0),
        "distance": torch.tensor(4.0),
        "ring": torch.tensor(5.0),
    }
    expected = step.objectives([torch.tensor(x) for x in (5.0, 4.0, 5.0)]) + 7.0
    assert config.segmentation_weight == 0.8
    assert step._of_labelled(losses).item() == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        (1.0, [0.125, 0.25, 0.375, 0.5]),
        (0.5, [0.25, 0.5, 0.5, 0.5]),
        (0.0, [0.5] * 4),
    ],
)
def test_the_weight_of_pseudo_labels_rises(tmp_path, ramp, expected):
    config = _config(tmp_path, tmp_path / "run", epochs=4, unsupervised_ramp=ramp)
    assert [ramped_weight(config, epoch) for epoch in range(4)] == expected


def test_a_run_tells_what_it_learns_from(whole_run):
    config, events = whole_run
    start, first, last = events[0], *_epochs(events)
    assert (
        start["train_images"] + start["unlabelled_images"] + start["validation_images"]
        == 18
    )
    assert {"pseudo_mask", "pseudo_distance", "pseudo_ring", "expert"} <= set(
        first["train"]
    )
    assert (first["unsupervised_weight"], last["unsupervised_weight"]) == (0.25, 0.5)
    _, card = load_weights(config.out / "last.safetensors")
    metrics = json.loads((config.out / "metrics.json").read_text())
    for told in (card.data["train"], metrics["labelled_images"]):
        assert told == start["train_images"]
    for told in (card.data["unlabelled"], metrics["unlabelled_images"]):
        assert told == start["unlabelled_images"]
    assert not {"unlabelled", "labelled_list"} & set(card.training)


def test_scales_learn_with_an_optimiser_of_their_own(whole_run):
    config, events = whole_run
    first, last = (one["objectives"] for one in _epochs(events))
    assert set(first) == {"mask", "distance", "ring"}
    assert all(first[name] != last[name] for name in first)
    state = torch.load(config.out / "state.pt", weights_only=True)
    _, own = state["optimizers"]
    assert own["param_groups"][0]["lr"] == 0.05
    assert own["param_groups"][0]["weight_decay"] == 5e-5
    assert state["recipe"]["objectives"]["scales"].shape == (3,)


@pytest.mark.parametrize("which", ["whole_run", "full_run"])
def test_a_resumed_run_continues_the_same_curve(which, request, tmp_path):
    config, whole = request.getfixturevalue(which)
    parts = config.model_copy(update={"out": tmp_path / "parts"})
    unfinished = fit(parts)
    for event in unfinished:
        if event["event"] == "epoch":
            break
    unfinished.close()
    resumed = list(fit(parts, resume=True))
    assert _losses(resumed) == pytest.approx(_losses(whole)[1:], rel=1e-4)
    assert _epochs(resumed)[-1]["objectives"] == pytest.approx(
        _epochs(whole)[-1]["objectives"], rel=1e-4
    )


def test_a_teacher_is_kept_and_follows(full_run):
    config, events = full_run
    state = torch.load(config.out / "state.pt", weights_only=True)
    steps = sum(event["event"] == "progress" for event in events)
    assert state["recipe"]["teacher_steps"] == steps
    teacher, model = state["recipe"]["teacher"], state["model"]
    assert any(not torch.equal(teacher[name], model[name]) for name in model)
    figures = _epochs(events)[0]["train"]
    assert 0 < figures["pseudo_counted"] < 1
    assert figures["consistency"] > 0


def test_masks_of_unlabelled_images_are_never_opened(whole_run, tmp_path):
    config, whole = whole_run
    copy = tmp_path / "copy"
    shutil.copytree(config.data, copy)
    (part,) = read_parts(config)
    for item in part.unlabelled:
        (copy / "masks" / f"{item.name}.png").write_text("no image at all")
    again = config.model_copy(update={"data": copy, "out": tmp_path / "run"})
    assert _losses(fit(again)) == pytest.approx(_losses(whole), rel=1e-6)


def test_masks_of_unlabelled_images_may_be_missing(whole_run, tmp_path):
    config, _ = whole_run
    copy = tmp_path / "copy"
    shutil.copytree(config.data, copy)
    (part,) = read_parts(config)
    for item in part.unlabelled:
        (copy / "masks" / f"{item.name}.png").unlink()
    changes = {"data": copy, "out": tmp_path / "run", "label_fraction": 1.0}
    data = load_run_data(config.model_copy(update=changes))
    assert {one.name for one in data.unlabelled} == {x.name for x in part.unlabelled}


@pytest.mark.parametrize("recipe", ["supervised", "multitask"])
def test_other_recipes_label_the_same_images(whole_run, recipe):
    config, _ = whole_run
    other = load_run_data(config.model_copy(update={"recipe": recipe}))
    own = load_run_data(config)
    assert [one.name for one in other.train] == [one.name for one in own.train]
    assert other.unlabelled == ()
    assert other.split == own.split


def test_a_folder_of_images_without_masks_is_learnt_from(tiny_folder, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    for path in sorted((tiny_folder / "images").iterdir())[:4]:
        shutil.copy(path, more / f"other_{path.name}")
    config = _config(
        tiny_folder, tmp_path / "run", label_fraction=1.0, unlabelled=more, epochs=1
    )
    events = list(fit(config))
    assert events[0]["unlabelled_images"] == 4
    assert _epochs(events)[0]["train"]["pseudo_mask"] > 0


def test_weight_zero_is_a_supervised_run_on_the_same_labels(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "run", unsupervised_weight=0.0, epochs=1)
    (event,) = _epochs(fit(config))
    assert not [name for name in event["train"] if name.startswith("pseudo")]


def test_nothing_to_learn_from_is_refused(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "run", label_fraction=1.0)
    with pytest.raises(ConfigError, match="no unlabelled image"):
        next(fit(config))


def test_networks_without_gates_need_a_teacher(tiny_folder, tmp_path):
    changes = {"model": "utanet_lite", "model_options": {}, "epochs": 1}
    config = _config(tiny_folder, tmp_path / "run", **changes)
    with pytest.raises(ConfigError, match="ema_teacher"):
        next(fit(config))
    taught = config.model_copy(update={"ema_teacher": True, "out": tmp_path / "two"})
    (event,) = _epochs(fit(taught))
    assert event["train"]["pseudo_mask"] > 0
    assert "pseudo_distance" not in event["train"]


def test_consistency_needs_a_distance(tiny_folder, tmp_path):
    changes = {"model": "utanet_lite", "model_options": {}, "consistency_weight": 1.0}
    config = _config(tiny_folder, tmp_path / "run", ema_teacher=True, **changes)
    with pytest.raises(ConfigError, match="predicts no distance"):
        next(fit(config))


def test_two_pieces_take_the_same_images_as_one(tiny_folder, tmp_path):
    config = _config(
        tiny_folder, tmp_path / "run", batch_size=4, accumulate=2, epochs=1
    )
    (event,) = _epochs(fit(config))
    assert np.isfinite(event["train"]["loss"])
    assert event["train"]["pseudo_mask"] > 0


def test_a_batch_moves_to_a_device_whole(rng):
    batch = SemiBatch(_images(rng), _images(rng), 0.5)
    moved = batch.to(torch.device("meta"))
    assert moved.labelled.image.device.type == "meta"
    assert moved.unlabelled.image.device.type == "meta"
    assert moved.weight == 0.5
    alone = replace(batch, unlabelled=None).to(torch.device("meta"))
    assert alone.unlabelled is None
