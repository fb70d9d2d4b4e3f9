"""The session compares its objects with a truth, and weights on a data folder."""

import csv
import sys

import numpy as np
import pytest

from napari_segmoe.data.masks import MaskKind
from napari_segmoe.errors import AnnotationFileError, JobError
from napari_segmoe.session import folder_scoring
from napari_segmoe.session.evaluating import TruthChoice
from napari_segmoe.session.evaluation_table import AGAINST, table_of_report
from napari_segmoe.session.folder_scoring import FolderQuestion
from napari_segmoe.types import Click
from tests.session.fakes import ManualRunner, make_image, make_session


def committed_session(**options):
    session = make_session(**options)
    for click in (Click(12, 12), Click(40, 40)):
        session.prompting.add_click(click.y, click.x)
        session.annotation.commit()
    return session


def make_truth(**changes):
    labels = np.zeros((64, 64), np.int32)
    labels[8:24, 8:24], labels[36:52, 30:50] = 1, 2
    return TruthChoice(labels, "truth", **changes)


def test_committed_objects_are_compared_with_a_layer():
    session = committed_session()
    session.evaluating.score_image(make_truth())
    table = session.evaluating.table
    assert table.figures["dice"]["mean"] == pytest.approx(2 * 576 / (672 + 576))
    assert table.figures["rq"]["mean"] == 1
    assert [row["name"] for row in table.rows] == ["one"]
    assert table.rows[0]["hd95_um"] > table.rows[0]["hd95"]
    assert "one id an object" in table.notes[0]
    assert not session.evaluating.is_running
    overlay = session.evaluating.overlay
    assert (overlay[10, 10], overlay[40, 53], overlay[0, 0]) == (1, 2, 0)


def test_the_models_answer_can_be_compared_before_it_is_committed():
    session = make_session()
    session.prompting.segment_image()
    session.evaluating.score_image(make_truth(), is_proposal=True)
    assert session.evaluating.table.figures["rq"]["mean"] == 1


def test_classes_are_compared_with_those_that_the_layer_tells():
    session = committed_session()
    truth = make_truth(class_of={1: "malignant", 2: "malignant"})
    session.evaluating.score_image(truth)
    said = dict(session.evaluating.table.classes)
    assert said["Class right"] == "0.500 of 2 objects found"
    assert "malignant Dice" in said


def test_values_that_are_classes_take_the_lists_order():
    session = committed_session()
    labels = np.zeros((64, 64), np.int32)
    names = [entry.name for entry in session.classes.table.entries]
    labels[8:24, 8:24] = names.index("malignant") + 1
    labels[36:52, 30:56] = names.index("benign") + 1
    session.evaluating.score_image(
        TruthChoice(labels, "classes", kind=MaskKind.SEMANTIC)
    )
    assert dict(session.evaluating.table.classes)["Class F1"] == "1.000"


def test_images_gather_in_one_table_and_each_keeps_its_overlay():
    session = committed_session()
    session.evaluating.score_image(make_truth())
    first = session.evaluating.overlay
    session.choose_image(make_image("two"))
    assert session.evaluating.overlay is None
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    session.evaluating.score_image(make_truth())
    table = session.evaluating.table
    assert [row["name"] for row in table.rows] == ["one", "two"]
    assert table.figures["dice"]["low"] < table.figures["dice"]["high"]
    session.choose_image(make_image("one"))
    assert session.evaluating.overlay is first
    session.evaluating.forget()
    assert session.evaluating.table is None
    assert session.evaluating.overlay is None


@pytest.mark.parametrize(
    ("truth", "sentence"),
    [
        (TruthChoice(np.zeros((64, 64), int), "empty"), "empty marks nothing"),
        (TruthChoice(np.ones((9, 9), int), "small"), "small is 9 x 9 px, the image 64"),
    ],
)
def test_a_truth_that_cannot_be_compared_is_named(truth, sentence):
    session = committed_session()
    with pytest.raises(JobError, match=sentence):
        session.evaluating.score_image(truth)
    assert session.evaluating.table is None


def test_without_objects_there_is_nothing_to_compare():
    session = make_session()
    with pytest.raises(JobError, match="No object is committed"):
        session.evaluating.score_image(make_truth())
    with pytest.raises(JobError, match="has not answered yet"):
        session.evaluating.score_image(make_truth(), is_proposal=True)


def test_a_cancelled_comparison_leaves_the_table_before():
    runner = ManualRunner()
    session = make_session(runner=runner, image=False)
    session.choose_image(make_image())
    runner.finish("load")
    session.prompting.segment_image()
    while session.prediction is None:
        runner.finish(runner.jobs[0].topic)
    session.evaluating.score_image(make_truth(), is_proposal=True)
    assert session.evaluating.is_running
    session.evaluating.cancel()
    assert not session.evaluating.is_running
    assert not any(job.topic == "evaluation" for job in runner.jobs)


