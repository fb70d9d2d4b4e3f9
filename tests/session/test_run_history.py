"""Events become curves, a position and an end."""

import pytest

from napari_segmoe.session.run_history import RunHistory, StepLosses


def history(*events):
    made = RunHistory()
    for event in events:
        made.take(event)
    return made


START = {"event": "start", "epoch": 0, "epochs": 4, "device": "cpu", "notes": ["n"]}


def epoch(number, loss, **figures):
    told = {"event": "epoch", "epoch": number, "train": {"loss": loss}}
    return told | ({"validation": figures} if figures else {})


def test_a_run_begins_with_nothing_but_its_plan():
    made = history(START)
    assert (made.epochs, made.position, made.device) == (4, 0, "cpu")
    assert made.notes == ("n",)
    assert made.best is None


def test_epochs_make_the_curves_of_training_and_validation():
    made = history(
        START,
        epoch(0, 2.0, score=0.4, dice=0.3),
        epoch(1, 1.5),
        epoch(2, 1.2, score=0.7),
    )
    assert made.train_loss == [(1, 2.0), (2, 1.5), (3, 1.2)]
    assert made.scores["score"] == [(1, 0.4), (3, 0.7)]
    assert made.scores["dice"] == [(1, 0.3)]
    assert made.best == (3, 0.7)
    assert made.position == 3


def test_progress_moves_within_an_epoch():
    made = history(
        START, {"event": "progress", "epoch": 1, "step": 3, "steps": 4, "loss": 1.0}
    )
    assert made.position == pytest.approx(1.75)
    assert made.step_losses.losses == [1.0]


def test_a_validation_of_its_own_counts_too():
    made = history(START, {"event": "validation", "validation": {"dice": 0.8}})
    assert made.scores["dice"] == [(0, 0.8)]
    assert made.best == (0, 0.8)


@pytest.mark.parametrize("value", ["a", None, float("nan"), True, [], {}])
def test_what_is_no_number_is_left_out(value):
    made = history(
        {"event": "start", "epoch": value, "epochs": value, "notes": None},
        {"event": "progress", "epoch": value, "step": value, "steps": 2, "loss": value},
        {"event": "epoch", "epoch": 0, "train": None, "validation": {"score": value}},
        {"event": "epoch", "epoch": 0, "train": {"loss": value}, "validation": value},
    )
    assert (made.epochs, made.train_loss, made.best) == (0, [], None)


def test_the_end_and_the_guard_are_kept_until_a_run_goes_on():
    made = history(START, {"event": "guard", "published": False}, {"event": "stopped"})
    assert made.ending["event"] == "stopped"
    assert made.guard["published"] is False
    made.take(START | {"epoch": 2})
    assert made.ending is None
    assert made.epoch == 2


def test_many_steps_are_thinned_out_and_keep_their_mean():
    losses = StepLosses()
    count = 50_000
    for number in range(count):
        losses.add(number / count, float(number % 2))
    assert 500 < len(losses.losses) < 2000
    assert losses.losses[5] == pytest.approx(0.5)
    assert losses.epochs == sorted(losses.epochs)
    assert losses.epochs[-1] == pytest.approx(1, abs=0.01)


def test_the_time_left_follows_the_pace_that_was_seen_here():
    clock = iter([100.0, 110.0]).__next__
    made = history(START, epoch(0, 1.0))
    assert made.seconds_left(clock) is None  # what came before was another window's
    made.take(epoch(1, 1.0))
    assert made.seconds_left(clock) == pytest.approx(20)
