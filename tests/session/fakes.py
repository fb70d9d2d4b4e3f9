"""A predictor without a network, and a runner that finishes jobs in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from skimage.segmentation import flood

from napari_segmoe.inference.objects import describe_object
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import InlineRunner, run_to_end
from napari_segmoe.session.session import Session
from napari_segmoe.types import Box, Click, Prediction


@dataclass(frozen=True)
class FakeCard:
    name: str = "fake"
    title: str = "Fake model"
    object_classes: tuple[str, ...] = ("benign", "malignant")
    uncertain_below: float = 0.6
    spacing_um: float | None = None
    assumed_spacing_um: float | None = None


@dataclass
class FakePredictor:
    """Flood fill around the prompts; dark objects are malignant."""

    card: FakeCard = field(default_factory=FakeCard)
    asked: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    before_answer: Callable[[], None] | None = None
    image: np.ndarray | None = None
    is_released: bool = False

    def set_image(self, image, spacing_um=None, *, modality=None):
        self.image = image if image.ndim == 2 else image.mean(axis=2)
        self.spacing_um = spacing_um

    def predict(
        self,
        clicks=(),
        *,
        strokes=(),
        box=None,
        previous=None,
        locked=None,
        explain=False,
        steering=None,
    ):
        asked = {"clicks": clicks, "previous": previous, "locked": locked}
        self.asked.append({**asked, "explain": explain, "steering": steering})
        if self.before_answer is not None:
            self.before_answer()
        if self.error is not None:
            raise self.error
        bright = self.image > 128
        if not clicks and not strokes and box is None:
            return self._answer(bright, split=True)
        mask = np.zeros(bright.shape, bool)
        for y, x, positive in points_of(clicks, strokes, box):
            at = (round(y), round(x))
            if positive and bright[at]:
                mask |= flood(bright, at)
            elif not positive:
                mask[max(at[0] - 1, 0) : at[0] + 2, max(at[1] - 1, 0) : at[1] + 2] = 0
        if locked is not None:
            mask &= ~locked
        return self._answer(mask, split=False)

    def _answer(self, mask, *, split):
        from skimage.measure import label

        labels = (label(mask) if split else mask).astype(np.uint32)
        probability = np.where(mask, 0.9, 0.1).astype(np.float32)
        objects = tuple(
            describe_object(
                labels == i,
                self.spacing_um,
                object_id=int(i),
                probabilities=self._classes(labels == i),
            )
            for i in np.unique(labels)
            if i
        )
        classes = objects[0].probabilities if objects else None
        return Prediction(mask, probability, labels, objects, classes)

    def _classes(self, mask):
        malignant = 0.83 if self.image[mask].mean() > 215 else 0.1
        return {"benign": 1 - malignant, "malignant": malignant}

    def unavailable_explanations(self):
        return {}

    def release(self):
        self.is_released = True


def points_of(clicks, strokes, box: Box | None):
    yield from ((c.y, c.x, c.positive) for c in clicks)
    for stroke in strokes:
        yield from ((y, x, stroke.positive) for y, x in stroke.points)
    if box is not None:
        yield (box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2, True


@dataclass
class ManualJob:
    """One job that waits, or is in the middle of its steps."""

    job: Callable[[], Any]
    topic: str
    on_done: Callable[[Any], None]
    on_error: Callable[[Exception], None]
    lane: str
    on_progress: Callable[[Any], None] | None
    steps: Any = None


class ManualRunner:
    """Keeps jobs until the test runs or drops them, in any order."""

    def __init__(self):
        self.jobs: list[ManualJob] = []

    def submit(self, job, *, topic, on_done, on_error, lane="clicks", on_progress=None):
        self.jobs.append(ManualJob(job, topic, on_done, on_error, lane, on_progress))

    def cancel(self, topic: str):
        for one in [entry for entry in self.jobs if entry.topic == topic]:
            self.jobs.remove(one)
            if one.steps is not None:
                one.steps.close()

    def step(self, topic: str, count: int = 1):
        """Go on with the oldest job of a topic, so many steps."""
        one = next(entry for entry in self.jobs if entry.topic == topic)
        one.steps = one.steps or one.job()
        for _ in range(count):
            progress = next(one.steps)
            if one.on_progress is not None and progress is not None:
                one.on_progress(progress)

    def finish(self, topic: str, index: int = 0):
        one = [entry for entry in self.jobs if entry.topic == topic][index]
        self.jobs.remove(one)
        try:
            result = run_to_end(lambda: one.steps or one.job(), one.on_progress)
        except Exception as error:  # noqa: BLE001
            one.on_error(error)
            return
        one.on_done(result)

    def close(self):
        self.jobs.clear()


def make_pixels() -> np.ndarray:
    """Two bright squares on black: (8:24, 8:24) malignant, (36:52, 30:56) benign."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[8:24, 8:24] = 230
    pixels[36:52, 30:56] = 200
    return pixels


def make_image(key: str = "one", **changes) -> SessionImage:
    values = {"pixels": make_pixels(), "spacing_um": (50.0, 100.0), "name": key}
    return SessionImage(key, **{**values, **changes})


def make_session(*, predictor=None, runner=None, image=True, **kwargs) -> Session:
    predictor = predictor or FakePredictor()
    session = Session(
        lambda weights, *, device: predictor, runner or InlineRunner(), **kwargs
    )
    session.failures, session.notes = [], []
    session.failed.connect(session.failures.append)
    session.notified.connect(session.notes.append)
    if image:
        session.choose_image(make_image())
    return session


A_CLICK = Click(12, 12)
