"""Damaged chunks of OME-Zarr slides never reach their decoder."""

import pytest

from napari_segmoe.data.slides.opening import open_slide
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import tissue, write_zarr


@pytest.fixture
def slide(tmp_path):
    write_zarr(tmp_path / "four.zarr", tissue(700, 900), version="0.4", chunk=256)
    return tmp_path / "four.zarr"


def read(slide):
    return open_slide(slide).read(0, (0, 0, 200, 200))


def test_a_whole_chunk_is_read(slide):
    assert read(slide).shape == (200, 200, 3)


def test_a_cut_chunk_is_refused(slide):
    chunk = slide / "0" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1000])
    with pytest.raises(SlideError, match=r"0\.0\.0 .* cut short"):
        read(slide)


def test_a_chunk_that_states_another_length_is_refused(slide):
    chunk = slide / "0" / "0.0.0"
    content = bytearray(chunk.read_bytes())
    content[7] ^= 0x40  # a gigabyte
    chunk.write_bytes(content)
    with pytest.raises(SlideError, match="damaged"):
        read(slide)


def test_other_chunks_are_still_read(slide):
    (slide / "0" / "0.0.0").write_bytes(b"short")
    assert open_slide(slide).read(0, (300, 300, 400, 400)).shape == (100, 100, 3)
