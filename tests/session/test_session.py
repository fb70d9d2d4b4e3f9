"""Prompts, answers and jobs of a session, without Qt and without torch."""

import sys

import numpy as np
import pytest

from napari_segmoe.errors import DeviceError, JobError, NoImageError, WeightsError
from napari_segmoe.session.options import SegmentOptions
from napari_segmoe.session.status import Activity
from napari_segmoe.types import Box, PromptKind
from tests.session.fakes import FakePredictor, ManualRunner, make_image, make_session


def test_the_session_imports_no_torch_qt_or_napari():
    import subprocess

    code = (
        "import sys, napari_segmoe.session.session;"
        "print([m for m in ('torch', 'napari', 'qtpy') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_a_click_gives_mask_and_class():
    session = make_session()
    session.prompting.add_click(12, 12)
    assert session.prediction.mask[8:24, 8:24].all()
    assert session.prediction.mask.sum() == 256
    assert session.prediction.class_name == "malignant"


def test_a_box_and_a_stroke_give_a_mask():
    session = make_session()
    session.prompting.add_box(Box(30, 28, 56, 58))
    assert session.prediction.mask.sum() == 16 * 26
    session.prompting.reject()
    session.prompting.add_stroke([(40, 40), (42, 44)])
    assert session.prediction.mask.sum() == 16 * 26
    assert session.prompts.order == (PromptKind.STROKE,)


def test_a_new_box_replaces_the_old_one():
    session = make_session()
    session.prompting.add_box(Box(30, 28, 56, 58))
    session.prompting.add_box(Box(6, 6, 26, 26))
    assert session.prompts.box == Box(6, 6, 26, 26)
    assert session.prompts.order == (PromptKind.BOX,)


def test_a_negative_click_takes_away_and_previous_is_passed_on():
    predictor = FakePredictor()
    session = make_session(predictor=predictor)
    session.prompting.add_click(12, 12)
    first = session.prediction
    session.prompting.toggle_positive()
    session.prompting.add_click(20, 20)
    assert not session.prediction.mask[20, 20]
    assert predictor.asked[1]["previous"] is first


@pytest.mark.parametrize("at", [(-3, 5), (5, 64.2), (1000, 1000)])
def test_a_click_outside_is_ignored_and_said(at):
    session = make_session()
    session.prompting.add_click(*at)
    assert not session.prompts
    assert session.notes == ["That click lies outside the image."]


def test_a_tiny_box_and_a_stroke_outside_are_said():
    session = make_session()
    session.prompting.add_box(Box(5, 5, 5.5, 30))
    session.prompting.add_stroke([(-5, -5)])
    assert not session.prompts
    assert len(session.notes) == 2


def test_prompts_without_an_image_say_what_to_do():
    session = make_session(image=False)
    with pytest.raises(NoImageError, match="Open an image"):
        session.prompting.add_click(1, 1)


def test_a_click_while_the_model_loads_is_shown_and_answered():
    runner = ManualRunner()
    session = make_session(runner=runner)
    assert session.status.activity is Activity.LOADING
    session.prompting.add_click(12, 12)
    assert session.prompts.clicks
    assert session.is_busy
    runner.finish("load")
    assert session.status.activity is Activity.PREDICTING
    runner.finish("predict")
    assert session.prediction.mask.any()
    assert session.status.activity is Activity.READY


def test_answers_in_any_order_leave_the_newest():
    runner = ManualRunner()
    session = make_session(runner=runner)
    runner.finish("load")
    session.prompting.add_click(12, 12)
    session.prompting.reject()
    session.prompting.add_click(40, 40)
    runner.finish("predict", 1)
    newest = session.prediction
    runner.finish("predict")
    assert session.prediction is newest
    assert newest.mask[40, 40]
    assert not newest.mask[12, 12]


def test_an_answer_after_reject_is_dropped():
    runner = ManualRunner()
    session = make_session(runner=runner)
    session.prompting.add_click(12, 12)
    session.prompting.reject()
    runner.finish("predict")
    assert session.prediction is None
    assert not session.is_busy


def test_an_answer_for_another_image_is_dropped():
    runner = ManualRunner()
    session = make_session(runner=runner)
    session.prompting.add_click(12, 12)
    session.choose_image(make_image("two"))
    runner.finish("predict")
    assert session.prediction is None
    session.choose_image(make_image("one"))
    assert session.prompts.clicks


def test_switching_images_brings_prompts_and_objects_back():
    session = make_session()
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    session.choose_image(make_image("two"))
    assert session.annotation.records == ()
    session.choose_image(make_image("one"))
    assert [r.id for r in session.annotation.records] == [1]
    assert session.annotation.labels.max() == 1


def test_the_whole_image_is_segmented_without_small_specks():
    pixels = make_image().pixels.copy()
    pixels[60, 60] = 255
    session = make_session(image=False)
    session.choose_image(make_image(pixels=pixels))
    session.prompting.segment_image()
    assert len(session.prediction.objects) == 2
    assert not session.prediction.mask[60, 60]


def test_predict_on_prompt_can_be_switched_off():
    session = make_session()
    session.change_options(SegmentOptions(predict_on_prompt=False))
    session.prompting.add_click(12, 12)
    assert session.prediction is None
    session.prompting.predict()
    assert session.prediction.mask.any()


def test_an_error_of_the_model_becomes_one_sentence():
    session = make_session(predictor=FakePredictor(error=RuntimeError("bad shape")))
    session.prompting.add_click(12, 12)
    assert isinstance(session.failures[0], JobError)
    assert "bad shape" in session.prompting.failure
    assert not session.is_busy


def test_out_of_memory_is_answered_by_the_cpu():
    asked = []

    def load(weights, *, device):
        asked.append(device)
        error = None if device == "cpu" else RuntimeError("CUDA out of memory.")
        return FakePredictor(error=error)

    from napari_segmoe.session.jobs import InlineRunner
    from napari_segmoe.session.session import Session

    session = Session(load, InlineRunner())
    session.choose_image(make_image())
    session.prompting.add_click(12, 12)
    assert session.prediction.mask.sum() == 256
    assert "CPU answered" in session.prediction.notes[-1]
    assert asked == ["auto", "cpu"]


def test_out_of_memory_on_the_cpu_too_is_one_sentence():
    session = make_session(predictor=FakePredictor(error=MemoryError()))
    session.prompting.add_click(12, 12)
    assert isinstance(session.failures[0], DeviceError)
    assert "crop the image" in str(session.failures[0])


def test_weights_that_do_not_load_are_said_once_and_a_retry_works():
    broken = [True]

    def load(weights, *, device):
        if broken[0]:
            raise WeightsError("No weights 'x'.")
        return FakePredictor()

    from napari_segmoe.session.session import Session

    runner = ManualRunner()
    session = Session(load, runner)
    failures = []
    session.failed.connect(failures.append)
    session.choose_image(make_image())
    session.prompting.add_click(12, 12)
    runner.finish("load")
    runner.finish("predict")
    assert [str(f) for f in failures] == ["No weights 'x'."]
    assert session.status.activity is Activity.FAILED
    broken[0] = False
    session.prompting.predict()
    runner.finish("load")
    runner.finish("predict")
    assert session.prediction.mask.any()


def test_choosing_another_device_loads_again_and_asks_again():
    loaded = []

    def load(weights, *, device):
        loaded.append((weights, device))
        return FakePredictor()

    from napari_segmoe.session.jobs import InlineRunner
    from napari_segmoe.session.session import Session

    session = Session(load, InlineRunner())
    session.choose_image(make_image())
    session.prompting.add_click(12, 12)
    session.model.choose(device="cpu")
    assert loaded == [("breast_ultrasound", "auto"), ("breast_ultrasound", "cpu")]
    assert session.prediction.mask.any()


def test_release_frees_the_predictor_and_the_next_click_loads_again():
    predictor = FakePredictor()
    session = make_session(predictor=predictor)
    session.release()
    assert predictor.is_released
    assert session.status.activity is Activity.IDLE
    session.prompting.add_click(12, 12)
    assert session.prediction.mask.any()


def test_committed_pixels_are_passed_as_locked():
    predictor = FakePredictor()
    session = make_session(predictor=predictor)
    session.prompting.add_click(12, 12)
    session.annotation.commit()
    session.prompting.add_click(40, 40)
    assert predictor.asked[0]["locked"] is None
    np.testing.assert_array_equal(
        predictor.asked[1]["locked"], session.annotation.labels == 1
    )
