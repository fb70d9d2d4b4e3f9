"""The predictor in its own process answers as the one in this process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_segmoe.errors import DeviceError, NoImageError, PromptError, WeightsError
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.inference.predictor_process import PredictorProcess
from napari_segmoe.types import Click, Modality


@pytest.fixture(scope="module")
def process(small_weights):
    process = PredictorProcess(str(small_weights), device="cpu", threads=1)
    yield process
    process.release()


@pytest.fixture
def image(rng):
    return rng.integers(0, 255, (70, 90), dtype=np.uint8)


def test_it_answers_as_the_predictor_in_this_process(process, small_weights, image):
    here = load_predictor(str(small_weights), device="cpu")
    clicks = [Click(30.0, 40.0)]
    answers = []
    for predictor in (here, process):
        predictor.set_image(image, (50.0, 50.0), modality=Modality.ULTRASOUND)
        first = predictor.predict(clicks, explain=True)
        again = [*clicks, Click(50.0, 60.0, positive=False)]
        answers.append((predictor.predict(), first, predictor.predict(again)))
    for mine, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(mine.mask, other.mask)
        np.testing.assert_allclose(mine.probability, other.probability, atol=1e-6)
        assert mine.objects == other.objects
        assert [e.name for e in mine.explanations] == [
            e.name for e in other.explanations
        ]
    assert process.card == here.card
    assert process.unavailable_explanations() == here.unavailable_explanations()


def test_it_tells_its_devices_and_memory(process):
    assert ("cpu", process.memory_text()) in process.list_devices()


def test_its_errors_arrive_as_they_are(process, image):
    process.set_image(image)
    with pytest.raises(PromptError, match="outside the image"):
        process.predict([Click(500.0, 1.0)])
    assert process.predict([Click(5.0, 5.0)]).mask.shape == image.shape


def test_weights_that_are_missing_are_said_at_once(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        PredictorProcess(str(tmp_path / "gone.safetensors"), device="cpu")


def test_a_question_without_image_is_refused(small_weights):
    process = PredictorProcess(str(small_weights), device="cpu", threads=1)
    with pytest.raises(NoImageError):
        process.predict([Click(1.0, 1.0)])
    process.release()
    assert process.process_id is None


def test_a_killed_process_starts_again_with_the_same_image(small_weights, image):
    process = PredictorProcess(str(small_weights), device="cpu", threads=1)
    process.set_image(image)
    before = process.predict([Click(30.0, 40.0)])
    first = process.process_id
    os.kill(first, signal.SIGKILL)
    with pytest.raises((DeviceError, MemoryError), match=r"ended|out of memory"):
        process._exchange(process._pipe, "memory_text")
    after = process.predict([Click(30.0, 40.0)])
    assert process.process_id != first
    np.testing.assert_array_equal(before.mask, after.mask)
    process.release()


def test_it_ends_with_the_program_that_started_it(small_weights):
    code = (
        "import os, sys;"
        "from napari_segmoe.inference.predictor_process import PredictorProcess;"
        f"p = PredictorProcess({str(small_weights)!r}, device='cpu', threads=1);"
        "print(p.process_id, flush=True); os._exit(0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    number = int(answer.stdout)
    deadline = time.monotonic() + 10
    while _is_alive(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(number)


def _is_alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_starting_it_loads_no_torch_here(small_weights):
    code = (
        "import sys;"
        "from napari_segmoe.inference.predictor_process import PredictorProcess;"
        f"p = PredictorProcess({str(small_weights)!r}, device='cpu', threads=1);"
        "p.list_devices(); p.release(); print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
