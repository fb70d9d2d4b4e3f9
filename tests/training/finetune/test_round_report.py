"""The page of a round says what was decided, by which figures, and shows answers."""

import pytest

from napari_segmoe.training.finetune.round_report import (
    describe_round,
    draw_round,
    write_round_report,
)
from napari_segmoe.training.run_folder import RunFolder

START = {
    "event": "start", "epoch": 0, "epochs": 3, "steps": 12, "round": "round-0002",
    "weights": "glands", "device": "cpu", "notes": ["Too few patients."],
    "objects": 39, "images": 4, "mode": "cross_fitting", "level": "tile",
    "classes": ["benign"], "replay": 24, "replay_data": False,
}  # fmt: skip
EPOCH = {
    "event": "epoch", "epoch": 0, "stage": "fold 0", "train": {"loss": 0.8},
    "learning_rate": 0.001, "seconds": 40.3,
    "validation": {"dice": 0.958, "click_iou": 0.817},
}  # fmt: skip
GUARD = {
    "event": "guard", "published": False, "version": None, "reason": "Dice is lower.",
    "decision": "rollback",
    "figures": {
        "old_dice": 0.9, "old_dice_low": 0.85, "old_dice_high": 0.95, "dice": 0.88,
        "agreement_loss": 0.004,
    },
}  # fmt: skip
DONE = {"event": "done", "seconds": 246.0}
PLAIN = {"has_curves": False, "has_answers": False}


def test_a_round_that_was_rolled_back_says_why_and_by_how_much():
    page = describe_round([START, EPOCH, GUARD, DONE], **PLAIN)
    assert page.startswith("# round-0002\n\n**Rolled back.** Dice is lower.")
    line = "| Dice of held-out objects | 0.900 (0.850 to 0.950) | 0.880 | -0.020 |"
    assert line in page
    assert "| Agreement with old answers | | | -0.004 |" in page
    assert "| fold 0 | 0.8 | 0.958 | 0.817 | 40 |" in page
    assert "| corrections | 39 objects of 4 images (benign) |" in page
    assert "| time | 4.1 min |" in page
    assert "- Too few patients." in page


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([START, {"event": "stopped", "epoch": 1}], "Stopped after a training"),
        ([START, {"event": "failed", "reason": "Disk full."}], "off.** Disk full."),
        ([START, EPOCH], "Still running"),
        ([], "Still running"),
    ],
)
def test_a_round_that_did_not_end_says_so(events, said):
    assert said in describe_round(events, **PLAIN)


def test_nothing_told_draws_nothing():
    assert draw_round([START]) is None


def test_a_full_disk_leaves_the_page_out(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    folder = RunFolder(tmp_path)
    folder.log(START)
    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    write_round_report(folder)
    assert not (tmp_path / "report.md").exists()
