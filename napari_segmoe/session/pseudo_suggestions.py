"""Before a round: the model's own answers on images that nobody has labelled."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.project.judged_places import rejected_boxes
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.local_files import read_paths
from napari_segmoe.project.proposals import (
    ProposedObject,
    ProposedPlace,
    pack_labels,
)
from napari_segmoe.project.records import ImageRecord, PixelBox
from napari_segmoe.project.round_material import unlabelled_images
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.training.finetune.pictures import Pictures
from napari_segmoe.types import Prediction

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_TOPIC = "pseudo-labels"
Told = int | ProposedPlace | str  # how many images; an answer; an image without one


class PseudoSuggestions:
    """Asks the present model about the pool of a round, beside other work.

    Parameters
    ----------
    session : Session
        Whose model is asked, about its project.
    take : callable
        Takes each place as it is found.
    changed : callable
        Called when it began, went on or ended.
    """

    def __init__(
        self,
        session: "Session",
        take: Callable[[ProposedPlace], None],
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._take_place, self._changed = take, changed
        self._request = 0
        self.is_running = False
        self.done = self.total = self.found = 0

    @property
    def source(self) -> str:
        """Name of the weights that are asked; tells no path."""
        version = self._session.project.model_version
        if version is not None:
            return f"version {version}"
        return Path(self._session.model.choice.weights).stem

    def start(self, project: Path) -> None:
        """Ask about a project's unlabelled images; what was asked before ends."""
        self.cancel()
        self._request += 1
        request, self.is_running = self._request, True
        self.done = self.total = self.found = 0
        host, choice = self._session.model.host, self._session.model.choice
        source = self.source

        def job() -> Generator[Told | None, None, None]:
            with ProjectStore.open(project, read_only=True) as store:
                pool = unlabelled_images(store)
                places = store.places()
            yield len(pool)
            pictures = Pictures(project)
            for record in pool:
                image = _read(record, project, pictures)
                if image is None:
                    yield record.name
                    continue
                steps = host.segment(choice, image, None)
                try:
                    while True:
                        next(steps)
                        yield None  # may be cancelled between windows
                except StopIteration as stop:
                    rejected = rejected_boxes(places.get(record.name, ()))
                    yield make_place(
                        record, stop.value, source=source, rejected=rejected
                    )
                finally:
                    steps.close()

        self._session.model.load()
        self._session.runner.submit(
            job,
            topic=_TOPIC,
            lane=REGIONS,
            on_done=lambda _: self._end(request),
            on_error=lambda error: self._fail(request, error),
            on_progress=lambda told: self._take(request, told),
        )
        self._changed()

    def cancel(self) -> None:
        """End asking; what was found stays."""
        if self.is_running:
            self._session.runner.cancel(_TOPIC)
            self._end(self._request)

    def _take(self, request: int, told: Told) -> None:
        if request != self._request:
            return
        if isinstance(told, int):
            self.total = told
        else:
            self.done += 1
            if isinstance(told, ProposedPlace) and told.objects:
                self.found += 1
                self._take_place(told)
        self._changed()

    def _fail(self, request: int, error: Exception) -> None:
        if request == self._request:
            self._end(request)
            self._session.report(error)

    def _end(self, request: int) -> None:
        if request == self._request:
            self._request += 1
            self.is_running = False
            self._changed()


def make_place(
    record: ImageRecord,
    prediction: Prediction,
    *,
    source: str,
    rejected: Sequence[PixelBox] = (),
) -> ProposedPlace:
    """Return a model's answer on a whole image as a place of pseudo-labels.

    Parameters
    ----------
    record : ImageRecord
    prediction : Prediction
    source : str
        Name of the weights.
    rejected : sequence of (y0, x0, y1, x1)
        What lies in these boxes for the most part is left out.
    """
    labels = _without(prediction.labels, rejected)
    sums = np.bincount(labels.ravel(), weights=prediction.probability.ravel())
    areas = np.bincount(labels.ravel())
    known = {one.id: one for one in prediction.objects}
    objects = []
    for number in (int(one) for one in np.flatnonzero(areas) if one):
        answer = known[number].probabilities if number in known else None
        name = max(answer, key=lambda one: answer[one]) if answer else None
        objects.append(
            ProposedObject(
                number,
                float(min(max(sums[number] / areas[number], 0.0), 1.0)),
                name,
                float(answer[name]) if answer and name is not None else None,
            )
        )
    return ProposedPlace(
        record.name,
        record.fingerprint,
        (0, 0, *record.shape),
        pack_labels(labels),
        tuple(objects),
        source,
    )


def _without(labels: Labels, boxes: Sequence[PixelBox]) -> Labels:
    """Return labels without the objects that lie in boxes for the most part."""
    labels = np.ascontiguousarray(labels, np.uint32)
    if not boxes:
        return labels
    is_inside = np.zeros(labels.shape, bool)
    for y0, x0, y1, x1 in boxes:
        is_inside[y0:y1, x0:x1] = True
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels[is_inside], minlength=areas.size)
    gone = np.flatnonzero(2 * inside > areas)
    return np.where(np.isin(labels, gone), 0, labels).astype(np.uint32)


def _read(
    record: ImageRecord, project: Path, pictures: Pictures
) -> SessionImage | None:
    """Return an image of the project as the predictor takes it; None: it is missing."""
    pixels: SlideRegion | NDArray[np.uint8] | None = None
    if record.region is not None:
        path = read_paths(project).get(record.fingerprint)
        if path is not None and path.exists():
            place = record.region
            pixels = SlideRegion(path, place.origin_yx, place.step_yx, record.shape)
    else:
        pixels = pictures.read(record, (0, 0, *record.shape))
    if pixels is None:
        return None
    return SessionImage(
        f"pseudo-labels:{record.name}",
        pixels,
        spacing_um=record.spacing_um,
        modality=record.modality,
    )
