"""Decode one frame of a DICOM file to grey or RGB, with the decoders at hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    convert_color_space,
)
from pydicom.pixels.utils import pixel_array

from napari_segmoe.data.intensity import convert_to_uint8
from napari_segmoe.errors import ImageReadError

_JPEG = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
_JPEG_LOSSLESS = {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
_JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
_JPEG_2000 = {
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
}  # fmt: skip


def decode_frame(
    dataset: Any, frame: int, count: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return one frame as (H, W) or (H, W, 3) uint8, and what was assumed.

    Raises
    ------
    ImageReadError
        If no decoder knows the file's transfer syntax, or it is not a picture.
    """
    if _has_decoder(dataset):
        stored: NDArray = pixel_array(dataset, index=frame)
    else:
        stored = decode_with_imagecodecs(dataset, frame, count)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        colours: NDArray = apply_color_lut(stored, dataset)
        return _colour_bytes(colours, 8 * colours.dtype.itemsize)
    if stored.ndim == 3:
        return _colour_bytes(stored, int(dataset.BitsStored))
    return _grey(dataset, stored, is_inverted=photometric == "MONOCHROME1")


def decode_with_imagecodecs(dataset: Any, frame: int, count: int) -> NDArray:
    """Decode a compressed frame without pydicom's optional decoders.

    Returns
    -------
    (H, W) or (H, W, 3)
        Stored values; colours as RGB.
    """
    import imagecodecs

    syntax = dataset.file_meta.TransferSyntaxUID
    data = get_frame(dataset.PixelData, frame, number_of_frames=count)
    photometric = str(dataset.PhotometricInterpretation)
    if syntax in _JPEG:
        colours = ("YCBCR", "RGB") if photometric.startswith("YBR") else (None, None)
        return np.asarray(
            imagecodecs.jpeg8_decode(
                data, colorspace=colours[0], outcolorspace=colours[1]
            )
        )
    if syntax in _JPEG_2000:
        return _signed(dataset, np.asarray(imagecodecs.jpeg2k_decode(data)))
    if syntax in _JPEG_LOSSLESS:
        pixels = np.asarray(imagecodecs.jpegsof3_decode(data))
    elif syntax in _JPEG_LS:
        pixels = np.asarray(imagecodecs.jpegls_decode(data))
    else:
        raise ImageReadError(
            f"No decoder for {syntax.name}. Install napari-segmoe[dicom], or save the "
            "image uncompressed."
        )
    if pixels.ndim == 3 and photometric.startswith("YBR_FULL"):
        return np.asarray(convert_color_space(pixels, "YBR_FULL", "RGB"))
    return _signed(dataset, pixels)


def _has_decoder(dataset: Any) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
        return True
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return False
    # Pillow reads only 8 bits of JPEG and JPEG 2000 dependably.
    is_dependable = int(dataset.BitsAllocated) == 8 or syntax.name.startswith("RLE")
    return bool(decoder.is_available) and is_dependable


def _signed(dataset: Any, pixels: NDArray) -> NDArray:
    """Give stored values their sign, where the file says that they have one."""
    if int(dataset.get("PixelRepresentation", 0)) == 0 or pixels.dtype.kind == "i":
        return pixels
    shift = 32 - int(dataset.BitsStored)
    return np.asarray((pixels.astype(np.int32) << shift) >> shift)


def _colour_bytes(
    colours: NDArray, bits: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if bits <= 8:
        return colours.astype(np.uint8), ()
    return (colours >> (bits - 8)).astype(np.uint8), ()


def _grey(
    dataset: Any, stored: NDArray, *, is_inverted: bool
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    values: NDArray = apply_modality_lut(stored, dataset)
    notes: tuple[str, ...] = ()
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        shown = apply_voi_lut(values, dataset)
        low, high = _shown_range(dataset, values)
        scaled = np.clip((shown.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)
        pixels = np.rint(scaled * 255).astype(np.uint8)
        notes = ("The grey window stated in the file was applied.",)
    else:
        pixels, notes = convert_to_uint8(values)
    return (np.uint8(255) - pixels if is_inverted else pixels), notes


def _shown_range(dataset: Any, values: NDArray) -> tuple[float, float]:
    """Return the smallest and largest value that the file's window can show."""
    if "VOILUTSequence" in dataset:
        return 0.0, float(2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    centre = float(np.atleast_1d(dataset.WindowCenter)[0])
    width = float(np.atleast_1d(dataset.WindowWidth)[0])
    ends = np.array([[centre - 50 * width, centre + 50 * width]])
    low, high = apply_voi_lut(ends, dataset).ravel()
    return float(low), float(high)
