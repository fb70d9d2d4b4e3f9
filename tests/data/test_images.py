"""Reading PNG, JPEG and TIFF: pixels, scale, and one clear sentence for bad files."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segmoe.data.images import as_uint8_image, image_size, read_image
from napari_segmoe.errors import ImageReadError


@pytest.fixture
def colours(rng):
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_png_pixels_come_back_unchanged(tmp_path, colours):
    path = save(tmp_path / "a.png", colours)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, colours)
    assert image.spacing_um is None
    assert image_size(path) == (20, 30)


def test_content_counts_not_the_ending(tmp_path, colours):
    path = save(tmp_path / "a.png", colours).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path).pixels, colours)


def test_palette_becomes_its_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode="L").convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    assert pixels[0, 1].tolist() == [200, 100, 50]


def test_alpha_is_put_over_black_and_said(tmp_path):
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[..., 3] = 51  # a fifth
    image = read_image(save(tmp_path / "a.png", pixels))
    assert (image.pixels == 40).all()
    assert any("over black" in note for note in image.notes)


def test_opaque_alpha_is_dropped_and_said(tmp_path, colours):
    opaque = np.dstack([colours, np.full((20, 30), 255, np.uint8)])
    image = read_image(save(tmp_path / "a.png", opaque))
    np.testing.assert_array_equal(image.pixels, colours)
    assert any("alpha" in note for note in image.notes)


def test_exif_orientation_turns_the_image(tmp_path):
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, 16:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.jpg", pixels, exif=exif, quality=95)
    image = read_image(path)
    assert image.pixels.shape == (32, 16) == image_size(path)
    assert image.pixels[-1, 8] > 200
    assert image.pixels[0, 8] < 50


def test_16_bit_is_scaled_by_a_stated_rule(tmp_path):
    ramp = np.linspace(1000, 5000, 64 * 64).astype(np.uint16).reshape(64, 64)
    tifffile.imwrite(tmp_path / "a.tif", ramp)
    image = read_image(tmp_path / "a.tif")
    assert (image.pixels.min(), image.pixels.max()) == (0, 255)
    assert any("percentiles" in note for note in image.notes)


def test_16_bit_colour_png_keeps_its_range(tmp_path):
    from imagecodecs import png_encode

    pixels = np.full((8, 8, 3), 300, np.uint16)
    pixels[:, 4:] = 600
    (tmp_path / "a.png").write_bytes(png_encode(pixels))
    assert set(np.unique(read_image(tmp_path / "a.png").pixels)) == {0, 255}


def test_first_page_of_several_is_shown_and_said(tmp_path, rng):
    pages = rng.integers(0, 255, (3, 8, 9), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pages[0])
    assert image.frame_count == 3
    assert any("3 pages" in note for note in image.notes)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif", frame=2).pixels, pages[2]
    )
    with pytest.raises(ImageReadError, match="3 pages"):
        read_image(tmp_path / "a.tif", frame=3)


def test_white_is_zero_tiff_is_turned_round(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.full((4, 4), 5, np.uint8), photometric="miniswhite"
    )
    assert (read_image(tmp_path / "a.tif").pixels == 250).all()


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_printing_resolutions_are_no_spacing(tmp_path, dpi):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.ones((4, 4), np.uint8),
        resolution=(dpi, dpi),
        resolutionunit=2,
    )
    assert read_image(tmp_path / "a.tif").spacing_um is None


def test_measured_resolution_is_the_spacing(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.ones((4, 4), np.uint8),
        resolution=(20_000, 10_000),  # x, y a centimetre
        resolutionunit=3,
    )
    assert read_image(tmp_path / "a.tif").spacing_um == pytest.approx((1.0, 0.5))


def test_imagej_and_ome_spacing(tmp_path):
    pixels = np.ones((4, 4), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        imagej=True,
        resolution=(4, 2),
        metadata={"unit": "um"},
    )
    assert read_image(tmp_path / "a.tif").spacing_um == pytest.approx((0.5, 0.25))
    tifffile.imwrite(
        tmp_path / "b.ome.tif",
        pixels,
        metadata={
            "axes": "YX",
            "PhysicalSizeY": 2.0,
            "PhysicalSizeYUnit": "mm",
            "PhysicalSizeX": 3.0,
        },
    )
    assert read_image(tmp_path / "b.ome.tif").spacing_um == pytest.approx((2000.0, 3.0))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_cut_short_files_are_refused(tmp_path, rng, name):
    pixels = rng.integers(0, 255, (64, 64), dtype=np.uint8)
    path = tmp_path / name
    if name.endswith("tif"):
        tifffile.imwrite(path, pixels)
    else:
        save(path, pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageReadError, match="cut short"):
        read_image(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture at all")
    with pytest.raises(ImageReadError, match="expected PNG"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    with pytest.raises(ImageReadError, match="empty"):
        read_image(tmp_path / "b.png")
    with pytest.raises(ImageReadError, match="no file"):
        read_image(tmp_path / "c.png")
    with pytest.raises(ImageReadError, match="folder"):
        read_image(tmp_path)


def test_a_30000_px_wide_image_is_a_slide(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((2, 30_000), np.uint8))
    with pytest.raises(ImageReadError, match="slide"):
        read_image(path)


def test_nan_is_refused_with_its_count(tmp_path):
    pixels = np.ones((4, 4), np.float32)
    pixels[0, :3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(ImageReadError, match="3 of 16 values are NaN"):
        read_image(tmp_path / "a.tif")


def test_one_pixel_and_all_black_are_legal(tmp_path):
    image = read_image(save(tmp_path / "a.png", np.zeros((1, 1), np.uint8)))
    assert image.pixels.shape == (1, 1)
    assert any("black" in note for note in image.notes)


def test_floats_in_0_to_1_are_multiplied():
    pixels = np.array([[0.0, 0.5], [0.25, 0.5]])
    assert as_uint8_image(pixels).tolist() == [[0, 128], [64, 128]]


@pytest.mark.parametrize("dtype", [bool, np.int16, np.int64, np.uint16, np.float16])
def test_number_types_come_to_8_bits(dtype, rng):
    pixels = rng.integers(0, 2, (5, 6)).astype(dtype)
    assert as_uint8_image(pixels).dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 8, 8, 3)), "one plane"),
        (np.zeros((5, 8, 8)), "one plane"),
        (np.zeros((0, 8)), "no pixels"),
        (np.full((2, 2), np.inf), "infinite"),
        (np.zeros((2, 2), complex), "real numbers"),
    ],
)
def test_unusable_arrays_are_refused(array, words):
    with pytest.raises(ImageReadError, match=words):
        as_uint8_image(array)
