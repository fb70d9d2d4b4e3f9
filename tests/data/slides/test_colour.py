"""Colours come out in sRGB, whatever profile a slide embeds."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ImageCms

from napari_segmoe.data.slides.colour import is_srgb, to_srgb, usable_profile
from tests.data.slides.made_slides import swapped_profile, tissue


@pytest.fixture
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def lab() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_exchanged_primaries_exchange_the_colours():
    pixels = np.array([[[200, 30, 90], [0, 255, 0]]], np.uint8)
    converted = to_srgb(pixels, swapped_profile())
    assert np.abs(converted.astype(int) - pixels[..., [1, 0, 2]]).max() <= 2


def test_a_profile_of_srgb_is_skipped(srgb):
    pixels = tissue(20, 30)
    assert is_srgb(srgb)
    assert to_srgb(pixels, srgb) is pixels
    assert usable_profile(srgb) == (None, ())


def test_no_profile_changes_nothing_and_says_nothing():
    pixels = tissue(20, 30)
    assert to_srgb(pixels, None) is pixels
    assert usable_profile(None) == usable_profile(b"") == (None, ())


@pytest.mark.parametrize("broken", [b"not a profile" * 40, "cut", "lab"])
def test_a_broken_profile_leaves_colours_with_a_note(broken, srgb, lab):
    profile = {"cut": srgb[:200], "lab": lab}.get(broken, broken)
    pixels = tissue(20, 30)
    assert np.array_equal(to_srgb(pixels, profile), pixels)
    usable, notes = usable_profile(profile)
    assert usable is None
    assert len(notes) == 1
    assert "as stored" in notes[0]


def test_the_input_is_left_as_it_was_and_no_pixels_are_allowed():
    pixels = tissue(20, 30)
    before = pixels.copy()
    converted = to_srgb(pixels, swapped_profile())
    assert np.array_equal(pixels, before)
    assert converted.flags.writeable
    assert to_srgb(pixels[:0], swapped_profile()).shape == (0, 30, 3)


def test_a_part_of_an_array_gives_the_part_of_the_result():
    pixels, profile = tissue(40, 50), swapped_profile()
    whole = to_srgb(pixels, profile)
    assert np.array_equal(to_srgb(pixels[5:30:2, 10:40], profile), whole[5:30:2, 10:40])


def test_threads_get_the_same_colours():
    profile = swapped_profile()
    pictures = [tissue(120, 130, seed=seed) for seed in range(8)]
    expected = [to_srgb(picture, profile) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: to_srgb(p, profile), pictures * 5))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 5, strict=True))
