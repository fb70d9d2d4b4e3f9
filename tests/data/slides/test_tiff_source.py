"""Slides in TIFF files, against tifffile's own values and files of known pixels."""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from napari_segmoe.data.slides import tiff_source
from napari_segmoe.data.slides.colour import to_srgb
from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.data.slides.tiff_source import open_tiff_slide
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import copy_writable, swapped_profile, tissue
from tests.data.slides.made_tiffs import (
    damage,
    outside_is_white,
    pyramid_of,
    write_pages,
    write_subifds,
)

SAMPLES = [
    "CMU-1-Small-Region.svs",
    "TCGA-CR-7395-01A-01-TS1.svs",
    "CMU-1-derived-pyramid.ome.tif",
]
TILED = {"tile": (64, 64), "photometric": "rgb"}


def _whole(source, level=0):
    return source.read(level, (0, 0, *source.levels[level].shape))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_agree_with_tifffile_on_each_level(wsi_samples, name, rng):
    source = open_tiff_slide(wsi_samples / name)
    with tifffile.TiffFile(wsi_samples / name) as tiff:
        own = [level.asarray() for level in tiff.series[0].levels]
    assert [level.shape for level in source.levels] == [o.shape[:2] for o in own]
    assert source.levels[-1].downsample_yx == (2.0 ** (len(own) - 1),) * 2
    for number, pixels in enumerate(own):
        for _ in range(6):
            y0, x0 = (int(rng.integers(0, side - 200)) for side in pixels.shape[:2])
            y1, x1 = y0 + int(rng.integers(1, 200)), x0 + int(rng.integers(1, 200))
            np.testing.assert_array_equal(
                source.read(number, (y0, x0, y1, x1)), pixels[y0:y1, x0:x1]
            )


@pytest.mark.parametrize(
    ("name", "spacing"),
    [(SAMPLES[0], (0.499, 0.499)), (SAMPLES[1], None), (SAMPLES[2], (0.499, 0.499))],
)
def test_spacing_of_the_samples_is_what_they_state(wsi_samples, name, spacing):
    assert open_tiff_slide(wsi_samples / name).spacing_um == spacing


@pytest.mark.parametrize("write", [write_subifds, write_pages])
def test_pyramids_of_both_layouts_have_all_their_levels(tmp_path, write):
    levels = pyramid_of(tissue(401, 518), 3)
    source = open_tiff_slide(write(tmp_path / "a.ome.tif", levels, **TILED))
    assert [level.shape for level in source.levels] == [
        level.shape[:2] for level in levels
    ]
    assert [level.downsample_yx[0] for level in source.levels] == [1, 2, 4]
    assert [level.tile_yx for level in source.levels] == [(64, 64)] * 3
    for number, level in enumerate(levels):
        inside = outside_is_white(
            lambda box, number=number: source.read(number, box), level.shape[:2]
        )
        np.testing.assert_array_equal(inside, level)


def test_levels_of_uneven_steps_in_pages_not_marked_as_reduced(tmp_path):
    pixels = tissue(640, 960)
    levels = [pixels, pixels[::5, ::5], pixels[::40, ::40]]
    path = write_pages(tmp_path / "a.tif", levels, reduced=False, **TILED)
    source = open_tiff_slide(path)
    assert [level.downsample_yx for level in source.levels] == [
        (1, 1),
        (5, 5),
        (40, 40),
    ]
    np.testing.assert_array_equal(_whole(source, 2), levels[2])


