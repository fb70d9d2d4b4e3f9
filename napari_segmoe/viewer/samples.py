"""Open Sample entries; none of them needs a network."""

import shutil
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from napari.utils import cancelable_progress
from napari.utils.notifications import show_info
from platformdirs import user_cache_dir

from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.data.slide_writing import WritingStep
from napari_segmoe.errors import SlideError
from napari_segmoe.types import LoadedImage, Modality
from napari_segmoe.viewer.readers import LayerData, read_layers, to_layer

_SEED = 1
_SLIDE_NAME = "he-slide-1.ome.tif"  # a change of the picture raises the number
_SLIDE_SHAPE = (6000, 8000)
_PAUSE_S = 0.02
_being_made = Event()


def open_benign_phantom() -> list[LayerData]:
    """Return a made-up breast ultrasound with a benign lesion."""
    return [_phantom_layer("benign")]


def open_malignant_phantom() -> list[LayerData]:
    """Return a made-up breast ultrasound with a malignant lesion."""
    return [_phantom_layer("malignant")]


def open_immunohistochemistry() -> list[LayerData]:
    """Return the stained colon section that comes with scikit-image."""
    from skimage.data import immunohistochemistry

    pixels: Any = immunohistochemistry()
    image = LoadedImage(pixels, modality=Modality.HISTOLOGY)
    return [to_layer(image, name="immunohistochemistry")]


def open_he_slide() -> list[LayerData]:
    """Return a made-up H&E slide; the first time it is made, with progress.

    Raises
    ------
    SlideError
        If it cannot be written to the cache, or the making was cancelled.
    """
    path = sample_slide_path()
    if not path.exists():
        _make_slide(path)
    return read_layers(str(path))


def sample_slide_path() -> Path:
    """Return where the sample slide is kept: the user's cache."""
    return Path(user_cache_dir("napari-segmoe", False)) / "samples" / _SLIDE_NAME


def _make_slide(path: Path) -> None:
    """Make the slide in a thread; the window goes on, and shows the progress."""
    from napari_segmoe.data.synthetic_slide import synthesise_slide, truth_paths

    if _being_made.is_set():
        raise SlideError("The sample slide is being made; it opens when it is ready.")
    for left in (path, *truth_paths(path)):
        _remove(left)
    show_info("Making the sample slide, once; it opens when it is ready.")
    job = synthesise_slide(path, _SLIDE_SHAPE, seed=_SEED)
    _being_made.set()
    try:
        _run_with_progress(job)
    finally:
        _being_made.clear()


def _run_with_progress(job: Generator[WritingStep, None, Any]) -> None:
    """Run a job in a thread, and let napari handle its events meanwhile."""
    newest: list[WritingStep] = []
    stopped = Event()

    def work() -> None:
        for step in job:
            newest[:] = [step]
            if stopped.is_set():
                job.close()
                raise SlideError("The sample slide was not made: it was cancelled.")

    bar = cancelable_progress(
        total=1, desc="Making the sample slide", cancel_callback=stopped.set
    )
    with ThreadPoolExecutor(1) as pool, bar:
        running = pool.submit(work)
        while not _wait(running):
            if newest and bar.total != newest[0].total:
                bar.total = newest[0].total
            # an update of nothing lets napari handle clicks and paint all the same
            bar.update(newest[0].done - bar.n if newest else 0)
        running.result()


def _wait(running: Future[None]) -> bool:
    """Wait a moment; say whether the job has ended."""
    try:
        running.exception(_PAUSE_S)
    except TimeoutError:
        return False
    return True


def _remove(path: Path) -> None:
    """Remove what is left of a slide that is gone; the writer tells what cannot be."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _phantom_layer(kind: str) -> LayerData:
    phantom = make_breast_phantom(_SEED, kind=kind)
    image = LoadedImage(
        phantom.image,
        spacing_um=phantom.spacing_um,
        modality=Modality.ULTRASOUND,
        notes=("This image is made up: no patient was scanned.",),
    )
    return to_layer(image, name=f"{kind} phantom")
