"""What a window asks of a trainer reaches it through the run folder."""

import os
import time

import pytest

from napari_segmoe.training.engine import fit
from napari_segmoe.training.run_control import (
    LONGEST_PAUSE_S,
    PAUSE,
    STOP,
    RunControl,
)
from tests.training.test_engine import _config


@pytest.fixture
def control(tmp_path):
    return RunControl(tmp_path)


def touch(path, age_s):
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))


def test_nothing_is_asked_of_a_fresh_folder(control):
    assert not control.is_stop_asked
    assert not control.is_pause_asked
    assert control.wait_while_paused() == 0


def test_a_stop_is_seen_and_can_be_taken_back(control):
    control.ask_to_stop()
    assert control.is_stop_asked
    control.forget_stop()
    assert not control.is_stop_asked


def test_a_stop_that_an_earlier_process_was_asked_for_is_no_longer_meant(
    control, tmp_path
):
    touch(tmp_path / STOP, age_s=24 * 3600)
    assert not control.is_stop_asked


@pytest.mark.parametrize(
    ("age_s", "is_asked"), [(0, True), (1.5, True), (2.5, False), (-1, True), (-9, 0)]
)
def test_a_pause_counts_while_it_is_young(control, tmp_path, age_s, is_asked):
    touch(tmp_path / PAUSE, age_s)
    assert control.is_pause_asked == is_asked


def test_the_trainer_waits_until_the_clicking_ends(tmp_path):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 5:
            touch(tmp_path / PAUSE, age_s=3)

    control = RunControl(tmp_path, sleep=sleep)
    control.ask_to_pause()
    assert control.wait_while_paused() == pytest.approx(sum(slept))
    assert len(slept) == 5


def test_who_clicks_all_day_gets_a_model_all_the_same(tmp_path):
    control = RunControl(tmp_path, sleep=lambda _: control.ask_to_pause())
    control.ask_to_pause()
    assert control.wait_while_paused() == pytest.approx(LONGEST_PAUSE_S, abs=0.2)


def test_a_pause_of_a_folder_that_is_gone_says_nothing(tmp_path):
    RunControl(tmp_path / "gone").ask_to_pause()
    assert not (tmp_path / "gone").exists()


def test_a_run_that_is_asked_to_stop_ends_after_its_epoch_and_goes_on_later(
    tiny_folder, tmp_path
):
    config = _config(tiny_folder, tmp_path / "run", epochs=3, domain_guard=False)
    told = []
    for event in fit(config):
        told.append(event)
        if event["event"] == "progress" and event["step"] == 1:
            RunControl(config.out).ask_to_stop()
    kinds = [event["event"] for event in told]
    assert kinds[-2:] == ["epoch", "stopped"]
    assert kinds.count("epoch") == 1
    assert not (config.out / "metrics.json").exists()
    resumed = list(fit(config, resume=True))
    kept = [event["event"] for event in resumed]
    assert kept.count("epoch") == 2
    assert kept[-1] == "done"
    lines = (config.out / "events.jsonl").read_text()
    assert '"stopped"' not in lines
