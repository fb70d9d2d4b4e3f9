"""The same tissue at 0.25, 0.5 and 1.0 um per pixel gives the same objects."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_segmoe.data.slide_writing import write_pixels
from napari_segmoe.data.slides.opening import open_shared
from napari_segmoe.data.slides.region import region_at
from napari_segmoe.data.slides.resampling import resample
from napari_segmoe.types import Click, Modality

OWN_UM = 0.62  # of the glas images
SIZES_UM = (0.25, 0.5, 1.0)
NAMES = ("train_01", "testA_01", "testA_05")
AREA, IOU = 0.05, 0.85
SMALLEST_UM2 = 500.0  # of objects compared in the automatic mode
LEAST_MATCHED = 0.95


@dataclass(frozen=True)
class Tissue:
    """One image at several pixel sizes, and points in its largest glands.

    ``inner_um`` lies in the largest gland well inside: beyond the border an array is
    mirrored, a slide is glass.
    """

    pixels: dict[float, np.ndarray]
    points_um: tuple[tuple[float, float], ...]
    inner_um: tuple[float, float]


@pytest.fixture(scope="module", params=NAMES)
def tissue(request, glas):
    folder, name = glas, request.param
    own = np.asarray(Image.open(folder / "images" / f"{name}.jpg").convert("RGB"))
    truth = np.asarray(Image.open(folder / "masks" / f"{name}.png"))
    pixels = {}
    for um in SIZES_UM:
        step = um / OWN_UM
        shape = (round(own.shape[0] / step), round(own.shape[1] / step))
        pixels[um] = resample(own, start_yx=(0, 0), step_yx=(step, step), shape=shape)
    sizes = np.bincount(truth.ravel())
    sizes[0] = 0
    largest = np.argsort(-sizes, kind="stable")[:3]
    at_border = truth.copy()
    at_border[40:-40, 40:-40] = 0
    sizes[np.unique(at_border)] = 0
    return Tissue(
        pixels,
        tuple(_middle_um(truth == number) for number in largest),
        _middle_um(truth == sizes.argmax()),
    )


def _middle_um(mask):
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (y + 0.5) * OWN_UM, (x + 0.5) * OWN_UM


def _on_micrometres(values, um, extent_um):
    """Return values over a grid of 1 um, by the nearest pixel."""
    rows, columns = (
        np.minimum(((np.arange(int(length)) + 0.5) / um).astype(int), side - 1)
        for length, side in zip(extent_um, values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def _iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def _extent(tissue):
    height, width = tissue.pixels[1.0].shape[:2]
    return height, width


def _assert_same_clicks(tissue, answers, um=None):
    """Compare the answers to a click of each size; ``um`` where all have one."""
    shown = {
        size: _on_micrometres(one.mask, um or size, _extent(tissue))
        for size, one in answers.items()
    }
    areas = {size: one.objects[0].area_um2 for size, one in answers.items()}
    for size in SIZES_UM[1:]:
        assert areas[size] == pytest.approx(areas[SIZES_UM[0]], rel=AREA)
        assert _iou(shown[size], shown[SIZES_UM[0]]) >= IOU


def _assert_same_objects(tissue, answers, um=None):
    """Compare the objects of each size with the first's; ``um`` where all have one."""
    first = answers[SIZES_UM[0]]
    labels = {
        size: _on_micrometres(one.labels, um or size, _extent(tissue))
        for size, one in answers.items()
    }
    for size in SIZES_UM[1:]:
        areas = {item.id: item.area_um2 for item in answers[size].objects}
        agree = []
        for item in first.objects:
            if item.area_um2 < SMALLEST_UM2:
                continue
            mask = labels[SIZES_UM[0]] == item.id
            number = int(np.bincount(labels[size][mask]).argmax())
            other = labels[size] == number
            same_area = number and abs(areas[number] / item.area_um2 - 1) <= AREA
            agree.append(bool(same_area) and _iou(mask, other) >= IOU)
        assert agree
        assert np.mean(agree) >= LEAST_MATCHED


def _click(point_um, um):
    return Click(point_um[0] / um - 0.5, point_um[1] / um - 0.5)


def test_a_click_on_an_image_of_any_pixel_size(glands, tissue):
    for point in tissue.points_um:
        answers = {}
        for um, pixels in tissue.pixels.items():
            glands.set_image(pixels, (um, um), modality=Modality.HISTOLOGY)
            answers[um] = glands.predict([_click(point, um)])
        _assert_same_clicks(tissue, answers)


def test_everything_in_an_image_of_any_pixel_size(glands, tissue):
    answers = {}
    for um, pixels in tissue.pixels.items():
        glands.set_image(pixels, (um, um), modality=Modality.HISTOLOGY)
        answers[um] = glands.predict()
    _assert_same_objects(tissue, answers)


@pytest.fixture(scope="module")
def slides(tissue, tmp_path_factory):
    """Write the tissue as slides of the three pixel sizes; {um: source}."""
    folder = tmp_path_factory.mktemp("slides")
    return {
        um: open_shared(
            write_pixels(folder / f"{um}.ome.tif", pixels, (um, um), quality=None)
        )
        for um, pixels in tissue.pixels.items()
    }


def _region(source):
    height, width = source.levels[0].shape
    return region_at(
        source,
        (0, 0, height, width),
        spacing_um=1.0,
        slide_spacing_um=source.spacing_um,
    )


def test_a_click_on_a_slide_of_any_pixel_size(glands, tissue, slides):
    for point in tissue.points_um:
        answers = {}
        for um, source in slides.items():
            assert source.spacing_um == pytest.approx((um, um))
            region = _region(source)
            asked = region.from_slide(*(v / um - 0.5 for v in point))
            glands.set_image(region, (1.0, 1.0), modality=Modality.HISTOLOGY)
            answers[um] = glands.predict([Click(*asked)])
        _assert_same_clicks(tissue, answers, um=1.0)


def test_everything_on_a_slide_of_any_pixel_size(glands, tissue, slides):
    answers = {}
    for um, source in slides.items():
        region = _region(source)
        glands.set_image(region, (1.0, 1.0), modality=Modality.HISTOLOGY)
        answers[um] = glands.predict()
    _assert_same_objects(tissue, answers, um=1.0)


def test_a_slide_and_its_image_agree(glands, tissue, slides):
    for um, source in slides.items():
        region, point = _region(source), tissue.inner_um
        glands.set_image(region, (1.0, 1.0), modality=Modality.HISTOLOGY)
        asked = region.from_slide(*(v / um - 0.5 for v in point))
        on_slide = glands.predict([Click(*asked)])
        glands.set_image(tissue.pixels[um], (um, um), modality=Modality.HISTOLOGY)
        on_image = glands.predict([_click(point, um)])
        areas = [
            sum(item.area_um2 for item in one.objects) for one in (on_slide, on_image)
        ]
        assert areas[0] == pytest.approx(areas[1], rel=AREA)
