"""A slide in a file of a few kilobytes, and a predictor for its regions."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import tifffile

from napari_segmoe.session.slide_scene import SlideScene, SpacingSource
from napari_segmoe.types import RegionEstimate, RegionProgress
from tests.session.fakes import FakeCard, FakePredictor, ManualRunner, make_session

SIDE = 256
SPACED = FakeCard(spacing_um=1.0, assumed_spacing_um=0.5)


@dataclass
class RegionPredictor(FakePredictor):
    """Flood fill that reads regions, and goes over them row of windows by row."""

    windows: int = 4

    def set_image(self, image, spacing_um=None, *, modality=None):
        pixels = image if isinstance(image, np.ndarray) else read_all(image)
        super().set_image(pixels, spacing_um, modality=modality)

    def estimate(self):
        return RegionEstimate(self.windows, 6.2, 40_000_000)

    def predict_steps(self, *, locked=None):
        found = self._answer(self.image > 128, split=True)
        height, width = found.mask.shape
        edges = np.linspace(0, height, self.windows + 1).astype(int)
        for done, (y0, y1) in enumerate(pairwise(edges), 1):
            part = found.mask[y0:y1]
            left = 2.0 * (self.windows - done)
            yield RegionProgress(
                done, self.windows, left, (int(y0), 0, int(y1), width), part
            )
        return found


class SteppingRunner(ManualRunner):
    """Runs short jobs when told, and long ones a step at a time."""

    def submit(self, job, *, topic, on_done, on_error, lane="", on_progress=None):
        if topic == "segment region":
            self.steps, self.on_progress, self.on_done = job(), on_progress, on_done
        else:
            super().submit(job, topic=topic, on_done=on_done, on_error=on_error)
            self.finish(topic)

    def cancel(self, topic):
        self.steps.close()

    def step(self):
        try:
            self.on_progress(next(self.steps))
        except StopIteration as stop:
            self.on_done(stop.value)


def read_all(image):
    return image.read((0, 0, *image.shape))


def write_slide(folder):
    """Two bright squares of 32 px, 128 px apart, on black."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[32:64, 32:64] = 230
    pixels[160:192, 160:192] = 200
    path = folder / "slide.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    return path


def make_scene(folder, **changes):
    values = {
        "key": "slide",
        "path": write_slide(folder),
        "name": "slide.tif",
        "shape": (SIDE, SIDE),
        "spacing_um": (0.499, 0.499),
        "spacing_source": SpacingSource.FILE,
        "backend": "tifffile 1",
        "notes": ("A note of the reader.",),
    }
    return SlideScene(**{**values, **changes})


def make_slide_session(folder, *, card=None, runner=None, opened=True, **changes):
    predictor = RegionPredictor(card=card or FakeCard())
    session = make_session(
        predictor=predictor,
        runner=runner,
        image=False,
        region_folder=folder / "regions",
    )
    if opened:
        session.regions.open_slide(make_scene(folder, **changes))
    return session