def test_the_largest_picture_is_the_slide_never_label_or_macro(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(tissue(500, 600), metadata={"Name": "macro image"}, **TILED)
        tiff.write(tissue(300, 420), metadata={"Name": "scan"}, **TILED)
        tiff.write(tissue(90, 80), metadata={"Name": "Label"}, **TILED)
    source = open_tiff_slide(tmp_path / "a.ome.tif")
    assert [level.shape for level in source.levels] == [(300, 420)]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw", "predictor": True},
        {"compression": "deflate"},
        {"compression": "zstd"},
        {"compression": "lzw", "rowsperstrip": 7, "tile": None},
        {"rowsperstrip": 16, "tile": None},
        {"tile": None},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "jpeg2000", "compressionargs": {"reversible": True}},
        {"compression": "webp", "compressionargs": {"lossless": True}},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "tile": None, "rowsperstrip": 11},
        {"planarconfig": "separate", "compression": "deflate"},
    ],
)
def test_every_lossless_way_to_store_gives_the_same_pixels(tmp_path, options, rng):
    pixels = tissue(203, 331)
    planar = options.get("planarconfig") == "separate"
    written = np.moveaxis(pixels, -1, 0) if planar else pixels
    tifffile.imwrite(tmp_path / "a.tif", written, **(TILED | options))
    source = open_tiff_slide(tmp_path / "a.tif")
    np.testing.assert_array_equal(_whole(source), pixels)
    for _ in range(5):
        y0, x0 = int(rng.integers(0, 150)), int(rng.integers(0, 300))
        read = source.read(0, (y0, x0, y0 + 33, x0 + 21))
        np.testing.assert_array_equal(read, pixels[y0 : y0 + 33, x0 : x0 + 21])


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_tiles_are_what_tifffile_decodes(tmp_path, subsampling):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, tissue(), **TILED, compression="jpeg", subsampling=subsampling
    )
    np.testing.assert_array_equal(_whole(open_tiff_slide(path)), tifffile.imread(path))


def test_aperio_jpeg_2000_of_luma_and_chroma_comes_out_as_rgb(tmp_path):
    flat = np.empty((64, 64, 3), np.uint8)
    flat[:] = (200, 80, 140)
    red, green, blue = (flat[0, 0, n].astype(float) for n in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    ycbcr = [luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402]
    stored = np.broadcast_to(np.rint(ycbcr).astype(np.uint8), (64, 64, 3))
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stored, **TILED, compression=33003, compressionargs={"reversible": True}
    )
    read = _whole(open_tiff_slide(path))
    np.testing.assert_allclose(read.astype(int), flat, atol=2)


def test_grey_and_palette_become_rgb(tmp_path):
    grey = tissue()[..., 0]
    tifffile.imwrite(tmp_path / "g.tif", grey, tile=(64, 64))
    np.testing.assert_array_equal(
        _whole(open_tiff_slide(tmp_path / "g.tif")), np.repeat(grey[..., None], 3, 2)
    )
    tifffile.imwrite(tmp_path / "w.tif", grey, tile=(64, 64), photometric="miniswhite")
    np.testing.assert_array_equal(
        _whole(open_tiff_slide(tmp_path / "w.tif"))[..., 1], 255 - grey
    )
    colours = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "p.tif", grey, tile=(64, 64), photometric="palette",
        colormap=colours * 257,
    )  # fmt: skip
    read = _whole(open_tiff_slide(tmp_path / "p.tif"))
    np.testing.assert_array_equal(read, colours.T[grey])


def test_bilevel_pages_are_black_and_white(tmp_path):
    mask = tissue()[..., 0] > 140
    tifffile.imwrite(tmp_path / "b.tif", mask, rowsperstrip=8, photometric="minisblack")
    read = _whole(open_tiff_slide(tmp_path / "b.tif"))
    np.testing.assert_array_equal(read[..., 2], mask * 255)


def test_16_bits_are_scaled_by_the_bits_in_use_and_it_is_said(tmp_path):
    values = tissue().astype(np.uint16) * 16  # 12 bits are in use
    assert values.max() > 2047
    write_subifds(tmp_path / "a.ome.tif", [values], **TILED)
    tifffile.imwrite(tmp_path / "b.tif", values, **TILED)
    for name in ("a.ome.tif", "b.tif"):
        source = open_tiff_slide(tmp_path / name)
        np.testing.assert_array_equal(
            _whole(source), np.rint(values * (255 / 4095)).astype(np.uint8)
        )
        assert any("4095 to 255" in note for note in source.notes)


