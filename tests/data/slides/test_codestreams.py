"""The size that a compressed tile states is read, and believed only where it fits."""

import struct

import imagecodecs
import numpy as np
import pytest

from napari_segmoe.data.slides.codestreams import check_codestream, codestream_size
from napari_segmoe.errors import SlideError
from tests.data.slides.made_slides import tissue

PIXELS = tissue(120, 200)
STREAMS = {
    "jpeg": imagecodecs.jpeg8_encode(PIXELS),
    "jpeg-ls": imagecodecs.jpegls_encode(PIXELS),
    "jp2 in its box": imagecodecs.jpeg2k_encode(PIXELS, codecformat="jp2"),
    "jpeg 2000 alone": imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k"),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_the_stated_size_is_that_of_the_pixels(kind):
    assert codestream_size(STREAMS[kind]) == (120, 200, 3)
    check_codestream(STREAMS[kind], (120, 200), "a slide")
    check_codestream(STREAMS[kind], (128, 256), "a slide")


@pytest.mark.parametrize("kind", STREAMS)
def test_a_larger_one_is_refused(kind):
    with pytest.raises(SlideError, match="states 120 x 200 px"):
        check_codestream(STREAMS[kind], (119, 256), "a slide")


def test_grey_streams_have_one_channel():
    assert codestream_size(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(PIXELS[..., 0]))
    ) == (120, 200, 1)


def test_thousands_of_channels_are_refused():
    stream = bytearray(STREAMS["jpeg 2000 alone"])
    struct.pack_into(">H", stream, 40, 16_000)
    with pytest.raises(SlideError, match="16000 channels"):
        check_codestream(bytes(stream), (120, 200), "a slide")


def test_filling_bytes_and_segments_before_the_frame_are_passed():
    stream = STREAMS["jpeg"]
    comment = b"\xff\xfe" + struct.pack(">H", 12) + b"\xff\xc0 no one "
    longer = stream[:2] + b"\xff\xff" + comment + stream[2:]
    assert codestream_size(longer) == (120, 200, 3)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("length", [3, 6, 12, 20])
def test_a_stream_that_ends_before_its_size_is_one_sentence(kind, length):
    start = STREAMS[kind][:length]
    if kind == "jp2 in its box" and length < 12:
        check_codestream(start, (120, 200), "a slide")  # not known by its start yet
        return
    if kind == "jpeg 2000 alone" and length < 4:
        return
    with pytest.raises(SlideError, match="states no size"):
        check_codestream(start, (120, 200), "a slide")


def test_cuts_and_flips_never_raise_another_class():
    rng = np.random.default_rng(5)
    for stream in STREAMS.values():
        for _ in range(300):
            damaged = bytearray(stream[: int(rng.integers(2, 400))])
            for place in rng.integers(0, len(damaged), 3):
                damaged[place] = int(rng.integers(256))
            try:
                check_codestream(bytes(damaged), (120, 200), "a slide")
            except SlideError as error:
                assert "Copy the slide again" in str(error)  # noqa: PT017


def test_other_streams_are_left_to_their_decoder():
    check_codestream(b"\x00\x01\x02", (1, 1), "a slide")
    check_codestream(b"", (1, 1), "a slide")
