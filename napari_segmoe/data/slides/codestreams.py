"""Read the size that compressed tiles state, before a decoder believes it.

A damaged tile may claim 65 535 px a side, and decoders make room for them first.
"""

import struct

from napari_segmoe.errors import SlideError

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JPEG_2000_BOX = b"\0\0\0\x0cjP  "
# Start of frame of every kind, that of JPEG-LS too; not DHT, JPG and DAC.
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_MAX_CHANNELS = 4


def check_codestream(data: bytes, shape: tuple[int, int], name: str) -> None:
    """Refuse a compressed tile that is larger than the tiles around it.

    Parameters
    ----------
    data : bytes
        JPEG, JPEG-LS or JPEG 2000; others are not looked at.
    shape : (h, w)
        What the file says of its tiles.
    name : str
        Of the slide.

    Raises
    ------
    SlideError
        If the tile states no readable size, or another one.
    """
    if not data.startswith((_JPEG_START, _JPEG_2000_START, _JPEG_2000_BOX)):
        return
    try:
        height, width, channels = codestream_size(data)
    except (struct.error, ValueError, IndexError) as error:
        raise SlideError(
            f"A tile of {name} is damaged: it states no size. Copy the slide again."
        ) from error
    fits = 0 < height <= shape[0] and 0 < width <= shape[1]
    if not fits or not 0 < channels <= _MAX_CHANNELS:
        raise SlideError(
            f"A tile of {name} is damaged: it states {height} x {width} px and "
            f"{channels} channels, where {shape[0]} x {shape[1]} px are expected. "
            "Copy the slide again."
        )


def codestream_size(data: bytes) -> tuple[int, int, int]:
    """Return (height, width, channels) that a JPEG or JPEG 2000 stream states.

    Raises
    ------
    ValueError, struct.error
        If it states none.
    """
    if data.startswith(_JPEG_START):
        return _jpeg_size(data)
    at = 0 if data.startswith(_JPEG_2000_START) else data.find(_JPEG_2000_START)
    if at < 0:
        raise ValueError("no JPEG 2000 stream")
    return _jpeg_2000_size(data, at + 4)


def _jpeg_size(data: bytes) -> tuple[int, int, int]:
    at = 2
    while True:
        (byte, marker) = struct.unpack_from(">BB", data, at)
        if byte != 0xFF:
            raise ValueError("no marker where one belongs")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        at += 2
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in _FRAME_MARKERS:
            _, _, height, width, channels = struct.unpack_from(">HBHHB", data, at)
            return height, width, channels
        (length,) = struct.unpack_from(">H", data, at)
        if marker in {0xD9, 0xDA} or length < 2:
            raise ValueError("no frame before the pixels")
        at += length


def _jpeg_2000_size(data: bytes, at: int) -> tuple[int, int, int]:
    fields = struct.unpack_from(">HH8IH", data, at)
    _, _, right, bottom, left, top, tile_width, tile_height, *_, channels = fields
    if tile_width == 0 or tile_height == 0:
        raise ValueError("no tiles")
    return bottom - top, right - left, channels
