"""Weights made for one pixel size: what they see, and what comes back."""

import numpy as np
import pytest

from napari_segmoe.errors import ImageReadError, NoImageError, PromptError
from napari_segmoe.inference.predictor import load_predictor
from napari_segmoe.types import Box, Click, Modality, RegionProgress, Stroke

SIZES_UM = (0.25, 0.5, 1.0, 1.6)
FIELD_UM = (200, 260)
DISKS_UM = ((60, 70, 20), (140, 180, 30), (50, 200, 14))


def _disks(um):
    """Draw the disks of `DISKS_UM` (y, x, radius), bright on dark, softly edged."""
    shape = (round(FIELD_UM[0] / um), round(FIELD_UM[1] / um))
    y, x = ((np.arange(n) + 0.5) * um for n in shape)
    grey = np.zeros(shape, np.float32)
    for at_y, at_x, radius in DISKS_UM:
        away = np.hypot(y[:, None] - at_y, x[None] - at_x)
        grey = np.maximum(grey, 1 / (1 + np.exp((away - radius) / 2)))
    return np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)


def _at(y_um, x_um, um, **words):
    return Click(y_um / um - 0.5, x_um / um - 0.5, **words)


def _truth(disk, um):
    shape = (round(FIELD_UM[0] / um), round(FIELD_UM[1] / um))
    y, x = ((np.arange(n) + 0.5) * um for n in shape)
    return np.hypot(y[:, None] - disk[0], x[None] - disk[1]) <= disk[2]


def _finish(steps):
    """Return what a generator yields, and what it returns."""
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as stop:
            return told, stop.value


def _iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("um", SIZES_UM)
@pytest.mark.parametrize("disk", DISKS_UM)
def test_a_click_finds_the_same_object_at_any_pixel_size(bright_objects, um, disk):
    bright_objects.set_image(_disks(um), (um, um))
    answer = bright_objects.predict([_at(disk[0], disk[1], um)])
    assert _iou(answer.mask, _truth(disk, um)) > 0.93
    area = np.pi * disk[2] ** 2
    assert answer.objects[0].area_um2 == pytest.approx(area, rel=0.05)
    assert answer.objects[0].area_px == answer.mask.sum()
    assert ((answer.probability > 0.5) == answer.mask).all()


@pytest.mark.parametrize("um", SIZES_UM)
def test_everything_is_the_same_at_any_pixel_size(bright_objects, um):
    bright_objects.set_image(_disks(um), (um, um), modality=Modality.HISTOLOGY)
    answer = bright_objects.predict()
    assert answer.labels.shape == answer.mask.shape == _disks(um).shape[:2]
    assert len(answer.objects) == len(DISKS_UM)
    for disk in DISKS_UM:
        number = answer.labels[round(disk[0] / um), round(disk[1] / um)]
        assert _iou(answer.labels == number, _truth(disk, um)) > 0.93
        (found,) = [item for item in answer.objects if item.id == number]
        assert found.area_um2 == pytest.approx(np.pi * disk[2] ** 2, rel=0.05)
        assert set(found.probabilities) == {"benign", "malignant"}
    assert answer.classes is not None
    assert sum(answer.classes.values()) == pytest.approx(1)


def test_pixels_need_not_be_square(bright_objects):
    image = _disks(0.5)[:, ::2]  # 0.5 um high, 1 um wide
    bright_objects.set_image(image, (0.5, 1.0))
    answer = bright_objects.predict([Click(60 / 0.5, 70 / 1.0)])
    assert answer.objects[0].area_um2 == pytest.approx(np.pi * 20**2, rel=0.05)
    assert answer.objects[0].width_height_ratio == pytest.approx(1, abs=0.06)


def test_without_a_pixel_size_one_is_assumed_and_said(bright_objects):
    bright_objects.set_image(_disks(0.5))
    for answer in (
        bright_objects.predict([_at(60, 70, 0.5)]),
        bright_objects.predict([_at(3, 3, 0.5)]),
        bright_objects.predict(),
    ):
        said = [note for note in answer.notes if "No pixel size is stated" in note]
        assert len(said) == 1
        assert "0.5 um was assumed" in said[0]
        assert all(item.area_um2 is None for item in answer.objects)
    known = _disks(0.5)
    bright_objects.set_image(known, (0.5, 0.5))
    told = bright_objects.predict([_at(60, 70, 0.5)])
    bright_objects.set_image(known)
    assert (told.mask == bright_objects.predict([_at(60, 70, 0.5)]).mask).all()
    assert not any("pixel size" in note for note in told.notes)


@pytest.mark.parametrize("spacing", [(0.0, 0.0), (-1.0, 1.0), (5000.0, 1.0)])
def test_an_absurd_pixel_size_is_refused(bright_objects, spacing):
    with pytest.raises(ImageReadError, match="pixel size"):
        bright_objects.set_image(_disks(1.0), spacing)


