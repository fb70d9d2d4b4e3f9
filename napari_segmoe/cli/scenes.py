"""What a command asks about: a whole image, or the part of a slide that is meant.

Clicks, boxes and regions are full-resolution pixels of the file; a part of a slide
is asked about at the weights' pixel size, and what is found is given back in
full-resolution pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.cli.answers import describe_prediction
from napari_segmoe.cli.requests import Request, check_clicks
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import PromptError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import (
    Box,
    Click,
    LoadedImage,
    Modality,
    Prediction,
    Spacing,
)

REGION_PX = 1024  # side of what is read around clicks
_AROUND_PX = 192  # kept free between a prompt and the region's edge
_SHOWN_PX = 2048  # longest side of a picture of a region


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image, or a part of a slide.

    Attributes
    ----------
    name : str
        File name.
    image : LoadedImage
        What is shown of it: its pixels are fewer than the region's where that is
        large. Its spacing is that of the file's full resolution.
    region : SlideRegion or None
        The part of a slide that is asked about; None for an image.
    clicks, box
        The prompts, in pixels of what is asked about.
    """

    name: str
    image: LoadedImage
    region: SlideRegion | None = None
    clicks: tuple[Click, ...] = ()
    box: Box | None = None

    @property
    def pixels(self) -> NDArray[np.uint8] | SlideRegion:
        """What the predictor is asked about."""
        return self.image.pixels if self.region is None else self.region

    @property
    def spacing_um(self) -> Spacing | None:
        """Micrometres per pixel of what is asked about."""
        spacing = self.image.spacing_um
        if self.region is None or spacing is None:
            return spacing
        step_y, step_x = self.region.step_yx
        return spacing[0] * step_y, spacing[1] * step_x

    def show_to(self, predictor: Any) -> None:
        """Make it what the predictor is asked about."""
        predictor.set_image(self.pixels, self.spacing_um, modality=self.image.modality)

    def describe(
        self, prediction: Prediction, card: WeightsCard, clicks: Sequence[Click]
    ) -> dict[str, Any]:
        """Describe an answer in the JSON shape of `segmoe segment`.

        Parameters
        ----------
        prediction : Prediction
        card : WeightsCard
        clicks : sequence of Click
            As the user gave them.
        """
        found = describe_prediction(self.name, prediction, card, self.image)
        if self.region is not None:
            found |= {
                "region": {
                    "origin": list(self.region.origin_yx),
                    "step": list(self.region.step_yx),
                    "shape": list(self.region.shape),
                },
                "objects": [_on_slide(one, self.region) for one in found["objects"]],
            }
        found["clicks"] = [[one.y, one.x, one.positive] for one in clicks]
        return found


def open_scene(path: Path, request: Request, card: WeightsCard) -> Scene:
    """Open an image, or the part of a slide that a request means.

    Without click, box and region that is the whole slide.

    Parameters
    ----------
    path : Path
    request : Request
    card : WeightsCard
        Of the weights that will be asked; slides are read at their pixel size.

    Raises
    ------
    ImageReadError
        If the file cannot be read.
    PromptError
        If a click or the region lies outside.
    """
    from napari_segmoe.data.slides.opening import is_slide

    if request.region is not None or is_slide(path):
        return _open_slide(path, request, card)
    from napari_segmoe.data.images import read_image

    image = read_image(path)
    if request.spacing_um is not None:
        image = replace(image, spacing_um=(request.spacing_um, request.spacing_um))
    if image.modality is Modality.UNKNOWN:
        image = replace(image, modality=request.modality)
    check_clicks(request.clicks, *image.pixels.shape[:2])
    return Scene(path.name, image, None, request.clicks, request.box)


def _open_slide(path: Path, request: Request, card: WeightsCard) -> Scene:
    from napari_segmoe.data.scaled_image import check_spacing
    from napari_segmoe.data.slides.opening import open_shared
    from napari_segmoe.data.slides.region import region_at

    path = path.resolve()
    source = open_shared(path)
    height, width = source.levels[0].shape
    spacing = source.spacing_um
    if request.spacing_um is not None:
        spacing = (request.spacing_um, request.spacing_um)
        check_spacing(spacing)
    check_clicks(request.clicks, height, width)
    step = (1.0, 1.0)
    if card.spacing_um is not None and spacing is not None:
        step = (card.spacing_um / spacing[0], card.spacing_um / spacing[1])
    edges = _edges(request, (height, width), step)
    region = region_at(
        source, edges, spacing_um=card.spacing_um, slide_spacing_um=spacing
    )
    image = LoadedImage(
        _picture(region),
        spacing_um=spacing,
        modality=request.modality,
        notes=source.notes,
    )
    clicks = tuple(_click_in_region(one, region) for one in request.clicks)
    return Scene(path.name, image, region, clicks, _in_region(request.box, region))


