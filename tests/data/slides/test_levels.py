"""How levels lie on each other, and which pixel sizes are believed."""

import pytest

from napari_segmoe.data.slides.levels import downsample_yx, sensible_spacing


@pytest.mark.parametrize(
    ("base", "shape", "expected"),
    [
        ((3567, 4443), (1783, 2221), (2, 2)),  # cut
        ((3567, 4443), (1784, 2222), (2, 2)),  # filled up
        ((100_000, 80_001), (3125, 2500), (32, 32)),
        ((900, 1200), (300, 400), (3, 3)),
        ((100, 130), (3, 4), (32, 32)),
        ((64, 64), (1, 1), (64, 64)),
        ((1000, 1000), (1000, 1000), (1, 1)),
        ((1000, 1000), (600, 600), (1000 / 600, 1000 / 600)),
        ((1000, 2000), (500, 500), (2, 4)),
    ],
)
def test_steps_are_whole_where_that_explains_the_sizes(base, shape, expected):
    assert downsample_yx(base, shape) == pytest.approx(expected)


@pytest.mark.parametrize(
    "spacing", [(0.25, 0.25), (0.5, 1.9), (0.01, 0.01), (100, 100)]
)
def test_what_a_scanner_can_have_is_believed(spacing):
    assert sensible_spacing(spacing) == (spacing, ())


@pytest.mark.parametrize(
    "spacing",
    [
        (0.001, 0.001), (101, 101), (0, 0.5), (0.5, -0.5), (0.5, float("nan")),
        (float("inf"), 0.5), (0.25, 1.01),
    ],
)  # fmt: skip
def test_what_no_scanner_has_is_unknown_and_said(spacing):
    found, notes = sensible_spacing(spacing)
    assert found is None
    assert "taken as unknown" in notes[0]


def test_a_missing_pixel_size_is_said():
    assert sensible_spacing(None) == (None, ("The file states no pixel size.",))
