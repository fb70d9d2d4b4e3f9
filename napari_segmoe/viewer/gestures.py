"""Mouse gestures on our layers as prompts: click, drag a box, draw a stroke."""

from collections.abc import Generator
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels, Points
from numpy.typing import NDArray

from napari_segmoe.session.correction_tools import ToolGesture
from napari_segmoe.session.session import Session
from napari_segmoe.session.slide_scene import LevelBox, RegionChoice
from napari_segmoe.types import Box, PromptKind
from napari_segmoe.viewer.keys import run_action

LEFT, RIGHT = 1, 2
CLICK_PX = 4.0  # a press that moves less, on the screen, is a click


class Preview(Protocol):
    """Draws what is being dragged."""

    def __call__(self, points: NDArray[Any], *, closed: bool) -> None:
        """Draw (N, 2) points (y, x): a box if ``closed``, else a line."""
        ...


class Ground(Protocol):
    """Knows what lies under the mouse: see `SlideLayers`."""

    def enter(self, position: Any) -> bool:
        """Make the region at a world position current; False where there is none."""
        ...

    def point_at(self, position: Any) -> tuple[float, float] | None:
        """Return the slide's level-0 point there; None where no slide is open."""
        ...

    def drag_rectangle(self, box: tuple[float, float, float, float] | None) -> None:
        """Draw the rectangle that is being dragged."""
        ...