def _edges(
    request: Request, shape: tuple[int, int], step: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return the edges of what is meant, in full-resolution pixels of the slide."""
    height, width = shape
    if request.region is not None:
        return _checked(request.region, request.clicks, shape)
    if not request:
        return 0.0, 0.0, float(height), float(width)
    ys = [one.y + 0.5 for one in request.clicks]
    xs = [one.x + 0.5 for one in request.clicks]
    if request.box is not None:
        ys += [request.box.y0, request.box.y1]
        xs += [request.box.x0, request.box.x1]
    y0, y1 = _around(min(ys), max(ys), step[0], height)
    x0, x1 = _around(min(xs), max(xs), step[1], width)
    return y0, x0, y1, x1


def _around(low: float, high: float, step: float, length: int) -> tuple[float, float]:
    """Return the ends of a region around prompts, moved into the slide."""
    side = max(REGION_PX * step, high - low + 2 * _AROUND_PX * step)
    start = min(max((low + high - side) / 2, 0.0), max(length - side, 0.0))
    return start, min(start + side, float(length))


def _checked(
    region: Box, clicks: Sequence[Click], shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    height, width = shape
    y0, x0 = max(region.y0, 0.0), max(region.x0, 0.0)
    y1, x1 = min(region.y1, float(height)), min(region.x1, float(width))
    words = f"{region.y0:g},{region.x0:g},{region.y1:g},{region.x1:g}"
    if y1 - y0 < 1 or x1 - x0 < 1:
        raise PromptError(
            f"The region {words} lies outside the image of {height}x{width} px. "
            f"Give Y0,X0,Y1,X1 inside 0,0,{height},{width}."
        )
    for click in clicks:
        if not (y0 <= click.y + 0.5 < y1 and x0 <= click.x + 0.5 < x1):
            raise PromptError(
                f"The click at y={click.y:g}, x={click.x:g} lies outside the region "
                f"{words}. Enlarge --region, or leave it out."
            )
    return y0, x0, y1, x1


def _click_in_region(click: Click, region: SlideRegion) -> Click:
    """Return a click in pixels of a region, whose last pixels may be cut off."""
    y, x = region.from_slide(click.y, click.x)
    height, width = region.shape
    return Click(min(y, height - 1.0), min(x, width - 1.0), positive=click.positive)


def _in_region(box: Box | None, region: SlideRegion) -> Box | None:
    if box is None:
        return None
    (top, left), (step_y, step_x) = region.origin_yx, region.step_yx
    return Box(
        (box.y0 - top) / step_y,
        (box.x0 - left) / step_x,
        (box.y1 - top) / step_y,
        (box.x1 - left) / step_x,
    )


def _picture(region: SlideRegion) -> NDArray[np.uint8]:
    """Return a region's pixels, fewer where it is large."""
    height, width = region.shape
    smaller = min(_SHOWN_PX / max(height, width), 1.0)
    size = (max(round(height * smaller), 1), max(round(width * smaller), 1))
    return region.read((0, 0, height, width), size)


def _on_slide(found: dict[str, Any], region: SlideRegion) -> dict[str, Any]:
    """Return an object's description in full-resolution pixels of the slide."""
    (top, left), (step_y, step_x) = region.origin_yx, region.step_yx
    y0, x0, y1, x1 = found["box"]
    length = (step_y * step_x) ** 0.5
    return found | {
        "area_px": found["area_px"] * step_y * step_x,
        "box": [
            round(top + y0 * step_y),
            round(left + x0 * step_x),
            round(top + y1 * step_y),
            round(left + x1 * step_x),
        ],
        "polygon": [list(region.to_slide(y, x)) for y, x in found["polygon"]],
        "long_axis_px": found["long_axis_px"] * length,
        "short_axis_px": found["short_axis_px"] * length,
    }
