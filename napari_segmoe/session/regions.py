"""The slide worked on, its regions, and their automatic segmentation."""

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import SlideError
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.session.region_images import rescale_image
from napari_segmoe.session.region_runs import RegionRuns
from napari_segmoe.session.slide_scene import (
    LevelBox,
    RegionChoice,
    RegionRecord,
    SlideScene,
    SpacingSource,
    box_around,
    checked_spacing,
    is_same,
    region_in,
    step_for,
)
from napari_segmoe.session.slide_work import SlideWork, SlideWorks
from napari_segmoe.types import (
    Mask,
    PromptKind,
    RegionEstimate,
    RegionProgress,
    Spacing,
)

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


class Regions:
    """Regions of the open slide; the current one is the session's image.

    Points and boxes are level-0 pixels of the slide: points with whole pixel centres,
    boxes [y0, x0, y1, x1] by their edges (0 is the upper edge of pixel 0). Methods
    raise `SlideError` at once where an argument is wrong; what goes wrong while a
    region is segmented goes to `Session.failed`.

    Parameters
    ----------
    session : Session
        Whose slide this is.

    Attributes
    ----------
    regions_changed
        Emitted without arguments when a slide was opened or closed, a region made,
        another one became current, or the spacing changed.
    target_changed
        The part that `segment` would take is another.
    estimate_changed
        `estimated` or `refusal` is new.
    progress_changed
        A run began, went on or ended: see `is_segmenting`, `progress`, `partial`.
    """

    regions_changed = Signal()
    target_changed = Signal()
    estimate_changed = Signal()
    progress_changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.works = SlideWorks()
        self._open: SlideWork | None = None
        self._runs = RegionRuns(session, self)
        self._choice = RegionChoice.FIELD_OF_VIEW
        self._view: LevelBox | None = None
        self._rectangle: LevelBox | None = None
        session.model_changed.connect(self._on_model_changed)

    @property
    def slide(self) -> SlideScene | None:
        """The open slide, or None while a plain image or nothing is worked on."""
        return self._open.scene if self._open else None

    @property
    def all(self) -> tuple[RegionRecord, ...]:
        """All regions of the open slide, oldest first."""
        return self._open.records if self._open else ()

    @property
    def current(self) -> RegionRecord | None:
        """The region that prompts and objects belong to, or None before the first."""
        return self.find(self._open.current) if self._open else None

    @property
    def objects(self) -> tuple[tuple[RegionRecord, ObjectRecord], ...]:
        """Committed objects of all regions of the open slide, with their region."""
        return tuple(
            (record, one)
            for record in self.all
            for one in self._session.records_of(record.key)
        )

    def find(self, number: int | None) -> RegionRecord | None:
        """Return the region of that number, or None."""
        return next((one for one in self.all if one.number == number), None)

    def region_at(self, y: float, x: float) -> RegionRecord | None:
        """Return the region that holds a point: the current one, else the newest."""
        found = [one for one in self.all if one.holds(y, x)]
        return self.current if self.current in found else next(reversed(found), None)

    def open_slide(self, scene: SlideScene) -> None:
        """Work on a slide; regions made on it before come back."""
        self._session.model.suit(scene.modality)
        self._open = self.works.open(scene)
        self._view = self._rectangle = None
        self._take_spacing(self._open.scene)
        self._session.project.arrivals.bring_regions(self._open)
        if self.current is None:
            self._session.wait_for_region()
            self._session.model.load()
        else:
            self._choose(self.current)
        self._session.announce_status()
        self.regions_changed.emit()

    def close_slide(self) -> None:
        """Work on no slide; a running segmentation ends, regions are kept."""
        if self._open is not None:
            self.cancel()
            self._leave()
            self._session.close_image()

    def set_spacing(
        self,
        spacing_um: float | Spacing | None,
        source: SpacingSource = SpacingSource.USER,
    ) -> None:
        """Set micrometres per level-0 pixel: areas follow, regions keep their pixels.

        Parameters
        ----------
        spacing_um : float or (y, x), or None
            None says that it is unknown.
        source : SpacingSource
            Who says so. A layer's scale does not override the user's word.

        Raises
        ------
        SlideError
            If no slide is open, or no pixel is that wide.
        """
        scene = self._require_slide()
        is_users = scene.spacing_source is SpacingSource.USER
        if is_users and source is not SpacingSource.USER:
            return
        pair = None if spacing_um is None else checked_spacing(spacing_um)
        source = SpacingSource.ASSUMED if pair is None else source
        if (pair, source) == (scene.spacing_um, scene.spacing_source):
            return
        self._take_spacing(replace(scene, spacing_um=pair, spacing_source=source))
        self.regions_changed.emit()

    def show(self, number: int) -> RegionRecord:
        """Make a region current by its number.

        Raises
        ------
        SlideError
            If there is none of that number.
        """
        record = self.find(number)
        if record is None:
            raise SlideError(f"There is no region {number} on this slide.")
        if record != self.current or self._session.image is None:
            self._choose(record)
            self.regions_changed.emit()
        return record

    def show_at(self, y: float, x: float) -> RegionRecord:
        """Make the region that holds a point current, or a new one around it.

        Raises
        ------
        SlideError
            If no slide is open, or the point is not on it.
        """
        scene = self._require_slide()
        if not scene.contains(y, x):
            raise SlideError("That point lies outside the slide. Click on the slide.")
        record = self.region_at(y, x)
        if record is None:
            step_yx = self._step()
            box = box_around(scene, y, x, step_yx)
            record = self._add(region_in(scene, box, step_yx))
        return self.show(record.number)

    def show_box(self, box: LevelBox) -> RegionRecord:
        """Make the region of exactly this box, cut to the slide, current.

        Raises
        ------
        SlideError
            If no slide is open, the box misses it, or it holds more than 4096 x 4096
            pixels of a region.
        """
        region = region_in(self._require_slide(), box, self._step())
        same = (one for one in self.all if is_same(one.region, region))
        record = next(same, None) or self._add(region)
        return self.show(record.number)

    @property
    def choice(self) -> RegionChoice:
        """What `segment` takes where no box is given."""
        return self._choice

    @property
    def target(self) -> LevelBox | None:
        """The box that `segment` takes: field of view or rectangle; None: not known."""
        is_view = self._choice is RegionChoice.FIELD_OF_VIEW
        return self._view if is_view else self._rectangle

    @property
    def rectangle(self) -> LevelBox | None:
        """The rectangle the user dragged last, or None."""
        return self._rectangle

    def choose(self, choice: RegionChoice) -> None:
        """Set what `segment` takes; RECTANGLE: what the user drags on the slide."""
        is_other, self._choice = choice is not self._choice, choice
        if choice is RegionChoice.RECTANGLE:
            self._session.prompting.choose_kind(PromptKind.BOX)  # the next drag is it
        if is_other:
            self.target_changed.emit()

    def note_view(self, box: LevelBox | None) -> None:
        """Take the part of the slide that the canvas shows: for the viewer."""
        if box != self._view:
            self._view = box
            if self._choice is RegionChoice.FIELD_OF_VIEW:
                self.target_changed.emit()

    def take_rectangle(self, box: LevelBox | None) -> None:
        """Take the rectangle that the user dragged: for the viewer."""
        cut = self._require_slide().cut(box) if box is not None else None
        if cut != self._rectangle:
            self._rectangle = cut
            self._session.prompting.choose_kind(PromptKind.POINT)
            if self._choice is RegionChoice.RECTANGLE:
                self.target_changed.emit()

    @property
    def estimated(self) -> RegionEstimate | None:
        """What segmenting the box asked about last will cost; None: not known yet."""
        return self._runs.estimated

    @property
    def refusal(self) -> str:
        """Why that box cannot be segmented, in one sentence; empty where it can."""
        return self._runs.refusal

    def estimate(self, box: LevelBox | None = None) -> None:
        """Ask off-thread what segmenting a box costs; `estimate_changed` follows.

        Parameters
        ----------
        box : (y0, x0, y1, x1), optional; by default `target`
        """
        self._runs.estimate(self.target if box is None else box)

    def segment(self, box: LevelBox | None = None) -> None:
        """Segment everything in a box; it becomes a region of its own, and current.

        Its answer becomes the region's prediction, to be committed like any other.

        Parameters
        ----------
        box : (y0, x0, y1, x1), optional
            By default `target`; the current region where there is none.

        Raises
        ------
        SlideError
            As `show_box`; and if there is neither box nor region.
        """
        self._require_slide()
        box = self.target if box is None else box
        if box is None and self.current is None:
            raise SlideError("Choose what to segment: drag a rectangle on the slide.")
        if self.is_segmenting:
            self._session.notified.emit(
                "A region is being segmented. Wait for it, or cancel it first."
            )
            return
        failures = self._session.model.failures
        record = self.current if box is None else self.show_box(box)
        if record is not None and failures == self._session.model.failures:
            self._runs.start(record)

    def segment_current(self) -> None:
        """Segment everything in the current region, whatever is in view."""
        if self.current is not None and not self.is_segmenting:
            self._runs.start(self.current)

    def cancel(self) -> None:
        """End the running segmentation; what was there before stays."""
        self._runs.cancel()

    @property
    def is_segmenting(self) -> bool:
        """Whether a region is being segmented."""
        return self._runs.record is not None

    @property
    def segmenting(self) -> RegionRecord | None:
        """The region that is being segmented, or None."""
        return self._runs.record

    @property
    def progress(self) -> RegionProgress | None:
        """How far it is; None before the first step and while nothing runs."""
        return self._runs.progress

    @property
    def partial(self) -> Mask | None:
        """What was found so far in `segmenting`, (H, W) bool; None while none runs."""
        return self._runs.partial

    def restore(self) -> None:
        """Bring the regions that the project has of the slide: for `ProjectLink`."""
        if self._open is not None:
            self._session.project.arrivals.bring_regions(self._open)
            self.regions_changed.emit()

    def forget_work(self) -> None:
        """Forget all regions, as their project is closed: for `Session`."""
        self.cancel()
        scene, self.works = self.slide, SlideWorks()
        self._open = self.works.open(scene) if scene is not None else None
        self._view = self._rectangle = None
        self.regions_changed.emit()

    def follow(self, image: SessionImage) -> None:
        """Leave the slide where another image was chosen: for `Session`."""
        if self._open is not None and image.key not in {one.key for one in self.all}:
            self._leave()

    def image_for(self, box: LevelBox) -> SessionImage:
        """Return a box as an image, without making it one of the slide's regions.

        Raises
        ------
        SlideError
            As `show_box`.
        """
        region = region_in(self._require_slide(), box, self._step())
        assert self._open is not None
        return self._open.image_of(RegionRecord(0, "estimate", region))

    def _require_slide(self) -> SlideScene:
        if self._open is None:
            raise SlideError("No slide is open. Open a slide first.")
        return self._open.scene

    def _step(self) -> tuple[float, float]:
        return step_for(self._require_slide(), self._session.model.spacing_um)

    def _add(self, region: SlideRegion) -> RegionRecord:
        assert self._open is not None
        return self._open.add(region)

    def _choose(self, record: RegionRecord) -> None:
        assert self._open is not None
        self._open.current = record.number
        self._session.choose_image(self._open.image_of(record))

    def _leave(self) -> None:
        self._open = None
        self._view = self._rectangle = None
        self._runs.forget_estimate()
        self.regions_changed.emit()

    def _take_spacing(self, scene: SlideScene) -> None:
        assert self._open is not None
        self._open.take_scene(scene)
        for record in self.all:
            rescale_image(self._session, record.key, record.spacing_um)

    def _on_model_changed(self) -> None:
        if self._open is None or not self._session.model.is_loaded:
            return
        step_yx = self._step()
        if self._open.has_others(step_yx):
            spacing_um = self._session.model.spacing_um
            at = f" of {spacing_um:g} µm per pixel" if spacing_um else ""
            self._session.notified.emit(
                "Regions made before keep their pixels, and are rescaled for these"
                f" weights; new regions have their resolution{at}."
            )