class Gestures:
    """Turns mouse events on the prompts layer into prompts.

    A click answers; a drag pans, or draws while box or stroke is chosen. The right
    button, or Ctrl, turns the sign around. On a slide the region under the mouse
    becomes current first; a box is the rectangle to segment while that is chosen.
    While a correction tool waits for a drag, the next one is the tool's.

    Parameters
    ----------
    session : Session
        Takes the prompts.
    ground : Ground
        Tells slide from image.
    """

    def __init__(self, session: Session, ground: Ground) -> None:
        self._session = session
        self._ground = ground
        self._preview: Preview | None = None
        self._layer: Points | None = None
        session.tools.changed.connect(self._on_tools_changed)

    def attach(self, layer: Points, preview: Preview) -> None:
        """Listen to the mouse on the prompts layer."""
        self._preview = preview
        layer.mouse_drag_callbacks.append(self._on_mouse)
        self._layer = layer
        self.follow_kind(layer)

    def follow_kind(self, layer: Points) -> None:
        """Let a drag pan the camera only while single clicks are asked for."""
        is_awaited = self._session.tools.gesture is not ToolGesture.NONE
        is_point = self._session.prompting.kind is PromptKind.POINT
        layer.mouse_pan = is_point and not is_awaited

    def _on_tools_changed(self) -> None:
        if self._layer is None:
            return
        self.follow_kind(self._layer)
        gesture = self._session.tools.gesture
        if gesture is not ToolGesture.NONE and self._preview is not None:
            # make the layer now: a new one may move the canvas under the mouse
            corners = np.array([(0, 0), (0, 2), (2, 2), (2, 0)], float)
            self._preview(corners, closed=gesture is ToolGesture.TILE)
            self._preview(np.empty((0, 2)), closed=False)

    def read_added_point(self, layer: Points) -> None:
        """Take a point that napari's own tool added as a click."""
        known = len(self._session.prompts.clicks)
        if len(layer.data) == known + 1:
            y, x = layer.data[-1]
            self._session.prompting.add_click(float(y), float(x))

    def select_object(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        """Select the committed object that was clicked, in pan mode."""
        start = np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        is_click = _distance(start, event.pos) < CLICK_PX
        if is_click and str(layer.mode) in ("pan_zoom", "pick"):
            value = layer.get_value(event.position, world=True)
            if value and "Shift" in event.modifiers:
                self._session.tools.toggle(int(value))
            else:
                self._session.tools.choose([int(value)] if value else [])

    def _on_mouse(self, layer: Points, event: Any) -> Generator[None, None, None]:
        if str(layer.mode) != "pan_zoom" or event.button not in (LEFT, RIGHT):
            return
        if len(event.dims_displayed) != 2:
            self._session.notified.emit(
                "Prompts need the 2-D view. Switch with Ctrl+Y."
            )
            return
        if self._session.tools.gesture is not ToolGesture.NONE:
            yield from self._on_tool_drag(layer, event)
            return
        kind = self._session.prompting.kind
        turned = event.button == RIGHT or "Control" in event.modifiers
        positive = self._session.prompting.is_positive != turned
        start, places = np.asarray(event.pos, float), [event.position]
        yield
        while event.type == "mouse_move":
            if event.button != RIGHT and _distance(start, event.pos) >= CLICK_PX:
                places.append(event.position)
                self._drag(layer, kind, places)
            yield
        if _distance(start, event.pos) < CLICK_PX:
            if self._ground.enter(places[0]):
                y, x = _position(layer, places[0])
                self._session.prompting.add_click(y, x, positive=positive)
        elif len(places) > 1 and kind is not PromptKind.POINT:
            self._end_drag(layer, kind, places, positive=positive)

    def _on_tool_drag(self, layer: Points, event: Any) -> Generator[None, None, None]:
        """Take a drag for the tool that waits; a click lets it wait no longer."""
        tools = self._session.tools
        start, places = np.asarray(event.pos, float), [event.position]
        kind = (
            PromptKind.BOX if tools.gesture is ToolGesture.TILE else PromptKind.STROKE
        )
        yield
        while event.type == "mouse_move":
            places.append(event.position)
            self._draw(kind, [_position(layer, place) for place in places])
            yield
        if self._preview is not None:
            self._preview(np.empty((0, 2)), closed=False)
        if _distance(start, event.pos) < CLICK_PX:
            tools.wait_for(ToolGesture.NONE)
            return
        points = [_position(layer, place) for place in places]
        run_action(self._session, lambda s: s.tools.take_drag(points))

    def _drag(self, layer: Points, kind: PromptKind, places: list[Any]) -> None:
        if kind is PromptKind.POINT:
            return
        if self._is_rectangle(kind):
            self._ground.drag_rectangle(self._rectangle(places))
        elif len(places) > 2 or self._ground.enter(places[0]):
            self._draw(kind, [_position(layer, place) for place in places])

    def _end_drag(
        self, layer: Points, kind: PromptKind, places: list[Any], *, positive: bool
    ) -> None:
        if self._is_rectangle(kind):
            self._ground.drag_rectangle(None)
            self._session.regions.take_rectangle(self._rectangle(places))
            return
        points = [_position(layer, place) for place in places]
        if kind is PromptKind.BOX:
            (y0, x0), (y1, x1) = points[0], points[-1]
            self._session.prompting.add_box(Box(y0, x0, y1, x1))
        else:
            self._session.prompting.add_stroke(points, positive=positive)

    def _is_rectangle(self, kind: PromptKind) -> bool:
        regions = self._session.regions
        is_chosen = regions.choice is RegionChoice.RECTANGLE
        return kind is PromptKind.BOX and regions.slide is not None and is_chosen

    def _rectangle(self, places: list[Any]) -> LevelBox | None:
        start, end = (self._ground.point_at(place) for place in (places[0], places[-1]))
        if start is None or end is None:
            return None
        (y0, x0), (y1, x1) = start, end
        low, high = (min(y0, y1), min(x0, x1)), (max(y0, y1), max(x0, x1))
        return low[0] + 0.5, low[1] + 0.5, high[0] + 0.5, high[1] + 0.5

    def _draw(self, kind: PromptKind, points: list[tuple[float, float]]) -> None:
        if self._preview is None:
            return
        if kind is PromptKind.STROKE:
            self._preview(np.array(points), closed=False)
            return
        (y0, x0), (y1, x1) = points[0], points[-1]
        corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
        self._preview(np.array(corners), closed=True)


def _position(layer: Points, place: Any) -> tuple[float, float]:
    """Return the pixel of the session's image at a world position."""
    y, x = np.asarray(layer.world_to_data(place), float)[-2:]
    return float(y), float(x)


def _distance(start: NDArray[Any], end: Any) -> float:
    return float(np.hypot(*(np.asarray(end, float)[:2] - start[:2])))
