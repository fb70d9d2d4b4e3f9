"""Draw objects, their classes and the clicks onto an image."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_segmoe.types import Click, Prediction, SegmentedObject

_SHORTER_SIDE_PX = 640  # smaller images are enlarged so that the text can be read
_FILL = 0.28
_MOST_CAPTIONS = 12  # more of them hide the picture: a legend counts classes
# Okabe and Ito's colours, told apart by colour-blind readers too.
_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
)
_CROSS = ndimage.generate_binary_structure(2, 1)
_UNKNOWN = (200, 200, 200)
_POSITIVE, _NEGATIVE = (0, 200, 83), (255, 61, 61)


def draw_overlay(
    pixels: NDArray[np.uint8],
    prediction: Prediction,
    *,
    classes: Sequence[str] = (),
    clicks: Sequence[Click] = (),
) -> NDArray[np.uint8]:
    """Draw a prediction onto its image.

    Parameters
    ----------
    pixels : (h, w) or (h, w, 3) uint8
        The image, perhaps with fewer pixels than the prediction.
    prediction : Prediction
        Labels and objects, (H, W).
    classes : sequence of str
        Fixes the colour of each class.
    clicks : sequence of Click
        Drawn as dots, green for positive and red for negative.

    Returns
    -------
    (sh, sw, 3) uint8
        The image, enlarged by a whole number s where it is small, with a tinted
        fill and an outline for each object, and a caption; with many objects a
        legend counts them by class instead.
    """
    larger = max(1, round(_SHORTER_SIDE_PX / min(pixels.shape[:2])))
    canvas = _enlarge(pixels, larger)
    colours = {item.id: _colour_of(item, classes) for item in prediction.objects}
    if colours:
        labels = _nearest(prediction.labels, (canvas.shape[0], canvas.shape[1]))
        _tint(canvas, labels, colours)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    scale = canvas.shape[0] / prediction.labels.shape[0]
    if len(prediction.objects) <= _MOST_CAPTIONS:
        for item in prediction.objects:
            _write_caption(draw, picture.size, item, _caption(item), scale)
    else:
        _write_legend(draw, picture.size, prediction.objects, classes)
    for click in clicks:
        _draw_click(draw, click, scale)
    return np.asarray(picture)


def _nearest(labels: NDArray[np.uint32], shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Return ids on another grid over the same image."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    found: NDArray[np.uint32] = labels[rows[:, None], columns]
    return found


def _enlarge(pixels: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels).convert("RGB")
    size = (picture.width * scale, picture.height * scale)
    return np.array(picture.resize(size, Image.Resampling.BICUBIC))


def _colour_of(item: SegmentedObject, classes: Sequence[str]) -> tuple[int, int, int]:
    if item.class_name is None or item.class_name not in classes:
        return _UNKNOWN if classes else _COLOURS[0]
    return _COLOURS[list(classes).index(item.class_name) % len(_COLOURS)]


def _tint(
    canvas: NDArray[np.uint8],
    labels: NDArray[np.uint32],
    colours: Mapping[int, tuple[int, int, int]],
) -> None:
    """Fill each object lightly, and draw its outline two pixels wide."""
    low = high = labels
    for _ in range(2):
        low = ndimage.minimum_filter(low, footprint=_CROSS, mode="constant", cval=0)
        high = ndimage.maximum_filter(high, footprint=_CROSS, mode="constant", cval=0)
    table = np.zeros((int(labels.max(initial=0)) + 1, 3), np.float32)
    known = np.zeros(len(table), bool)
    for number, colour in colours.items():
        if number < len(table):
            table[number], known[number] = colour, True
    mask = known[labels]
    inner = mask & (low == labels) & (high == labels)
    tint = table[labels[inner]]
    canvas[inner] = (canvas[inner] * (1 - _FILL) + tint * _FILL).astype(np.uint8)
    edge = mask & ~inner
    canvas[edge] = table[labels[edge]].astype(np.uint8)


def _caption(item: SegmentedObject) -> str:
    """Name the class; where it is withheld as uncertain, the most probable one."""
    shares = item.probabilities
    if not shares:
        return item.class_name or f"{item.id}"
    name = item.class_name or max(shares, key=lambda key: shares[key])
    doubt = "" if item.class_name else "uncertain: "
    return f"{doubt}{name} {100 * shares[name]:.0f} %"


def _write_caption(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    item: SegmentedObject,
    text: str,
    scale: float,
) -> None:
    font = ImageFont.load_default(size=max(16, min(size) // 32))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 12, bottom - top + 10
    x = min(max(0, item.box[1] * scale), max(0, size[0] - width))
    above = item.box[0] * scale - height - 4
    y = above if above >= 0 else min(item.box[2] * scale + 4, size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=(0, 0, 0))
    draw.text((x + 6 - left, y + 5 - top), text, fill=(255, 255, 255), font=font)


def _write_legend(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    objects: Sequence[SegmentedObject],
    classes: Sequence[str],
) -> None:
    """Write how many objects each class has into the lower left corner."""
    counts = Counter(item.class_name or "uncertain" for item in objects)
    if not classes:
        counts = Counter({"objects": len(objects)})
    colours = {item.class_name: _colour_of(item, classes) for item in objects}
    text_px = max(16, min(size) // 45)
    font, line = ImageFont.load_default(size=text_px), round(1.5 * text_px)
    texts = {name: f"{name}  {count}" for name, count in counts.most_common()}
    width = max(draw.textlength(text, font=font) for text in texts.values()) + 2 * line
    top = size[1] - line * len(texts) - line // 2
    draw.rectangle((0, top - line // 2, width, size[1]), fill=(0, 0, 0))
    for row, (name, text) in enumerate(texts.items()):
        y = top + row * line
        colour = colours.get(name, _UNKNOWN if classes else _COLOURS[0])
        draw.rectangle((line // 2, y + 2, line, y + 2 + line // 2), fill=colour)
        draw.text((1.4 * line, y - 2), text, fill=(255, 255, 255), font=font)


def _draw_click(draw: ImageDraw.ImageDraw, click: Click, scale: float) -> None:
    x, y = (click.x + 0.5) * scale, (click.y + 0.5) * scale
    radius = 6
    colour = _POSITIVE if click.positive else _NEGATIVE
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, fill=colour, outline=(255, 255, 255), width=2)
