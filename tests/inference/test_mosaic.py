"""Images laid side by side on one slide are segmented as each by itself.

Windows that lie elsewhere, tiles that are read and joined, and objects that are
stitched across them must not cost accuracy. Each image by itself is read from the
same slide with the same glass around it: whether a gland that the image's border
cuts is seen beside glass is another question, and the same for both.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.folder import LeakySplitWarning, read_data_folder
from napari_segmoe.data.slide_writing import write_pixels
from napari_segmoe.data.slides.opening import open_shared
from napari_segmoe.data.slides.region import region_at
from napari_segmoe.training.object_metrics import score_objects
from napari_segmoe.types import Modality

GAP_PX, OWN_UM = 64, 0.62
SHAPE = (522, 775)


@dataclass(frozen=True)
class Mosaic:
    """A slide of several images; places are their first pixels."""

    source: object
    truth: np.ndarray
    places: tuple[tuple[int, int], ...]


def _lay_out(glas, count, columns, path):
    with pytest.warns(LeakySplitWarning):
        folder = read_data_folder(glas)
    items = [
        item
        for item in folder.select("test")
        if Image.open(item.image_path).size == SHAPE[::-1]
    ]
    step = max(len(items) // count, 1)
    chosen = items[::step][:count]
    rows = -(-len(chosen) // columns)
    size = tuple(
        n * (side + GAP_PX) + GAP_PX
        for n, side in zip((rows, columns), SHAPE, strict=True)
    )
    pixels = np.full((*size, 3), 255, np.uint8)
    truth, places = np.zeros(size, np.int32), []
    for number, item in enumerate(chosen):
        y, x = (
            GAP_PX + at * (side + GAP_PX)
            for at, side in zip(divmod(number, columns), SHAPE, strict=True)
        )
        part = (slice(y, y + SHAPE[0]), slice(x, x + SHAPE[1]))
        pixels[part] = np.asarray(Image.open(item.image_path).convert("RGB"))
        mask = np.asarray(Image.open(item.mask_path)).astype(np.int32)
        truth[part] = np.where(mask > 0, mask + truth.max(), 0)
        places.append((y, x))
    write_pixels(path, pixels, (OWN_UM, OWN_UM), quality=None)
    return Mosaic(open_shared(path), truth, tuple(places))


def _found(predictor, source, box):
    """Return object ids over a box of the slide, at its full resolution."""
    region = region_at(source, box, spacing_um=1.0, slide_spacing_um=source.spacing_um)
    predictor.set_image(region, (1.0, 1.0), modality=Modality.HISTOLOGY)
    labels = predictor.predict().labels
    rows, columns = (
        np.minimum(((np.arange(high - low) + 0.5) / step).astype(int), side - 1)
        for low, high, step, side in zip(
            box[:2], box[2:], region.step_yx, labels.shape, strict=True
        )
    )
    return labels[rows[:, None], columns].astype(np.int32)


def _scores(predictor, mosaic):
    """Return the object F1 of each image by itself, and of the whole slide."""
    inside = np.zeros(mosaic.truth.shape, bool)
    apart = np.zeros(mosaic.truth.shape, np.int32)
    for y, x in mosaic.places:
        box = (
            y - GAP_PX,
            x - GAP_PX,
            y + SHAPE[0] + GAP_PX,
            x + SHAPE[1] + GAP_PX,
        )
        part = (slice(y, y + SHAPE[0]), slice(x, x + SHAPE[1]))
        found = _found(predictor, mosaic.source, box)[GAP_PX:-GAP_PX, GAP_PX:-GAP_PX]
        apart[part] = np.where(found > 0, found + apart.max(), 0)
        inside[part] = True
    together = _found(predictor, mosaic.source, (0, 0, *mosaic.truth.shape))
    together[~inside] = 0
    return (
        score_objects(apart, mosaic.truth).f1,
        score_objects(together, mosaic.truth).f1,
    )


def test_a_mosaic_of_images_is_segmented_as_each_by_itself(glands, glas, tmp_path):
    mosaic = _lay_out(glas, 24, 6, tmp_path / "mosaic.ome.tif")
    apart, together = _scores(glands, mosaic)
    assert apart > 0.5
    assert together == pytest.approx(apart, abs=0.01)


@pytest.mark.slow
def test_a_mosaic_of_all_test_images(glands, glas, tmp_path):
    mosaic = _lay_out(glas, 60, 8, tmp_path / "mosaic.ome.tif")
    apart, together = _scores(glands, mosaic)
    assert apart > 0.5
    assert together == pytest.approx(apart, abs=0.01)