def test_prompts_outside_are_named_in_the_images_own_pixels(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    with pytest.raises(PromptError, match="400 x 520 px"):
        bright_objects.predict([Click(401, 5)])
    with pytest.raises(PromptError, match="no pixel"):
        bright_objects.predict(box=Box(10, 10, 10, 20))


def test_boxes_and_strokes_choose_what_they_touch(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    y, x, radius = DISKS_UM[1]
    box = Box(*((v - radius - 4) / 0.5 for v in (y, x)), (y + 34) / 0.5, (x + 34) / 0.5)
    stroke = Stroke(tuple((y / 0.5, (x + d) / 0.5) for d in (-20.0, 20.0)))
    for answer in (
        bright_objects.predict(box=box),
        bright_objects.predict(strokes=[stroke]),
    ):
        assert _iou(answer.mask, _truth(DISKS_UM[1], 0.5)) > 0.93


@pytest.mark.parametrize("um", [0.25, 1.6])
def test_a_correction_leaves_the_rest_as_it_was(bright_objects, um):
    bright_objects.set_image(_disks(um), (um, um))
    y, x, radius = DISKS_UM[1]
    one = bright_objects.predict([_at(y, x, um)])
    wrong = _at(y - radius + 5, x, um, positive=False)
    two = bright_objects.predict([_at(y, x, um), wrong], previous=one)
    assert not two.mask[round(wrong.y), round(wrong.x)]
    far = np.arange(len(one.mask)) * um > y
    assert (one.mask[far] == two.mask[far]).all()
    assert ((two.probability > 0.5) == two.mask).all()


def test_locked_pixels_stay_out(bright_objects):
    um = 0.25
    bright_objects.set_image(_disks(um), (um, um))
    y, x, _ = DISKS_UM[0]
    locked = np.zeros(_disks(um).shape[:2], bool)
    locked[:, : round((x - 3.3) / um)] = True
    clicked = bright_objects.predict([_at(y, x, um)], locked=locked)
    everything = bright_objects.predict(locked=locked)
    for answer in (clicked, everything):
        assert answer.mask.any()
        assert not (answer.mask & locked).any()
    kept = _truth(DISKS_UM[0], um) & ~locked
    assert _iou(clicked.mask, kept) > 0.9


def test_an_image_smaller_than_a_window_is_answered(bright_objects):
    for shape in ((1, 1), (3, 200), (50, 20, 3)):
        bright_objects.set_image(np.full(shape, 200, np.uint8), (0.5, 0.5))
        for answer in (bright_objects.predict(), bright_objects.predict([Click(0, 0)])):
            assert answer.mask.shape == shape[:2]
            assert np.isfinite(answer.probability).all()


def test_steps_tell_how_far_they_are_and_end_in_the_same_answer(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    told, prediction = _finish(bright_objects.predict_steps())
    assert all(isinstance(step, RegionProgress) for step in told)
    assert told[-1].done == told[-1].total == bright_objects.estimate().windows
    parts = np.zeros(prediction.mask.shape, bool)
    for step in told:
        if step.box is not None:
            y0, x0, y1, x1 = step.box
            parts[y0:y1, x0:x1] = step.mask
    assert (parts == prediction.mask).mean() > 0.98
    again = bright_objects.predict()
    assert (again.labels == prediction.labels).all()


def test_clicks_on_another_image_may_come_between_steps(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    expected = bright_objects.predict()
    steps = bright_objects.predict_steps()
    next(steps)
    bright_objects.set_image(_disks(1.0), (1.0, 1.0))
    between = bright_objects.predict([_at(60, 70, 1.0)])
    assert between.mask.shape == _disks(1.0).shape[:2]
    _, prediction = _finish(steps)
    assert (prediction.labels == expected.labels).all()


def test_whole_image_weights_keep_their_image_between_steps(small_weights, rng):
    predictor = load_predictor(small_weights, device="cpu")
    first = rng.integers(0, 255, (90, 70), dtype=np.uint8)
    predictor.set_image(first, (2.0, 2.0))
    expected, click = predictor.predict(), [Click(20, 20)]
    steps = predictor.predict_steps()
    assert next(steps).total == 1
    other = rng.integers(0, 255, (50, 60), dtype=np.uint8)
    predictor.set_image(other)
    before = predictor.predict(click)
    _, prediction = _finish(steps)
    assert (prediction.probability == expected.probability).all()
    assert prediction.labels.shape == first.shape
    assert (predictor.predict(click).probability == before.probability).all()


def test_the_estimate_knows_windows_and_memory(bright_objects, small_weights):
    with pytest.raises(NoImageError):
        bright_objects.estimate()
    with pytest.raises(NoImageError):
        bright_objects.predict_steps()
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    cost = bright_objects.estimate()
    assert cost.windows == 4 * 6  # 200 x 260 px, windows of 64 px every 48 px
    assert cost.seconds > 0
    assert cost.memory_bytes > 200 * 260
    whole = load_predictor(small_weights, device="cpu")
    whole.set_image(np.zeros((64, 64), np.uint8))
    assert whole.estimate().windows == 1


def test_explanations_have_the_images_own_size(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5))
    clicked = bright_objects.predict([_at(60, 70, 0.5)], explain=True)
    everything = bright_objects.predict(explain=True)
    for answer in (clicked, everything):
        assert answer.explanations
        for one in answer.explanations:
            if one.kind != "table":
                assert one.values.shape == answer.mask.shape
                assert one.values.min() >= one.value_range[0] - 1e-3
                assert one.values.max() <= one.value_range[1] + 1e-3
    assert "one window" in everything.notes[-1]


def test_another_modality_gets_masks_but_no_class(bright_objects):
    bright_objects.set_image(_disks(0.5), (0.5, 0.5), modality=Modality.ULTRASOUND)
    clicked = bright_objects.predict([_at(60, 70, 0.5)])
    everything = bright_objects.predict()
    for answer in (clicked, everything):
        assert answer.mask.any()
        assert answer.classes is None
        assert "ultrasound" in answer.notes[0]
        assert all(item.probabilities is None for item in answer.objects)
