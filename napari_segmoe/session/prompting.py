"""Prompts of the object in the making, and the prediction that answers them."""

from collections.abc import Generator, Hashable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_segmoe.errors import PromptError
from napari_segmoe.session.history import EventKind, Snapshot, Step
from napari_segmoe.session.prediction_cache import Answer, PredictionCache
from napari_segmoe.session.predictor import ModelChoice, Question
from napari_segmoe.session.region_images import locked_on
from napari_segmoe.session.workspace import Workspace
from napari_segmoe.types import Box, Click, Prediction, PromptKind, Prompts, Stroke

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

SMALLEST_BOX_PX = 2.0
STEERED = "Experts are pinned or vetoed, see the Heatmaps tab."


class Prompting:
    """Takes prompts and asks the predictor; the newest question wins.

    Parameters
    ----------
    session : Session
        Whose prompts these are.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._cache = PredictionCache()
        self._request = 0  # number of the newest question; older answers are stale
        self.kind = PromptKind.POINT
        self.is_positive = True
        self.is_waiting = False
        self._awaited: Hashable = None  # the question that waits, and how to answer
        self.failure = ""  # why the newest question got no answer

    @property
    def prompts(self) -> Prompts:
        """Prompts of the object in the making."""
        return self._session.snapshot.prompts

    @property
    def prediction(self) -> Prediction | None:
        """The newest answer to them, or None."""
        workspace = self._session.workspace
        return workspace.prediction if workspace else None

    def choose_kind(self, kind: PromptKind) -> None:
        """Set what the next gesture on the image means."""
        self.kind = kind
        self._session.prompts_changed.emit(self.prompts)

    def choose_positive(self, is_positive: bool) -> None:
        """Set whether the next prompt means "this" or "not this"."""
        self.is_positive = is_positive
        self._session.prompts_changed.emit(self.prompts)

    def toggle_positive(self) -> None:
        """Turn the sign of the next prompt around."""
        self.choose_positive(not self.is_positive)

    def add_click(self, y: float, x: float, *, positive: bool | None = None) -> None:
        """Add a click at (y, x) in pixels; outside the image it is ignored, said."""
        if not self._is_inside(((y, x),)):
            return
        click = Click(float(y), float(x), self._sign(positive))
        prompts = self._begun()
        self._add(
            EventKind.CLICK,
            replace(
                prompts,
                clicks=(*prompts.clicks, click),
                order=(*prompts.order, PromptKind.POINT),
            ),
            {"y": click.y, "x": click.x, "positive": click.positive},
        )

    def add_box(self, box: Box) -> None:
        """Set the box prompt, in pixels; it is cut to the image."""
        height, width = self._session.require_image().shape
        cut = Box(
            max(min(box.y0, box.y1), -0.5),
            max(min(box.x0, box.x1), -0.5),
            min(max(box.y0, box.y1), height - 0.5),
            min(max(box.x0, box.x1), width - 0.5),
        )
        if min(cut.height, cut.width) < SMALLEST_BOX_PX:
            self._session.notified.emit(
                "The box is too small or outside the image. Drag across the object."
            )
            return
        prompts = self._begun()
        order = tuple(k for k in prompts.order if k is not PromptKind.BOX)
        self._add(
            EventKind.BOX,
            replace(prompts, box=cut, order=(*order, PromptKind.BOX)),
            {"box": (cut.y0, cut.x0, cut.y1, cut.x1)},
        )

    def add_stroke(
        self, points: Iterable[tuple[float, float]], *, positive: bool | None = None
    ) -> None:
        """Add a drawn line through (N, 2) points (y, x), in pixels."""
        line = tuple((float(y), float(x)) for y, x in points)
        image = self._session.require_image()
        line = tuple(p for p in line if image.contains(*p))
        if not line:
            self._session.notified.emit("The stroke lies outside the image.")
            return
        prompts = self._begun()
        stroke = Stroke(line, self._sign(positive))
        self._add(
            EventKind.STROKE,
            replace(
                prompts,
                strokes=(*prompts.strokes, stroke),
                order=(*prompts.order, PromptKind.STROKE),
            ),
            {"points": stroke.points, "positive": stroke.positive},
        )

    def segment_image(self) -> None:
        """Segment every object in the image, without prompts; of a slide, a region."""
        if self._session.regions.slide is not None:
            self._session.regions.segment()
            return
        self._session.require_image()
        after = replace(self._session.snapshot, prompts=Prompts(), is_automatic=True)
        self._session.perform(EventKind.AUTOMATIC, {}, after)
        self.predict()

    def reject(self) -> None:
        """Take prompts and prediction away without committing."""
        snapshot = self._session.snapshot
        if snapshot.prompts or snapshot.is_automatic:
            self._session.perform(EventKind.REJECT, {}, cleared(snapshot))

    def predict(self) -> None:
        """Ask about the present prompts; `prediction_changed` or `failed` follows.

        Raises
        ------
        PromptError
            If there is no prompt and no automatic segmentation was asked for.
        """
        workspace = self._session.require_workspace()
        if not _asks_something(workspace):
            raise PromptError(
                "There is no prompt yet. Click the object, or segment the whole image."
            )
        self._request += 1
        kept = self._cache.find(self._key(workspace))
        if kept is not None:
            self._show(kept)
        if kept is None or not self._tells_enough(kept):
            self._submit(workspace, self._request)

    def ask_again(self) -> None:
        """Ask anew after the model changed, where something was asked."""
        workspace = self._session.workspace
        if workspace is None or workspace.is_region_run:
            return  # a region's answer stays until it is segmented anew
        if _asks_something(workspace):
            self.predict()

    def refresh(self) -> None:
        """Ask the same anew where the answer is not explained or steered as wanted."""
        workspace = self._session.workspace
        if workspace is None or not (self.is_waiting or workspace.answer):
            return
        if not self.is_waiting or self._awaited != self._wanted(workspace):
            self.ask_again()

    def give_up(self) -> None:
        """Drop the question that waits for an answer."""
        self._request += 1
        self._set_waiting(False)

    def adopt(self, key: str, prediction: Prediction, choice: ModelChoice) -> None:
        """Take the automatic answer for the image of that key, as one step to undo.

        While prompts are given there it waits until they are committed or rejected.
        """
        workspace = self._session.find_workspace(key)
        if workspace is None:
            return
        workspace.automatic_aside = None
        if workspace.snapshot.prompts:
            workspace.automatic_aside = (prediction, choice)
            self._session.notified.emit(
                "The region is segmented. Commit or reject the object in the making to"
                " see it."
            )
            return
        before = workspace.snapshot
        after = replace(before, is_automatic=True)
        question = (choice, workspace.question_of(after))
        answer = Answer(prediction, question)
        self._cache.keep((question, frozenset()), answer)
        if workspace is not self._session.workspace:
            workspace.history.push(Step(EventKind.AUTOMATIC, before, after))
            workspace.snapshot, workspace.answer = after, answer
            return
        self._session.perform(EventKind.AUTOMATIC, {}, after)
        if workspace.answer is not answer:
            self._request += 1
            self._show(answer)

    def follow(self, before: Snapshot) -> None:
        """Bring the prediction in line after the snapshot changed from ``before``."""
        workspace = self._session.require_workspace()
        if not _asks_something(workspace):
            self._request += 1
            self._show(None)
            if workspace.automatic_aside is not None:
                self.adopt(workspace.image.key, *workspace.automatic_aside)
        elif _asked(before) != _asked(workspace.snapshot):
            is_known = self._cache.find(self._key(workspace)) is not None
            if is_known or self._session.options.predict_on_prompt:
                self.predict()

    def _submit(self, workspace: Workspace, request: int) -> None:
        if workspace.is_region_run:
            self._set_waiting(False)
            self._session.regions.segment_current()
            return
        question, key = self._question(workspace), self._key(workspace)
        host, choice = self._session.model.host, self._session.model.choice
        smallest = self._session.options.smallest_object_px

        def job() -> Generator[None, None, tuple[Answer, str]]:
            yield
            prediction = host.answer(choice, question)
            if not question.prompts:
                prediction = without_small_objects(prediction, smallest)
            if question.steering is not None:
                notes = (*prediction.notes, STEERED)
                prediction = replace(prediction, notes=notes)
            answer = Answer(prediction, key[0], question.previous, question.explain)
            return answer, host.memory_text()

        def on_done(found: tuple[Answer, str]) -> None:
            self._cache.keep(key, found[0])
            if request == self._request:
                self._session.model.note_device(found[1])
                self._show(found[0])

        def on_error(error: Exception) -> None:
            if request == self._request:
                self.failure = self._session.report(error)
                self._set_waiting(False)

        self.failure, self._awaited = "", self._wanted(workspace)
        self._set_waiting(True)
        self._session.model.load()
        if self.is_waiting:  # loading may have failed at once
            self._session.runner.submit(
                job, topic="predict", on_done=on_done, on_error=on_error
            )

    def _question(self, workspace: Workspace) -> Question:
        return Question(
            workspace.image,
            workspace.snapshot.prompts,
            self._previous(workspace),
            locked_on(self._session, workspace),
            explain=self._session.explaining.is_wanted,
            steering=self._session.explaining.steering,
        )

    def _previous(self, workspace: Workspace) -> Prediction | None:
        """Return what the answer builds on: the same one if the same is asked anew."""
        answer = workspace.answer
        if workspace.snapshot.is_automatic or answer is None:
            return None
        is_same = answer.question == self._key(workspace)[0]
        return answer.previous if is_same else answer.prediction

    def _key(self, workspace: Workspace) -> tuple[Hashable, Hashable]:
        question = (self._session.model.choice, workspace.question_key)
        # a region's automatic answer is not steered
        wishes = self._session.explaining.wishes
        return question, frozenset() if workspace.is_region_run else wishes

    def _wanted(self, workspace: Workspace) -> Hashable:
        return self._key(workspace), self._session.explaining.is_wanted

    def _tells_enough(self, answer: Answer) -> bool:
        workspace = self._session.require_workspace()
        is_wanted = self._session.explaining.is_wanted and not workspace.is_region_run
        return answer.is_explained or not is_wanted

    def _show(self, answer: Answer | None) -> None:
        self.failure = ""
        self._session.require_workspace().answer = answer
        self._session.explaining.learn(self.prediction)
        self._session.prediction_changed.emit(self.prediction)
        self._set_waiting(False)

    def _set_waiting(self, is_waiting: bool) -> None:
        if self.is_waiting != is_waiting:
            self.is_waiting = is_waiting
            self._session.busy_changed.emit(is_waiting)
        self._session.announce_status()

    def _begun(self) -> Prompts:
        return self._session.snapshot.prompts

    def _sign(self, positive: bool | None) -> bool:
        return self.is_positive if positive is None else positive

    def _add(self, kind: EventKind, prompts: Prompts, payload: dict) -> None:
        after = replace(self._session.snapshot, prompts=prompts, is_automatic=False)
        self._session.perform(kind, payload, after)

    def _is_inside(self, points: tuple[tuple[float, float], ...]) -> bool:
        image = self._session.require_image()
        if all(image.contains(y, x) for y, x in points):
            return True
        self._session.notified.emit("That click lies outside the image.")
        return False


def cleared(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without prompts."""
    return replace(snapshot, prompts=Prompts(), is_automatic=False)


def without_small_objects(prediction: Prediction, smallest_px: int) -> Prediction:
    """Return the prediction without objects of fewer than ``smallest_px`` pixels."""
    counts = np.bincount(prediction.labels.ravel())
    small = np.flatnonzero((counts < smallest_px) & (counts > 0))
    small = small[small > 0]
    if small.size == 0:
        return prediction
    gone = np.isin(prediction.labels, small)
    return replace(
        prediction,
        mask=prediction.mask & ~gone,
        labels=np.where(gone, 0, prediction.labels).astype(np.uint32),
        objects=tuple(o for o in prediction.objects if o.id not in small),
    )


def _asks_something(workspace: Workspace) -> bool:
    return bool(workspace.snapshot.prompts) or workspace.snapshot.is_automatic


def _asked(snapshot: Snapshot) -> tuple[Prompts, bool, int]:
    return snapshot.prompts, snapshot.is_automatic, snapshot.label_version
