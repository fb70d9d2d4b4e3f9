"""OME-Zarr images: versions, axes, scales, number types, damage."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_segmoe.data.slides.opening import is_slide, open_slide
from napari_segmoe.data.slides.zarr_plane import ZarrPlane
from napari_segmoe.data.slides.zarr_source import open_zarr_slide
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import tissue, write_zarr


def whole(source, level=0):
    return source.read(level, (0, 0, *source.levels[level].shape))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "tczyx", "yxc", "zyxc", "cxy"])
def test_both_versions_and_any_order_of_axes_give_the_pixels(tmp_path, version, axes):
    levels = write_zarr(tmp_path / "a.zarr", tissue(), version=version, axes=axes)
    source = open_slide(tmp_path / "a.zarr")
    assert source.backend.startswith("zarr 3")
    assert [level.shape for level in source.levels] == [(300, 420), (150, 210)]
    assert [level.downsample_yx for level in source.levels] == [(1, 1), (2, 2)]
    assert source.spacing_um == (0.5, 0.5)
    for number, expected in enumerate(levels):
        assert np.array_equal(whole(source, number), expected)
    assert source.notes == ()


def test_a_box_beyond_the_image_is_background(tmp_path):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue())
    found = open_zarr_slide(tmp_path / "a.zarr").read(0, (-10, 400, 20, 440))
    assert np.array_equal(found[10:, :20], pixels[:20, 400:])
    assert (found[:10] == 255).all()
    assert (found[:, 20:] == 255).all()


@pytest.mark.parametrize("axes", ["yx", "cyx"])
def test_one_channel_is_shown_grey(tmp_path, axes):
    write_zarr(tmp_path / "a.zarr", tissue()[..., :1], axes=axes)
    found = whole(open_zarr_slide(tmp_path / "a.zarr"))
    assert np.array_equal(found, np.repeat(tissue()[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("unit", "scale", "um"),
    [
        ("nanometer", 250, 0.25), ("millimeter", 0.001, 1.0), ("micrometer", 0.5, 0.5),
        ("meter", 5e-7, 0.5),
    ],
)  # fmt: skip
def test_units_become_micrometres(tmp_path, unit, scale, um):
    write_zarr(tmp_path / "a.zarr", tissue(), unit=unit, scale=scale)
    assert open_zarr_slide(tmp_path / "a.zarr").spacing_um == pytest.approx((um, um))


@pytest.mark.parametrize(
    ("unit", "scale"), [(None, 0.5), ("parsec", 0.5), ("meter", 1)]
)
def test_no_unit_and_an_absurd_scale_are_said_and_not_guessed(tmp_path, unit, scale):
    write_zarr(tmp_path / "a.zarr", tissue(), unit=unit, scale=scale)
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert source.spacing_um is None
    assert "pixel" in source.notes[0]


def test_a_whole_image_scale_is_applied_after_that_of_the_level(tmp_path):
    write_zarr(tmp_path / "a.zarr", tissue(), scale=1.0)
    file = tmp_path / "a.zarr" / "zarr.json"
    content = json.loads(file.read_text())
    multiscale = content["attributes"]["ome"]["multiscales"][0]
    scale = {"type": "scale", "scale": [1, 0.4, 0.3]}
    multiscale["coordinateTransformations"] = [scale]
    file.write_text(json.dumps(content))
    assert open_zarr_slide(file.parent).spacing_um == pytest.approx((0.4, 0.3))


@pytest.mark.parametrize("shift", [lambda _: 7.0, lambda n: 0.25 * (2**n - 1)])
def test_levels_that_lie_on_each_other_are_kept_wherever_they_begin(tmp_path, shift):
    write_zarr(tmp_path / "a.zarr", tissue(), translation=shift)
    assert len(open_zarr_slide(tmp_path / "a.zarr").levels) == 2


def test_a_level_that_lies_elsewhere_is_left_out_and_said(tmp_path):
    write_zarr(tmp_path / "a.zarr", tissue(), translation=lambda n: 40.0 * n)
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert len(source.levels) == 1
    assert "1 of 2 levels" in source.notes[0]


def test_sixteen_bits_use_the_stated_window(tmp_path):
    pixels = tissue().astype(np.uint16) * 100
    window = {"start": 0, "end": 25_500}
    omero = {"channels": [{"color": c, "window": window} for c in "RGB"]}
    write_zarr(tmp_path / "a.zarr", pixels, omero=omero)
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert np.array_equal(whole(source), tissue())
    assert "display range" in source.notes[0]


def test_sixteen_bits_without_window_look_alike_in_every_box_and_level(tmp_path):
    pixels = tissue().astype(np.uint16) * 100 + 3000
    write_zarr(tmp_path / "a.zarr", pixels)
    source = open_zarr_slide(tmp_path / "a.zarr")
    full = whole(source)
    assert np.array_equal(source.read(0, (50, 60, 90, 200)), full[50:90, 60:200])
    assert full.min() <= 10
    assert full.max() >= 245
    assert abs(full.mean() - whole(source, 1).mean()) < 1
    assert "scaled to 8 bits" in source.notes[0]


def test_channels_named_by_colour_come_out_as_red_green_blue(tmp_path):
    omero = {"channels": [{"color": c} for c in ("0000FF", "00FF00", "FF0000")]}
    write_zarr(tmp_path / "a.zarr", tissue()[..., ::-1], omero=omero)
    assert np.array_equal(whole(open_zarr_slide(tmp_path / "a.zarr")), tissue())


def test_of_many_channels_and_planes_the_first_is_shown_and_said(tmp_path):
    import zarr

    pixels = np.dstack([tissue(), tissue(seed=4)])[..., :5]
    write_zarr(tmp_path / "a.zarr", pixels, axes="cyx", levels=1)
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert np.array_equal(whole(source)[..., 1], pixels[..., 0])
    assert "first is shown" in " ".join(source.notes)
    write_zarr(tmp_path / "z.zarr", tissue(), axes="zcyx", levels=1)
    group = zarr.open_group(tmp_path / "z.zarr", mode="r+")
    del group["0"]
    stack = group.create_array(
        "0", shape=(4, 3, 300, 420), chunks=(1, 3, 64, 64), dtype="u1"
    )
    stack[0] = tissue().transpose(2, 0, 1)
    source = open_zarr_slide(tmp_path / "z.zarr")
    assert np.array_equal(whole(source), tissue())
    assert source.notes == ("Of 4 planes along z, number 0 is shown.",)


def test_chunks_not_stored_have_the_fill_value(tmp_path):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue(), fill_value=200)
    (tmp_path / "a.zarr" / "0" / "c" / "0" / "1" / "2").unlink()
    found = whole(open_zarr_slide(tmp_path / "a.zarr"))
    assert (found[64:128, 128:192] == 200).all()
    assert np.array_equal(found[128:], pixels[128:])


def test_only_chunks_that_a_box_touches_are_read(tmp_path):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue(600, 900), chunk=256)
    damaged = tmp_path / "a.zarr" / "0" / "c" / "0" / "2" / "3"
    damaged.write_bytes(b"nothing that zstd wrote")
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert np.array_equal(source.read(0, (0, 0, 512, 768)), pixels[:512, :768])
    with pytest.raises(SlideError, match="cannot be read at level 0"):
        source.read(0, (500, 760, 520, 780))


def test_sharded_arrays_are_read(tmp_path):
    (pixels, *_) = write_zarr(
        tmp_path / "a.zarr", tissue(256, 256), shards=(3, 128, 128)
    )
    source = open_zarr_slide(tmp_path / "a.zarr")
    assert np.array_equal(whole(source), pixels)


def test_threads_read_the_same(tmp_path):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue(), version="0.4")
    source = open_zarr_slide(tmp_path / "a.zarr")
    boxes = [(y, x, y + 90, x + 70) for y in (0, 77, 200) for x in (3, 150, 340)] * 4
    with ThreadPoolExecutor(4) as pool:
        for box, found in zip(
            boxes, pool.map(lambda b: source.read(0, b), boxes), strict=True
        ):
            y0, x0, y1, x1 = box
            assert np.array_equal(found[: 300 - y0], pixels[y0:y1, x0:x1])


def test_labels_and_plates_are_no_slides(tmp_path):
    labels = tmp_path / "a.zarr" / "labels" / "nuclei"
    write_zarr(tmp_path / "a.zarr", tissue())
    write_zarr(labels, tissue()[..., :1], axes="yx", version="0.4")
    attributes = json.loads((labels / ".zattrs").read_text())
    (labels / ".zattrs").write_text(json.dumps(attributes | {"image-label": {}}))
    assert is_slide(tmp_path / "a.zarr")
    assert not is_slide(labels)
    with pytest.raises(SlideError, match="labels and plates are not opened"):
        open_zarr_slide(labels)


def test_a_level_or_metadata_file_stands_for_the_image(tmp_path):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue())
    for place in ("1", "zarr.json", "0"):
        assert is_slide(tmp_path / "a.zarr" / place)
        assert np.array_equal(whole(open_slide(tmp_path / "a.zarr" / place)), pixels)


def test_what_bioformats2raw_writes_opens_its_first_image(tmp_path):
    outer = tmp_path / "b.zarr"
    outer.mkdir()
    (outer / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    (outer / ".zgroup").write_text('{"zarr_format": 2}')
    (pixels, *_) = write_zarr(outer / "0", tissue(), version="0.4")
    assert is_slide(outer)
    assert np.array_equal(whole(open_slide(outer)), pixels)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"datasets"', '"dataset"'),
        lambda text: re.sub(r'"path": ?"0"', '"path": "7"', text),
        lambda text: text.replace("0.5", '"half"'),
        lambda text: re.sub(r'"name": ?"y"', '"name": "q"', text),
    ],
)  # fmt: skip
def test_damaged_metadata_are_one_sentence(tmp_path, damage):
    write_zarr(tmp_path / "a.zarr", tissue(), version="0.4")
    file = tmp_path / "a.zarr" / ".zattrs"
    changed = damage(file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    with pytest.raises(SlideError) as error:
        open_slide(tmp_path / "a.zarr")
    assert "\n" not in str(error.value)


def test_one_giant_chunk_is_refused_before_it_is_read(tmp_path):
    write_zarr(tmp_path / "a.zarr", tissue(), version="0.4")
    file = tmp_path / "a.zarr" / "0" / ".zarray"
    array = json.loads(file.read_text())
    array.update(shape=[3, 90_000, 80_000], chunks=[3, 90_000, 80_000])
    file.write_text(json.dumps(array))
    with pytest.raises(SlideError, match="too large to be read one at a time"):
        open_slide(tmp_path / "a.zarr")


def test_a_folder_deleted_while_open_is_an_error_not_fill(tmp_path):
    write_zarr(tmp_path / "a.zarr", tissue())
    source = open_zarr_slide(tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(SlideError, match="no longer there"):
        whole(source)


def test_metadata_hold_no_names(tmp_path):
    write_zarr(tmp_path / "Anna Muster 1950.zarr", tissue())
    source = open_zarr_slide(tmp_path / "Anna Muster 1950.zarr")
    assert "Anna" not in f"{source.metadata} {source.notes}"


def test_a_box_is_read_in_one_go_and_kept(tmp_path, monkeypatch):
    (pixels, *_) = write_zarr(tmp_path / "a.zarr", tissue(700, 900), chunk=256)
    source = open_zarr_slide(tmp_path / "a.zarr")
    reads = []
    real = ZarrPlane.read
    monkeypatch.setattr(
        ZarrPlane, "read", lambda self, *box: reads.append(box) or real(self, *box)
    )
    assert np.array_equal(whole(source), pixels)
    assert reads == [(0, 0, 700, 900)]
    assert np.array_equal(source.read(0, (10, 250, 600, 800)), pixels[10:600, 250:800])
    source.read(0, (900, 0, 950, 900))
    assert len(reads) == 1
