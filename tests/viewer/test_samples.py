"""The sample slide: made once into the cache, then opened as a pyramid."""

import itertools
import os
import time

import pytest

from napari_segmoe.errors import SlideError
from napari_segmoe.viewer import samples


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and a slide small enough for a test."""
    monkeypatch.setattr(samples, "user_cache_dir", lambda *_words: str(tmp_path))
    monkeypatch.setattr(samples, "_SLIDE_SHAPE", (1400, 1800))
    return tmp_path / "samples"


def test_the_first_opening_makes_the_slide_and_shows_its_levels(cache):
    ((levels, options, kind),) = samples.open_he_slide()
    assert kind == "image"
    assert [level.shape for level in levels][:2] == [(1400, 1800, 3), (700, 900, 3)]
    assert tuple(options["scale"]) == (0.5, 0.5)
    assert options["multiscale"]
    assert {path.suffix for path in cache.iterdir()} == {".tif", ".zarr", ".csv"}


def test_the_second_opening_takes_the_same_file(cache):
    samples.open_he_slide()
    path = samples.sample_slide_path()
    os.utime(path, (1000, 1000))
    samples.open_he_slide()
    assert path.stat().st_mtime == 1000


def test_truth_left_without_its_slide_does_not_stop_it(cache):
    samples.open_he_slide()
    samples.sample_slide_path().unlink()
    samples.open_he_slide()
    assert samples.sample_slide_path().is_file()


def test_cancelling_stops_it_and_leaves_nothing(cache, monkeypatch):
    made = []

    class Cancelled(samples.cancelable_progress):
        def __init__(self, *arguments, cancel_callback, **options):
            super().__init__(*arguments, cancel_callback=cancel_callback, **options)
            made.append(self)
            cancel_callback()

    monkeypatch.setattr(samples, "cancelable_progress", Cancelled)
    with pytest.raises(SlideError, match="cancelled"):
        samples.open_he_slide()
    assert made
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_gives_a_sentence(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("no folder")
    with pytest.raises(SlideError, match="Choose a folder"):
        samples.open_he_slide()


def test_a_second_request_meanwhile_is_told_to_wait(cache):
    samples._being_made.set()
    try:
        with pytest.raises(SlideError, match="being made"):
            samples.open_he_slide()
    finally:
        samples._being_made.clear()


def test_the_menu_entry_opens_a_pyramid_while_the_window_goes_on(
    cache, make_napari_viewer, qtbot
):
    from qtpy.QtCore import QTimer

    viewer = make_napari_viewer()
    beats = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    timer.start(20)
    start = time.monotonic()
    (layer,) = viewer.open_sample("napari-segmoe", "he_slide")
    took = time.monotonic() - start
    timer.stop()
    assert layer.multiscale
    assert layer.data[0].shape == (1400, 1800, 3)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    gaps = [b - a for a, b in itertools.pairwise(beats)]
    assert len(beats) > 5
    assert max(gaps) < 0.5 * took  # it beats while the slide is made, not after
