"""The automatic segmentation of a region: estimate, run, progress, cancel."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.jobs import REGIONS
from napari_segmoe.session.predictor import ModelChoice
from napari_segmoe.session.prompting import without_small_objects
from napari_segmoe.session.region_images import locked_on
from napari_segmoe.session.slide_scene import LevelBox, RegionRecord
from napari_segmoe.types import Mask, Prediction, RegionEstimate, RegionProgress

if TYPE_CHECKING:
    from napari_segmoe.session.regions import Regions
    from napari_segmoe.session.session import Session

_RUN = "segment region"
_ESTIMATE = "estimate region"


class RegionRuns:
    """Runs one region at a time on the lane of long jobs: a part of `Regions`.

    Parameters
    ----------
    session : Session
        Whose predictor and workspaces are used.
    regions : Regions
        Told what changes.
    """

    def __init__(self, session: "Session", regions: "Regions") -> None:
        self._session = session
        self._regions = regions
        self._request = 0  # number of the newest run; older answers are stale
        self._estimate_request = 0
        self.record: RegionRecord | None = None
        self.progress: RegionProgress | None = None
        self.partial: Mask | None = None
        self.estimated: RegionEstimate | None = None
        self.refusal = ""

    def estimate(self, box: LevelBox | None) -> None:
        """Ask what segmenting a box costs; the newest question wins."""
        self._estimate_request += 1
        request = self._estimate_request
        if box is None:
            self._take_estimate(request, None, "")
            return
        try:
            image = self._regions.image_for(box)
        except SegmoeError as error:
            self._take_estimate(request, None, str(error))
            return
        host, choice = self._session.model.host, self._session.model.choice

        def job() -> Generator[None, None, RegionEstimate]:
            yield
            return host.estimate(choice, image)

        self._session.runner.submit(
            job,
            topic=_ESTIMATE,
            on_done=lambda found: self._take_estimate(request, found, ""),
            on_error=lambda error: self._take_estimate(request, None, str(error)),
        )

    def forget_estimate(self) -> None:
        """Forget the newest estimate: its slide was left."""
        self._estimate_request += 1
        self._take_estimate(self._estimate_request, None, "")

    def start(self, record: RegionRecord) -> None:
        """Segment everything in a region."""
        self._request += 1
        request, session = self._request, self._session
        workspace = session.require_workspace()
        host, choice = session.model.host, session.model.choice
        image, locked = workspace.image, locked_on(session, workspace)
        smallest = session.options.smallest_object_px

        def job() -> Generator[RegionProgress, None, Prediction]:
            prediction = yield from host.segment(choice, image, locked)
            return without_small_objects(prediction, smallest)

        self.record, self.progress = record, None
        self.partial = np.zeros(image.shape, bool)
        self._announce()
        session.model.load()
        if request != self._request:
            return  # loading failed at once
        session.runner.submit(
            job,
            topic=_RUN,
            lane=REGIONS,
            on_done=lambda found: self._finish(request, choice, found),
            on_error=lambda error: self._fail(request, error),
            on_progress=lambda step: self._take_progress(request, step),
        )

    def cancel(self) -> None:
        """End the run, if there is one; nothing it found is kept."""
        if self.record is not None:
            self._session.runner.cancel(_RUN)
            self._end()

    def _take_estimate(
        self, request: int, found: RegionEstimate | None, refusal: str
    ) -> None:
        if request == self._estimate_request:
            self.estimated, self.refusal = found, refusal
            self._regions.estimate_changed.emit()

    def _take_progress(self, request: int, step: RegionProgress) -> None:
        if request != self._request or self.partial is None:
            return
        self.progress = step
        if step.box is not None and step.mask is not None:
            y0, x0, y1, x1 = step.box
            self.partial[y0:y1, x0:x1] = step.mask
        self._regions.progress_changed.emit()

    def _finish(self, request: int, choice: ModelChoice, found: Prediction) -> None:
        record = self.record
        if request != self._request or record is None:
            return
        self._end()
        self._session.prompting.adopt(record.key, found, choice)
        for note in (*found.notes, _summary(record, found)):
            self._session.notified.emit(note)

    def _fail(self, request: int, error: Exception) -> None:
        if request == self._request:
            self._end()
            self._session.report(error)

    def _end(self) -> None:
        self._request += 1
        self.record = self.progress = self.partial = None
        self._announce()

    def _announce(self) -> None:
        self._regions.progress_changed.emit()
        self._session.announce_status()


def _summary(record: RegionRecord, found: Prediction) -> str:
    count = len(found.objects)
    if count == 0:
        return f"No object was found in {record.title.lower()}."
    return f"{record.title}: {count} object{'s' if count > 1 else ''} found."
