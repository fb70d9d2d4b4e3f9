"""What the correction tools act on: chosen objects, a step, a part of the image."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.errors import PromptError
from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.types import Box

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

SMALLEST_STEP_PX, LARGEST_STEP_PX = 1, 200
FIRST_STEP_PX = 2
ViewReader = Callable[[], Box | None]


class DrawingTool(StrEnum):
    """The viewer's own tools on the layer of objects."""

    BRUSH = "paint"
    ERASER = "erase"
    POLYGON = "polygon"
    FILL = "fill"


Draw = Callable[[DrawingTool], None]


class ToolGesture(StrEnum):
    """What the next drag of the mouse is, where a tool waits for one."""

    NONE = "none"
    TILE = "tile"  # a rectangle that is finished
    CUT = "cut"  # a line across the chosen object


class CorrectionTools:
    """The tools as buttons and keys call them: without arguments.

    They act on the chosen objects: the selected one, and those chosen with it.

    Parameters
    ----------
    session : Session
        Whose objects are corrected.
    """

    changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._ids: tuple[int, ...] = ()
        self.step_px = FIRST_STEP_PX
        self.gesture = ToolGesture.NONE
        # set by whoever shows the image
        self.read_view: ViewReader = _see_nothing
        self.take_up: Draw = _draw_nothing
        session.selection_changed.connect(self._on_selection_changed)
        session.image_changed.connect(self._on_image_changed)
        session.objects_changed.connect(self._on_objects_changed)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the chosen objects of the present image."""
        return self._ids

    @property
    def records(self) -> tuple[ObjectRecord, ...]:
        """The chosen objects."""
        return tuple(r for r in self._session.annotation.records if r.id in self._ids)

    def choose(self, ids: Iterable[int]) -> None:
        """Choose objects; the last one becomes the selected one."""
        known = {record.id for record in self._session.annotation.records}
        wanted = tuple(dict.fromkeys(one for one in ids if one in known))
        if wanted == self._ids:
            return
        self._ids = wanted
        self._session.annotation.select(wanted[-1] if wanted else None)
        self.changed.emit()

    def toggle(self, object_id: int) -> None:
        """Add an object to the chosen ones, or take it out."""
        others = tuple(one for one in self._ids if one != object_id)
        self.choose(others if object_id in self._ids else (*others, object_id))

    def set_step(self, step_px: int) -> None:
        """Set by how many pixels `grow` and `shrink` move an outline."""
        step_px = min(max(step_px, SMALLEST_STEP_PX), LARGEST_STEP_PX)
        if step_px != self.step_px:
            self.step_px = step_px
            self.changed.emit()

    def accept(self) -> None:
        """Say that the chosen objects are right: a model learns from them."""
        self._session.correction.accept(self._require())

    def review(self) -> None:
        """Say that the chosen objects were looked at a second time."""
        self._session.correction.review(self._require())

    def toggle_lock(self) -> None:
        """Lock the chosen objects; where all are locked, unlock them."""
        ids = self._require()
        if all(record.is_locked for record in self.records):
            self._session.correction.unlock(ids)
        else:
            self._session.correction.lock(ids)

    def merge(self) -> None:
        """Make one object of the chosen ones."""
        ids = self._require()
        if len(ids) < 2:
            raise PromptError(
                "Choose two objects or more to merge: hold Shift and click them."
            )
        self._session.correction.merge(ids)

    def split(self) -> None:
        """Part the chosen object where it is thin."""
        self._session.correction.split(self._require_one("split"))

    def fill_holes(self) -> None:
        """Fill the holes of the chosen objects."""
        self._session.correction.fill_holes(self._require())

    def smooth(self) -> None:
        """Smooth the outlines of the chosen objects."""
        self._session.correction.smooth(self._require())

    def grow(self) -> None:
        """Move the outlines of the chosen objects outward by the step."""
        self._session.correction.grow(self._require(), self.step_px)

    def shrink(self) -> None:
        """Move the outlines of the chosen objects inward by the step."""
        self._session.correction.shrink(self._require(), self.step_px)

    def delete(self) -> None:
        """Take the chosen objects out."""
        self._session.annotation.delete(self._require())

    def draw(self, tool: DrawingTool, *, is_new: bool = False) -> None:
        """Take a tool up: it changes the chosen object, or draws a new one."""
        self._session.require_workspace()
        if is_new:
            self.choose(())
        self.take_up(tool)

    def finish_view(self) -> None:
        """Say that all in the field of view is annotated: the rest is background."""
        self._session.require_workspace()
        seen = self.read_view()
        if seen is None:
            raise PromptError("The image is not in view. Bring it into view first.")
        self._session.correction.finish_tile((seen.y0, seen.x0, seen.y1, seen.x1))

    def finish_image(self) -> None:
        """Say that all of the image, or of the slide's region, is annotated."""
        self._session.require_workspace()
        self._session.correction.finish_tile()

    def toggle_image(self) -> None:
        """Finish the image, or the slide's region; where it is, take that back."""
        height, width = self._session.require_image().shape
        if (0, 0, height, width) in self._session.correction.tiles:
            self._session.worklist.mark_open()
        else:
            self._session.worklist.mark_done()

    def reopen(self) -> None:
        """Say that the finished parts in the field of view are not finished."""
        self._session.require_workspace()
        seen = self.read_view()
        box = None if seen is None else (seen.y0, seen.x0, seen.y1, seen.x1)
        self._session.correction.reopen_tile(box)

    def wait_for(self, gesture: ToolGesture) -> None:
        """Take the next drag of the mouse as a tool's, or no longer."""
        if gesture is not ToolGesture.NONE:
            self._session.require_workspace()
        if gesture is ToolGesture.CUT:
            self._require_one("cut")
        if gesture is not self.gesture:
            self.gesture = gesture
            self.changed.emit()

    def take_drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Take what was dragged: positions (y, x) in pixels of the image."""
        gesture = self.gesture
        self.wait_for(ToolGesture.NONE)
        if gesture is ToolGesture.CUT:
            self._session.correction.split(self._require_one("cut"), points)
        elif gesture is ToolGesture.TILE:
            (y0, x0), (y1, x1) = points[0], points[-1]
            low, high = (min(y0, y1), min(x0, x1)), (max(y0, y1), max(x0, x1))
            self._session.correction.finish_tile((*low, *high))

    def _require_one(self, verb: str) -> int:
        ids = self._require()
        if len(ids) > 1:
            raise PromptError(f"Choose one object to {verb}; {len(ids)} are chosen.")
        return ids[0]

    def _require(self) -> tuple[int, ...]:
        self._session.require_workspace()
        if not self._ids:
            raise PromptError(
                "Choose an object first: click it in the table, or on the image while"
                " the layer of objects is selected."
            )
        return self._ids

    def _on_selection_changed(self, object_id: int | None) -> None:
        if object_id is None:
            self._ids = ()
        elif object_id not in self._ids:
            self._ids = (object_id,)
        self.changed.emit()

    def _on_image_changed(self, _: object) -> None:
        selected = self._session.annotation.selected_id
        self._ids = () if selected is None else (selected,)
        self.gesture = ToolGesture.NONE
        self.changed.emit()

    def _on_objects_changed(self, _: object) -> None:
        known = {record.id for record in self._session.annotation.records}
        self._ids = tuple(one for one in self._ids if one in known)
        self.changed.emit()


def _see_nothing() -> Box | None:
    return None


def _draw_nothing(tool: DrawingTool) -> None:
    raise PromptError(f"There is no window to draw in ({tool.name.lower()}).")