def test_the_bits_that_ome_states_are_believed(tmp_path):
    values = np.full((64, 64, 3), 100, np.uint16)
    metadata = {"SignificantBits": 10}
    write_subifds(tmp_path / "a.ome.tif", [values], metadata=metadata, **TILED)
    assert (_whole(open_tiff_slide(tmp_path / "a.ome.tif")) == 25).all()


def test_floats_between_0_and_1_are_multiplied(tmp_path):
    values = (tissue() / 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, **TILED)
    np.testing.assert_array_equal(_whole(open_tiff_slide(tmp_path / "a.tif")), tissue())


def test_transparency_is_put_over_white(tmp_path):
    rgba = np.dstack([tissue(), np.full((300, 420), 255, np.uint8)])
    rgba[:100, :100, 3] = 0
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rgba, **TILED, extrasamples=["unassalpha"])
    read = _whole(open_tiff_slide(path))
    assert (read[:100, :100] == 255).all()
    np.testing.assert_array_equal(read[100:], rgba[100:, :, :3])


def test_ome_with_three_channels_before_the_pixels_is_rgb(tmp_path):
    pixels = tissue()
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.moveaxis(pixels, -1, 0), metadata={"axes": "CYX"}, tile=(64, 64),
        photometric="minisblack",
    )  # fmt: skip
    np.testing.assert_array_equal(_whole(open_tiff_slide(path)), pixels)


def test_of_a_stack_the_middle_plane_is_shown_and_it_is_said(tmp_path):
    stack = np.stack([tissue(seed=n) for n in range(5)])
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYXS"}, **TILED)
    source = open_tiff_slide(path)
    np.testing.assert_array_equal(_whole(source), stack[2])
    assert any("5 planes along depth; number 3" in note for note in source.notes)


def test_tiles_that_were_left_out_are_white(tmp_path):
    def tiles():
        yield np.full((64, 64, 3), 7, np.uint8)
        yield None

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tiles(), shape=(64, 128, 3), dtype=np.uint8, **TILED)
    read = _whole(open_tiff_slide(path))
    assert (read[:, :64] == 7).all()
    assert (read[:, 64:] == 255).all()


def test_colours_follow_the_profile(tmp_path):
    pixels, profile = tissue(), swapped_profile()
    tifffile.imwrite(tmp_path / "a.tif", pixels, **TILED, iccprofile=profile)
    read = _whole(open_tiff_slide(tmp_path / "a.tif"))
    np.testing.assert_array_equal(read, to_srgb(pixels, profile))
    assert np.abs(read.astype(int) - pixels).max() > 20


