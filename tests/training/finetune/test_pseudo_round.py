"""A whole round with pseudo-labels: off by default, on after the hold-out is passed."""

import pytest

from napari_segmoe.training.finetune.probes import PlaceScores
from napari_segmoe.training.finetune.pseudo_labels import is_trusted
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.finetune.settings import RoundSettings, make_settings
from tests.training.finetune.tiny import make_project, save_tiny


def _scores(**dice):
    return {name: PlaceScores(value, 0.5, None, 2) for name, value in dice.items()}


def test_pseudo_labels_are_off_by_default():
    assert RoundSettings().pseudo_weight == 0


def test_a_teacher_is_trusted_only_where_it_beats_what_was_there_before():
    assert is_trusted(_scores(a=0.5, b=0.6), _scores(a=0.7, b=0.5))
    assert not is_trusted(_scores(a=0.5, b=0.6), _scores(a=0.5, b=0.6))
    assert not is_trusted(_scores(a=0.5), _scores(b=0.9))
    assert not is_trusted(_scores(a=0.5), {})


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_events_tell_count_agreement_and_weight(tmp_path, weight):
    project = make_project(tmp_path / "study.segmoe")
    settings = make_settings(
        weights=str(save_tiny(tmp_path / "tiny.safetensors")),
        steps=30,
        batch_size=4,
        validate_every=10,
        learning_rate=1e-2,
        pseudo_weight=weight,
        nice=0,
        device="cpu",
    )
    events = list(run_round(project, settings))
    told = [one for one in events if one["event"] == "pseudo_labels"]
    if not weight:
        assert told == []
        return
    assert told
    assert all(one["views"] > 0 for one in told)
    first = told[0]
    assert first["weight"] == 0  # the first look decides; nothing was taught before
    late = [one for one in told if one["weight"]]
    assert late
    assert all(0 <= one["agreement"] <= 1 and one["counted"] > 0 for one in late)
    assert events[-1]["event"] == "done"
