"""The automatic mode, step by step, in a process of its own."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest

from napari_segmoe.errors import DeviceError, NoImageError, SlideError
from napari_segmoe.inference.packing import pack, unpack
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.inference.predictor_process import PredictorProcess
from napari_segmoe.models.weights import load_weights, save_weights
from napari_segmoe.types import Click, Modality, Prediction, SegmentedObject


class BrokenSlide:
    """A region of a slide that was deleted; it is pickled to the process."""

    shape = (200, 200)

    def read(self, box, shape=None):
        raise SlideError("The slide was deleted while it was open.")


@pytest.fixture(scope="module")
def spaced_weights(small_weights, tmp_path_factory):
    """The small weights, as if they had been made for 1 um a pixel."""
    model, card = load_weights(small_weights)
    spaced = {"spacing_um": 1.0, "mask_threshold": 0.45, "modality": Modality.HISTOLOGY}
    path = tmp_path_factory.mktemp("spaced") / "spaced.safetensors"
    save_weights(path, model, card.model_copy(update=spaced))
    return str(path)


@pytest.fixture(scope="module")
def process(spaced_weights):
    process = PredictorProcess(spaced_weights, device="cpu", threads=1)
    yield process
    process.release()


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(5)
    return rng.integers(0, 255, (150, 190, 3), dtype=np.uint8)


def show(predictor, image):
    predictor.set_image(image, (1.0, 1.0), modality=Modality.HISTOLOGY)


def to_end(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return stop.value, seen


def test_steps_in_the_process_are_those_of_the_predictor_here(
    process, spaced_weights, image
):
    here = load_predictor(spaced_weights, device="cpu")
    answers = []
    for predictor in (here, process):
        show(predictor, image)
        estimate = predictor.estimate()
        prediction, steps = to_end(predictor.predict_steps())
        assert estimate.windows == steps[-1].total == steps[-1].done
        answers.append((prediction, predictor.predict(), steps))
    (mine, whole, steps), (other, other_whole, _) = answers
    assert whole.labels.any()
    for prediction in (whole, other, other_whole):
        np.testing.assert_array_equal(prediction.labels, mine.labels)
        np.testing.assert_array_equal(prediction.mask, mine.mask)
        np.testing.assert_array_equal(prediction.probability, mine.probability)
        assert prediction.objects == mine.objects
    assert sum(step.box is not None for step in steps) >= 1


def test_clicks_on_another_image_are_answered_between_the_steps(process, image):
    show(process, image)
    expected, _ = to_end(process.predict_steps())
    other = np.ascontiguousarray(image[::-1, :100])
    steps = process.predict_steps()
    next(steps)
    answered = []

    def click():
        show(process, other)
        answered.append(process.predict([Click(30.0, 40.0)]))

    thread = threading.Thread(target=click)
    thread.start()
    prediction, _ = to_end(steps)
    thread.join()
    assert answered[0].mask.shape == other.shape[:2]
    np.testing.assert_array_equal(prediction.labels, expected.labels)


def test_closing_the_steps_ends_them_in_the_process(process, image):
    show(process, image)
    steps = process.predict_steps()
    next(steps)
    steps.close()
    first, second = process.predict_steps(), process.predict_steps()
    next(first)
    first.close()
    assert to_end(second)[0].labels.shape == image.shape[:2]


def test_steps_without_an_image_are_refused(spaced_weights):
    process = PredictorProcess(spaced_weights, device="cpu", threads=1)
    with pytest.raises(NoImageError):
        process.predict_steps()
    with pytest.raises(NoImageError):
        process.estimate()
    process.release()


def test_a_process_that_dies_midway_is_said_and_clicks_go_on(spaced_weights, image):
    process = PredictorProcess(spaced_weights, device="cpu", threads=1)
    show(process, image)
    steps = process.predict_steps()
    next(steps)
    os.kill(process.process_id, signal.SIGKILL)
    with pytest.raises((DeviceError, MemoryError), match=r"ended|out of memory"):
        to_end(steps)
    assert process.predict([Click(30.0, 40.0)]).mask.shape == image.shape[:2]
    process.release()


def test_steps_of_a_process_that_was_replaced_do_not_ask_the_new_one(
    spaced_weights, image
):
    process = PredictorProcess(spaced_weights, device="cpu", threads=1)
    show(process, image)
    steps = process.predict_steps()
    next(steps)
    process.release()
    show(process, image)
    with pytest.raises(DeviceError, match="ended"):
        next(steps)
    assert to_end(process.predict_steps())[0].labels.shape == image.shape[:2]
    process.release()


def test_an_unreadable_slide_is_said_and_the_process_stays(process, image):
    process.set_image(BrokenSlide(), (1.0, 1.0), modality=Modality.HISTOLOGY)
    number = process.process_id
    with pytest.raises(SlideError, match="was deleted"):
        to_end(process.predict_steps())
    show(process, image)
    assert process.predict([Click(3.0, 4.0)]).mask.shape == image.shape[:2]
    assert process.process_id == number


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (200, 300, 456, 556), (0, 0, 700, 801)])
def test_packing_keeps_every_bit_and_sends_what_is_not_zero(box):
    rng, shape = np.random.default_rng(0), (700, 801)
    y0, x0, y1, x1 = box
    arrays = [np.zeros(shape, dtype) for dtype in (bool, np.float32, np.uint32)]
    for array in arrays:
        array[y0:y1, x0:x1] = rng.integers(0, 2, (y1 - y0, x1 - x0))
    arrays[2] *= 70000
    one = SegmentedObject(1, "benign", {"benign": 1.0}, 5.0, None, (0, 0, 1, 1), ())
    prediction = Prediction(*arrays, objects=(one,), notes=("Said.",))
    sent = pickle.dumps(pack(prediction), protocol=5)
    assert len(sent) < 9 * (y1 - y0) * (x1 - x0) + 2000
    back = unpack(pickle.loads(sent))
    for name, array in zip(("mask", "probability", "labels"), arrays, strict=True):
        found = getattr(back, name)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.flags.writeable
    assert (back.objects, back.notes) == ((one,), ("Said.",))


def test_small_and_other_values_are_sent_as_they_are():
    small = np.ones((3, 4), np.float32)
    assert pack(small) is small
    assert pack("text") == unpack("text") == "text"
    assert pack(None) is None