# ---- folders, each in a process of its own -------------------------------------------


def report(name, dice):
    figure = {"mean": dice, "low": dice - 0.1, "high": dice + 0.1}
    return {
        "weights": name,
        "data": "made",
        "split": "test",
        "n": 2,
        "n_normal": 0,
        "segmentation": {"dice": figure, "hd95": {"mean": 3.0, "low": 2, "high": 4}},
        "classification": {"accuracy": {"mean": 0.5, "low": 0, "high": 1}},
        "images": [
            {"name": "b.png", "dice": dice, "hd95": None},
            {"name": "a.png", "dice": dice, "hd95": 3.0},
        ],
    }


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A process that takes the words of `segmoe evaluate` and answers as told."""

    def answer(code):
        script = tmp_path / "stand_in.py"
        script.write_text(
            "import json, sys, time\nwords = sys.argv[1:]\n"
            "out = words[words.index('--out') + 1]\n" + code
        )

        def words(question, out, usual=FolderQuestion.words):
            return [str(script), *usual(question, out)]

        monkeypatch.setattr(FolderQuestion, "words", words)
        monkeypatch.setattr(folder_scoring, "COMMAND", (sys.executable,))

    return answer


def test_a_folder_is_scored_in_another_process_and_progress_is_told(stand_in, tmp_path):
    stand_in(
        "for n in (1, 2):\n    print('progress', n, 2, file=sys.stderr, flush=True)\n"
        f"open(out, 'w').write(json.dumps({report('glands', 0.8)!r}))\n"
    )
    session = make_session()
    told = []
    session.evaluating.changed.connect(lambda: told.append(session.evaluating.progress))
    session.evaluating.score_folder(FolderQuestion(tmp_path, "test", "glands"))
    assert (1, 2) in told
    assert (2, 2) in told
    table = session.evaluating.table
    assert table.title == "glands on made (test)"
    assert table.figures["dice"]["mean"] == 0.8
    assert ("Image class accuracy", "0.500 (0.00-1.00)") in table.classes


def test_two_versions_are_compared_row_by_row(stand_in, tmp_path):
    both = {
        "weights": report("v2", 0.8),
        "against": report("v1", 0.7),
        "difference": {"dice": {"mean": 0.1, "low": 0.05, "high": 0.2, "p": 0.01}},
    }
    code = "for n in (1, 2, 1, 2):\n    print('progress', n, 2, file=sys.stderr)\n"
    stand_in(f"{code}open(out, 'w').write(json.dumps({both!r}))\n")
    session = make_session()
    told = []
    session.evaluating.changed.connect(lambda: told.append(session.evaluating.progress))
    question = FolderQuestion(tmp_path, "test", "v2", "v1")
    session.evaluating.score_folder(question)
    assert [one for one in told if one] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    table = session.evaluating.table
    assert table.rows[0][f"dice{AGAINST}"] == 0.7
    assert table.names == ("v2", "v1")
    assert table.differences["dice"]["mean"] == 0.1


def test_what_the_process_says_last_is_what_went_wrong(stand_in, tmp_path):
    stand_in("sys.stderr.write('segmoe: No image is in split x.\\n'); sys.exit(2)\n")
    session = make_session()
    session.evaluating.score_folder(FolderQuestion(tmp_path, "x", "glands"))
    assert [str(one) for one in session.failures] == ["No image is in split x."]
    assert session.evaluating.table is None
    assert not session.evaluating.is_running


def test_a_folder_that_is_missing_is_named_before_anything_starts(tmp_path):
    session = make_session()
    with pytest.raises(JobError, match="gone is no folder"):
        session.evaluating.score_folder(FolderQuestion(tmp_path / "gone", "t", "w"))


# ---- the table -----------------------------------------------------------------------


def test_the_table_becomes_a_csv_with_every_figure(tmp_path):
    table = table_of_report(report("glands", 0.8))
    table.write_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"name": "b.png", "dice": "0.8", "hd95": ""},
        {"name": "a.png", "dice": "0.8", "hd95": "3.0"},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_csv_that_cannot_be_written_is_one_sentence(tmp_path):
    table = table_of_report(report("glands", 0.8))
    with pytest.raises(AnnotationFileError, match=r"table.csv cannot be written"):
        table.write_csv(tmp_path / "gone" / "table.csv")


def test_only_figures_that_are_defined_are_shown():
    table = table_of_report(report("glands", 0.8))
    assert table.shown == ("dice", "hd95")
    assert table.columns == ("name", "dice", "hd95")
    assert table.notes == ("2 images",)
