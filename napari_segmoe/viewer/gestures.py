"""Mouse gestures on our layers as prompts: click, drag a box, draw a stroke."""

from collections.abc import Generator
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels, Points
from numpy.typing import NDArray

from napari_segmoe.session.session import Session
from napari_segmoe.types import Box, PromptKind

LEFT, RIGHT = 1, 2
CLICK_PX = 4.0  # a press that moves less, on the screen, is a click


class Preview(Protocol):
    """Draws what is being dragged."""

    def __call__(self, points: NDArray[Any], *, closed: bool) -> None:
        """Draw (N, 2) points (y, x): a box if ``closed``, else a line."""
        ...


class Gestures:
    """Turns mouse events on the prompts layer into prompts.

    A click answers; a drag pans, or draws while box or stroke is chosen. The right
    button, or Ctrl, turns the sign around.

    Parameters
    ----------
    session : Session
        Takes the prompts.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._preview: Preview | None = None

    def attach(self, layer: Points, preview: Preview) -> None:
        """Listen to the mouse on the prompts layer."""
        self._preview = preview
        layer.mouse_drag_callbacks.append(self._on_mouse)
        self.follow_kind(layer)

    def follow_kind(self, layer: Points) -> None:
        """Let a drag pan the camera only while single clicks are asked for."""
        layer.mouse_pan = self._session.prompting.kind is PromptKind.POINT

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
            self._session.annotation.select(int(value) if value else None)

    def _on_mouse(self, layer: Points, event: Any) -> Generator[None, None, None]:
        if str(layer.mode) != "pan_zoom" or event.button not in (LEFT, RIGHT):
            return
        if len(event.dims_displayed) != 2:
            self._session.notified.emit(
                "Prompts need the 2-D view. Switch with Ctrl+Y."
            )
            return
        kind = self._session.prompting.kind
        turned = event.button == RIGHT or "Control" in event.modifiers
        positive = self._session.prompting.is_positive != turned
        start, points = np.asarray(event.pos, float), [_position(layer, event)]
        yield
        while event.type == "mouse_move":
            if kind is not PromptKind.POINT and event.button != RIGHT:
                points.append(_position(layer, event))
                self._draw(kind, points)
            yield
        if _distance(start, event.pos) < CLICK_PX:
            y, x = points[0]
            self._session.prompting.add_click(y, x, positive=positive)
        elif kind is PromptKind.BOX and len(points) > 1:
            (y0, x0), (y1, x1) = points[0], points[-1]
            self._session.prompting.add_box(Box(y0, x0, y1, x1))
        elif kind is PromptKind.STROKE and len(points) > 1:
            self._session.prompting.add_stroke(points, positive=positive)

    def _draw(self, kind: PromptKind, points: list[tuple[float, float]]) -> None:
        if self._preview is None:
            return
        if kind is PromptKind.STROKE:
            self._preview(np.array(points), closed=False)
            return
        (y0, x0), (y1, x1) = points[0], points[-1]
        corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
        self._preview(np.array(corners), closed=True)


def _position(layer: Points, event: Any) -> tuple[float, float]:
    y, x = np.asarray(layer.world_to_data(event.position), float)[-2:]
    return float(y), float(x)


def _distance(start: NDArray[Any], end: Any) -> float:
    return float(np.hypot(*(np.asarray(end, float)[:2] - start[:2])))
