"""The recipe `two_stage`: what each stage trains, what stays, resume, errors."""

import json

import pytest
import torch
from torch.nn import functional as F

from napari_segmoe.errors import ConfigError, WeightsError
from napari_segmoe.models.registry import create_model
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.config import make_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.recipes.two_stage import MixtureStep
from napari_segmoe.training.routing_usage import RoutingUsage

TRAINED = ("mixture.", "region_head.")


def _config(folder, out, **changes):
    values = {
        "data": folder,
        "out": out,
        "model": "utanet_lite",
        "recipe": "two_stage",
        "input_px": 32,
        "first_stage_epochs": 2,
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "validation_fraction": 0.3,
        "empty_class": "normal",
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
    """A run of two and two epochs, and its events."""
    config = _config(tiny_folder, tmp_path_factory.mktemp("runs") / "whole")
    return config, list(fit(config))


def _tensors(config, kind):
    return load_weights(config.out / f"{kind}.safetensors")[0].state_dict()


def test_stages_follow_each_other(whole_run):
    _, events = whole_run
    assert [event["stage"] for event in _epochs(events)] == [
        *["plain_skips"] * 2,
        *["mixture"] * 2,
    ]
    (border,) = (event for event in events if event["event"] == "stage")
    assert (border["epoch"], border["stage"]) == (2, "mixture")


def test_the_first_stage_leaves_a_plain_network(whole_run):
    config, _ = whole_run
    model, card = load_weights(config.out / "plain_skips.safetensors")
    assert model.mixture is None
    assert card.options["skips"] == "plain"


def test_frozen_tensors_stay_bit_for_bit_with_their_statistics(whole_run):
    config, _ = whole_run
    first, last = _tensors(config, "plain_skips"), _tensors(config, "last")
    frozen = [name for name in first if not name.startswith(TRAINED)]
    assert any(name.endswith("running_var") for name in frozen)
    assert any(name.endswith("num_batches_tracked") for name in frozen)
    changed = [name for name in frozen if not torch.equal(first[name], last[name])]
    assert changed == []


def test_frozen_tensors_of_the_trained_network_stay_too(whole_run):
    config, _ = whole_run
    first = _tensors(config, "plain_skips")
    state = torch.load(config.out / "state.pt", weights_only=True)
    for kind in ("model", "average"):
        frozen = {n: t for n, t in state[kind].items() if not n.startswith(TRAINED)}
        assert all(torch.equal(t, first[name]) for name, t in frozen.items())


def test_the_whole_mixture_learns(tiny_folder, whole_run, tmp_path):
    config, _ = whole_run
    start = config.out / "plain_skips.safetensors"
    one = _config(tiny_folder, tmp_path / "a", first_stage=str(start), epochs=1)
    two = _config(tiny_folder, tmp_path / "b", first_stage=str(start), epochs=2)
    for run in (one, two):
        list(fit(run))
    before, after = _tensors(one, "last"), _tensors(two, "last")
    learnt = [n for n in before if n.startswith(TRAINED) and before[n].numel() > 1]
    assert {name.split(".")[1] for name in learnt if name.startswith("mixture.")} == {
        "fuse",
        "routers",
        "experts",
        "dockers",
    }
    assert [n for n in learnt if torch.equal(before[n], after[n])] == []


def test_the_best_weights_are_of_the_second_stage(whole_run):
    config, events = whole_run
    model, card = load_weights(config.out / "best.safetensors")
    assert model.mixture is not None
    assert card.options["skips"] == "mixture"
    assert events[-1]["best_epoch"] in {2, 3}


def test_the_second_stage_starts_from_the_averaged_weights(whole_run):
    """The average, not the last step's weights, is what the first stage hands on."""
    config, _ = whole_run
    handed_on = _tensors(config, "plain_skips")["head.0.weight"]
    assert torch.equal(_tensors(config, "best")["head.0.weight"], handed_on)


def test_events_tell_whom_the_routers_ask(whole_run):
    config, _ = whole_run
    lines = (config.out / "events.jsonl").read_text().splitlines()
    first, *_, last = _epochs(json.loads(line) for line in lines)
    assert "routing" not in first
    routers = last["routing"]["routers"]
    assert list(routers) == ["S1", "S2", "S3", "S4"]
    shares = [one["chosen"] for one in routers["S1"]["experts"].values()]
    assert sum(shares) == pytest.approx(2, abs=1e-3)  # of two experts an image
    assert set(last["train"]) >= {"dice", "cross_entropy", "expert_variance"}


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_a_resumed_run_continues_the_same_curve(
    whole_run, tiny_folder, tmp_path, finished
):
    """Inside the first stage, at the border, and inside the second."""
    _, whole = whole_run
    config = _config(tiny_folder, tmp_path / "parts")
    run = fit(config)
    seen = 0
    while seen < finished:
        seen += next(run)["event"] == "epoch"
    for _ in range(2):  # some of the next epoch is lost, as after a kill
        next(run)
    run.close()
    resumed = list(fit(config, resume=True))
    assert _losses(resumed) == pytest.approx(_losses(whole)[finished:], rel=1e-4)


def test_weights_can_stand_for_the_first_stage(whole_run, tiny_folder, tmp_path):
    config, _ = whole_run
    start = config.out / "plain_skips.safetensors"
    short = _config(tiny_folder, tmp_path / "short", first_stage=str(start))
    events = list(fit(short))
    assert {event["stage"] for event in _epochs(events)} == {"mixture"}
    first, last = _tensors(config, "plain_skips"), _tensors(short, "last")
    assert torch.equal(first["encoder.stem.weight"], last["encoder.stem.weight"])
    _, card = load_weights(short.out / "last.safetensors")
    assert card.training["first_stage"] == "plain_skips.safetensors"  # and no folder


def test_weights_of_another_network_are_no_first_stage(tiny_folder, tmp_path):
    from napari_segmoe.models.card import WeightsCard
    from napari_segmoe.models.weights import save_weights

    other = tmp_path / "other.safetensors"
    card = WeightsCard(name="other", model="utanet_lite", options={"skips": "plain"})
    model = create_model("utanet_lite", skips="plain")
    save_weights(other, model, card)
    config = _config(tiny_folder, tmp_path / "run", first_stage=str(other))
    with pytest.raises(WeightsError, match="the first stage"):
        list(fit(config))


def test_a_network_without_mixture_is_refused(tiny_folder, tmp_path):
    config = _config(tiny_folder, tmp_path / "run", model="semi_moe_lite")
    with pytest.raises(ConfigError, match=r"semi_moe_lite has\s+not. Use utanet"):
        list(fit(config))


def test_skips_are_the_recipe_s_to_choose(tiny_folder, tmp_path):
    options = {"skips": "plain"}
    config = _config(tiny_folder, tmp_path / "run", model_options=options)
    with pytest.raises(ConfigError, match="sets skips itself"):
        list(fit(config))


def _mixture_step(**settings):
    torch.manual_seed(0)
    model = create_model("utanet_lite", image_classes=0, prompts=False)
    with torch.no_grad():  # every image asks the first two experts, in all stages
        model.mixture.routers.weight.zero_()
        model.mixture.routers.weight[:, :, :2] = 0.5
    model.train_mixture_only()
    config = make_config(data="d", out="o", recipe="two_stage", **settings)
    return MixtureStep(model, config, RoutingUsage()).train()


class _Batch:
    """Six images, their truth, and nothing else."""

    def __init__(self):
        generator = torch.Generator().manual_seed(3)
        self.image = torch.randn(6, 3, 32, 32, generator=generator)
        self.truth = (F.avg_pool2d(self.image[:, :1], 5, 1, 2) > 0).float()
        self.prompts = self.fields = self.truth_classes = None
        self.counted = self.balance = None
        self.pooled = torch.ones(6, dtype=torch.bool)
        self.object_mask = self.near_object = self.truth
        self.object_class = torch.zeros(6, dtype=torch.int64)


def _gradients(*, asked):
    """Return the gradients of each expert and of each expert's gates."""
    step = _mixture_step(ask_unused_experts=asked, expert_variance_weight=0.0)
    torch.manual_seed(1)
    step(_Batch())["loss"].backward()
    mixture = step.model.mixture
    experts = mixture.experts.project.weight.grad.chunk(4)
    gates = mixture.routers.weight.grad.unbind(dim=2)
    return [float(g.norm()) for g in experts], [float(g.norm()) for g in gates]


def test_an_unused_expert_and_its_gates_learn_where_it_is_asked():
    experts, gates = _gradients(asked=True)
    assert min(experts) > 0
    assert min(gates) > 0


def test_an_unused_expert_learns_nothing_where_it_is_not_asked():
    experts, gates = _gradients(asked=False)
    assert min(experts[:2]) > 0
    assert max(experts[2:] + gates[2:]) < 1e-9


def test_unequal_use_costs_what_the_weight_says():
    losses = [
        _mixture_step(expert_variance_weight=weight, ask_unused_experts=False)(_Batch())
        for weight in (0.0, 0.5)
    ]
    free, dear = (one["loss"].item() for one in losses)
    variance = losses[1]["expert_variance"].item()
    assert variance > 0.1
    assert dear - free == pytest.approx(0.5 * variance, rel=1e-4)
