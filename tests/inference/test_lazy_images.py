"""Images that are read window by window: no more is read than is asked about."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.types import Box, Click, Modality


@dataclass
class ArraySource:
    """An array that is read like a region of a slide, and counts."""

    pixels: np.ndarray
    boxes: list = field(default_factory=list)

    @property
    def shape(self):
        return self.pixels.shape[:2]

    def read(self, box, shape=None):
        y0, x0, y1, x1 = box
        height, width = shape or (y1 - y0, x1 - x0)
        self.boxes.append((box, (height, width)))
        return resample(
            self.pixels,
            start_yx=(y0, x0),
            step_yx=((y1 - y0) / height, (x1 - x0) / width),
            shape=(height, width),
        )


@pytest.fixture
def source(rng):
    grey = ndimage.gaussian_filter(rng.random((512, 512, 1)), (6, 6, 0))
    grey = (grey - grey.min()) / (grey.max() - grey.min())
    return ArraySource(np.repeat(np.rint(grey * 255).astype(np.uint8), 3, axis=2))


@pytest.fixture
def predictor(small_weights):
    return load_predictor(small_weights, device="cpu")


def test_setting_a_source_reads_nothing(predictor, source):
    predictor.set_image(source, (0.5, 0.5), modality=Modality.ULTRASOUND)
    assert source.boxes == []


def test_a_window_is_read_at_the_networks_size_and_once(predictor, source):
    predictor.set_image(source, modality=Modality.ULTRASOUND)
    for _ in range(2):
        predictor.predict(box=Box(100, 120, 220, 240))
    assert source.boxes
    assert all(shape == (64, 64) for _, shape in source.boxes)
    assert len(set(source.boxes)) == len(source.boxes)


def test_a_colour_check_reads_a_small_overview(predictor, source):
    predictor.set_image(source)
    assert source.boxes == [((0, 0, 512, 512), (64, 64))]


@pytest.mark.parametrize("question", ["click", "box", "everything"])
def test_a_source_is_answered_as_its_array(predictor, source, question):
    words = {
        "click": {"clicks": [Click(200, 210)]},
        "box": {"box": Box(100, 120, 300, 340)},
        "everything": {},
    }[question]
    predictor.set_image(source, (2.0, 2.0), modality=Modality.ULTRASOUND)
    lazy = predictor.predict(**words)
    predictor.set_image(source.pixels, (2.0, 2.0), modality=Modality.ULTRASOUND)
    eager = predictor.predict(**words)
    assert lazy.probability.shape == eager.probability.shape
    assert np.abs(lazy.probability - eager.probability).max() < 0.1
    assert (lazy.mask == eager.mask).mean() > 0.99


def test_weights_with_a_pixel_size_read_the_source_itself(bright_objects, source):
    bright_objects.set_image(source, (1.0, 1.0))
    bright_objects.predict([Click(200, 210)])
    overview, (box, shape), *wider = source.boxes
    assert overview == ((0, 0, 512, 512), (64, 64))
    assert len(wider) <= 1  # a second look, where the window cuts what was found
    assert shape == (64, 64)
    y0, x0, y1, x1 = box
    assert (y1 - y0, x1 - x0) == (64, 64)
    assert abs((y0 + y1) / 2 - 200.5) <= 0.5


def test_a_source_of_another_size_is_scaled(bright_objects, source):
    bright_objects.set_image(source, (0.25, 0.25))
    lazy = bright_objects.predict([Click(200, 210)])
    read = sum(height * width for _, (height, width) in source.boxes)
    assert read <= 260**2
    bright_objects.set_image(source.pixels, (0.25, 0.25))
    eager = bright_objects.predict([Click(200, 210)])
    # a wider look lies between the source's pixels, whose fine texture it blurs
    assert (lazy.mask == eager.mask).mean() > 0.97
