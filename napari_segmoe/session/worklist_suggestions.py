"""How unsure the model is of images nobody has worked on: which to look at first."""

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.images import read_image
from napari_segmoe.errors import ImageReadError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.session.worklist_entries import WorklistEntry

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_TOPIC = "suggestions"
_RELEVANT = 0.1  # a pixel below this foreground probability is none of an object
_LEAST_SHARE = 0.005  # of the image: what objects take up at least
Found = tuple[str, float | None]


class Suggestions:
    """The model's uncertainty of each image, worked out beside other work.

    Parameters
    ----------
    session : Session
        Whose model is asked.
    entries : callable
        Returns the images.
    """

    def __init__(
        self, session: "Session", entries: Callable[[], Sequence[WorklistEntry]]
    ) -> None:
        self._session = session
        self._entries = entries
        self._known: dict[tuple[str, str], float | None] = {}  # by model and image
        self._request = 0
        self.done = self.total = 0
        self.is_running = False

    def uncertainty(self, entry: WorklistEntry) -> float | None:
        """Return how unsure the model is of an image, in 0..1; None: not known."""
        return self._known.get((self._model(), entry.key))

    def start(self, *, most: int | None = None) -> None:
        """Ask the model about the images that it was not asked about.

        Parameters
        ----------
        most : int or None
            So many at most.
        """
        self.cancel()
        self._read_cache()
        model = self._model()
        wanted = [
            entry
            for entry in self._entries()
            if not entry.is_slide
            and not entry.is_missing
            and (model, entry.key) not in self._known
        ][:most]
        if not wanted:
            return
        self._request += 1
        request, self.is_running = self._request, True
        self.done, self.total = 0, len(wanted)
        host, choice = self._session.model.host, self._session.model.choice

        def job() -> Generator[Found, None, None]:
            for entry in wanted:
                image = _read(entry)
                if image is None:
                    yield entry.key, None
                    continue
                steps = host.segment(choice, image, None)
                try:
                    while True:
                        next(steps)
                        yield "", None  # may be cancelled between windows
                except StopIteration as stop:
                    yield entry.key, image_uncertainty(stop.value.probability)
                finally:
                    steps.close()

        self._session.model.load()
        self._session.runner.submit(
            job,
            topic=_TOPIC,
            lane=REGIONS,
            on_done=lambda _: self._end(request),
            on_error=lambda error: self._fail(request, error),
            on_progress=lambda found: self._take(request, model, found),
        )
        self._session.worklist_changed.emit()

    def cancel(self) -> None:
        """End asking; what is known stays."""
        if self.is_running:
            self._session.runner.cancel(_TOPIC)
            self._end(self._request)

    def ranks(
        self, keys: Sequence[tuple[str, float | None]], *, seed: int | None
    ) -> dict[str, int]:
        """Return the place of each image: by uncertainty, or drawn by a seed.

        Parameters
        ----------
        keys : sequence of (key, uncertainty)
        seed : int or None
            None: the most uncertain first, those not known last.
        """
        if seed is None:
            by_doubt = sorted(
                keys, key=lambda one: -(-1.0 if one[1] is None else one[1])
            )
            return {key: place for place, (key, _) in enumerate(by_doubt)}
        drawn = np.random.default_rng(seed).permutation(len(keys))
        ordered = sorted(key for key, _ in keys)  # the same draw whatever came first
        return {key: int(place) for key, place in zip(ordered, drawn, strict=True)}

    def _take(self, request: int, model: str, found: Found) -> None:
        key, value = found
        if request != self._request or not key:
            return
        self._known[model, key] = value
        self.done += 1
        self._write_cache()
        self._session.worklist_changed.emit()

    def _fail(self, request: int, error: Exception) -> None:
        if request == self._request:
            self._end(request)
            self._session.report(error)

    def _end(self, request: int) -> None:
        if request == self._request:
            self._request += 1
            self.is_running = False
            self._session.worklist_changed.emit()

    def _model(self) -> str:
        """Return a name of the present weights that tells no path."""
        return Path(self._session.model.choice.weights).stem

    def _cache(self) -> Path | None:
        path = self._session.project.path
        return path / "cache" / "uncertainty.json" if path is not None else None

    def _read_cache(self) -> None:
        cache = self._cache()
        if cache is None:
            return
        try:
            values = json.loads(cache.read_text(encoding="utf-8"))
            for model, images in values.items():
                for key, value in images.items():
                    self._known.setdefault((model, key), float(value))
        except (OSError, ValueError, TypeError, AttributeError):
            return  # it is worked out again

    def _write_cache(self) -> None:
        cache = self._cache()
        if cache is None:
            return
        values: dict[str, dict[str, float]] = {}
        for (model, key), value in sorted(self._known.items()):
            if value is not None:
                values.setdefault(model, {})[key] = round(value, 6)
        try:
            cache.parent.mkdir(exist_ok=True)
            partial = cache.with_name(f".{cache.name}.partial")
            partial.write_text(json.dumps(values), encoding="utf-8")
            partial.replace(cache)
        except OSError:
            return  # a cache: the next session works it out again


def image_uncertainty(probability: NDArray[np.floating]) -> float:
    """Return how unsure a foreground probability (H, W) is, in 0..1.

    Notes
    -----
    The entropy in bits of each pixel, summed, over the area that objects may take up:
    large images with small objects are not sure because of their background.
    """
    p = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    area = max(float((p > _RELEVANT).sum()), _LEAST_SHARE * p.size)
    return float(min(entropy.sum() / area, 1.0))


def _read(entry: WorklistEntry) -> SessionImage | None:
    if entry.path is None:
        return None
    try:
        image = read_image(entry.path)
    except ImageReadError:
        return None  # opening it says what is wrong
    return SessionImage(
        f"suggestion:{entry.key}",
        image.pixels,
        spacing_um=image.spacing_um,
        modality=image.modality,
    )