def test_pixel_height_and_width_are_kept_apart(tmp_path):
    metadata = {
        "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 500.0, "PhysicalSizeYUnit": "nm",
    }  # fmt: skip
    path = write_subifds(tmp_path / "a.ome.tif", [tissue()], metadata=metadata, **TILED)
    assert open_tiff_slide(path).spacing_um == pytest.approx((0.5, 0.25))
    tifffile.imwrite(
        tmp_path / "b.tif", tissue(), **TILED, resolution=(20_000, 40_000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    assert open_tiff_slide(tmp_path / "b.tif").spacing_um == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resolution": (96, 96), "resolutionunit": "INCH"},
        {"resolution": (20, 20), "resolutionunit": "CENTIMETER"},
        {"resolution": (20_000, 20_000), "resolutionunit": "NONE"},
        {"resolution": (40_000, 5_000), "resolutionunit": "CENTIMETER"},
        {"resolution": (5_000_000, 5_000_000), "resolutionunit": "CENTIMETER"},
    ],
)
def test_missing_and_absurd_resolutions_are_no_spacing(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", tissue(), **TILED, **options)
    source = open_tiff_slide(tmp_path / "a.tif")
    assert source.spacing_um is None
    assert any("pixel" in note for note in source.notes)


def test_threads_read_what_one_thread_reads(wsi_samples, rng):
    source = open_tiff_slide(wsi_samples / SAMPLES[0])
    corners = [(int(y), int(x)) for y, x in rng.integers(0, 1900, (24, 2))]
    boxes = [(y, x, y + 250, x + 200) for y, x in corners]
    alone = [open_tiff_slide(source.path).read(0, box) for box in boxes]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda box: source.read(0, box), boxes))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_tiles_that_touch_the_box_are_decoded(tmp_path, monkeypatch):
    path = write_pages(tmp_path / "a.tif", [tissue(640, 640)], **TILED)
    source = open_tiff_slide(path)
    decoded = []
    original = tiff_source.TileReader.tile

    def counted(self, level, row, column):
        decoded.append((row, column))
        return original(self, level, row, column)

    monkeypatch.setattr(tiff_source.TileReader, "tile", counted)
    source.read(0, (100, 130, 150, 200))
    assert sorted(decoded) == [(1, 2), (1, 3), (2, 2), (2, 3)]
    source.read(0, (100, 130, 150, 200))
    assert len(decoded) == 4  # kept


def test_a_cut_file_is_noticed_at_opening(wsi_samples, tmp_path):
    for name in SAMPLES[1:]:
        data = (wsi_samples / name).read_bytes()
        path = tmp_path / name
        path.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(SlideError, match=r"cut short|damaged"):
            open_tiff_slide(path)


def test_a_damaged_tile_names_level_and_box_and_costs_only_itself(
    wsi_samples, tmp_path
):
    path = copy_writable(wsi_samples / SAMPLES[2], tmp_path / SAMPLES[2])
    with tifffile.TiffFile(path) as tiff:
        page = tiff.series[0].levels[1].keyframe
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    damage(path, offset, b"\0" * count)
    source = open_tiff_slide(path)
    with pytest.raises(SlideError, match=r"level 1, box \[10, 10, 30, 30\]"):
        source.read(1, (10, 10, 30, 30))
    box = (600, 600, 640, 650)
    expected = open_tiff_slide(wsi_samples / SAMPLES[2]).read(1, box)
    np.testing.assert_array_equal(source.read(1, box), expected)


def test_a_tile_that_claims_to_be_huge_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tissue(64, 64), **TILED, compression="jpeg")
    data = path.read_bytes()
    frame = data.index(b"\xff\xc0")
    damage(path, frame + 5, struct.pack(">HH", 65_000, 65_000))
    with pytest.raises(SlideError, match="65000 x 65000 px"):
        _whole(open_tiff_slide(path))


def test_a_missing_codec_is_named_with_its_cure(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, tissue(), **TILED, compression="jpeg")

    class Nothing(dict):
        def __getitem__(self, key):
            raise KeyError(f"{key} requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", Nothing())
    with pytest.raises(
        SlideError, match=r"JPEG, and no decoder.*pip install imagecodecs"
    ):
        open_tiff_slide(path)


def test_colours_that_cannot_be_shown_rightly_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    cmyk = np.dstack([tissue(), tissue()[..., 0]])
    tifffile.imwrite(path, cmyk, tile=(64, 64), photometric="separated")
    with pytest.raises(SlideError, match="SEPARATED; expected grey, palette or RGB"):
        open_tiff_slide(path)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0" + b"\xff" * 40])
def test_no_tiff_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.tif"):
        open_tiff_slide(path)
    with pytest.raises(SlideError, match="not there"):
        open_tiff_slide(tmp_path / "b.tif")


def test_an_ome_tiff_opens_with_all_levels_through_open_slide(wsi_samples):
    source = open_slide(wsi_samples / SAMPLES[2])
    assert source.backend.startswith("tifffile")
    assert len(source.levels) == 3
