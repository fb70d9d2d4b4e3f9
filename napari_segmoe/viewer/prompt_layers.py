"""The layers of points, box and strokes: what they show, and what is dragged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from napari_segmoe.session.session import Session
from napari_segmoe.types import Box, Prompts, Stroke
from napari_segmoe.viewer.our_layers import BOXES, PROMPTS, STROKES
from napari_segmoe.viewer.prompt_drawing import show_box, show_clicks, show_strokes


class PromptLayers:
    """Shows the prompts of the object in the making.

    Parameters
    ----------
    session : Session
        Whose prompts these are.
    require : callable
        Returns our layer of a role, made if need be.
    """

    def __init__(self, session: Session, require: Callable[[str], Any]) -> None:
        self._session = session
        self._require = require
        self._shown: Prompts | None = None  # None: the layers are new

    def forget(self) -> None:
        """Take note that a layer is gone: all is drawn anew."""
        self._shown = None

    def show(self, prompts: Prompts) -> None:
        """Show prompts, and nothing else."""
        shown = self._shown or Prompts()
        if self._shown is None or prompts.clicks != shown.clicks:
            show_clicks(self._require(PROMPTS), prompts.clicks)
        if prompts.box != shown.box:
            show_box(self._require(BOXES), prompts.box)
        if prompts.strokes != shown.strokes:
            show_strokes(self._require(STROKES), prompts.strokes)
        self._shown = prompts

    def preview(self, points: np.ndarray, *, closed: bool) -> None:
        """Draw the box or stroke that is dragged, (N, 2) (y, x); no points: nothing."""
        if not len(points):
            self.show(self._session.prompts)
        if len(points) < 2:
            return
        shown = self._shown or Prompts()
        line = tuple((float(y), float(x)) for y, x in points)
        if closed:
            (y0, x0), (y1, x1) = line[0], line[2]
            box = Box(y0, x0, y1, x1)
            show_box(self._require(BOXES), box)
            self._shown = replace(shown, box=box)
            return
        stroke = Stroke(line, self._session.prompting.is_positive)
        strokes = (*self._session.prompts.strokes, stroke)
        show_strokes(self._require(STROKES), strokes)
        self._shown = replace(shown, strokes=strokes)
