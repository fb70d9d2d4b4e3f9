"""Read one frame of a DICOM file: its tissue and its scale, nothing of the patient."""

import dataclasses
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import BytesLengthException, InvalidDicomError

from napari_segmoe.data.dicom_pixels import decode_frame
from napari_segmoe.data.fan import blank_outside, find_fan
from napari_segmoe.data.intensity import check_sides
from napari_segmoe.data.ultrasound_regions import (
    Region,
    regions_in_frame,
    stated_regions,
)
from napari_segmoe.errors import ImageReadError
from napari_segmoe.types import Box, LoadedImage, Modality, Spacing

_MODALITIES = {
    "US": Modality.ULTRASOUND, "OPT": Modality.OCT, "ES": Modality.ENDOSCOPY,
    "DMS": Modality.DERMOSCOPY, "XC": Modality.OTHER, "SM": Modality.HISTOLOGY,
}  # fmt: skip


def read_dicom(path: str | Path, *, frame: int = 0) -> LoadedImage:
    """Read one frame of a DICOM file.

    An ultrasound frame is cropped to its two-dimensional regions or, without one, to
    the fan found in it; what lies outside is not in the pixels that are returned.

    Parameters
    ----------
    path : path
        A DICOM file with pixels.
    frame : int
        Frame number, from 0.

    Raises
    ------
    ImageReadError
        If the file is no DICOM image, is cut short, cannot be decoded, is a slide,
        or has no such frame.
    """
    path = Path(path)
    dataset = _read_dataset(path)
    count = _check(path, dataset, frame)
    pixels, notes = _decode(path, dataset, frame, count)
    if dataset.get("BurnedInAnnotation") == "YES":
        notes += ("The file says that text is burned into its pixels.",)
    image = LoadedImage(
        pixels,
        modality=_MODALITIES.get(str(dataset.get("Modality", "")), Modality.OTHER),
        notes=notes,
        frame_count=count,
        frame=frame,
        metadata=_technical_facts(dataset),
    )
    if image.modality is not Modality.ULTRASOUND:
        return _replaced(image, pixels, spacing_um=_pixel_spacing_um(dataset, frame))
    return _crop_ultrasound(dataset, image)


def _read_dataset(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            dataset = pydicom.dcmread(path, force=path.suffix.lower() == ".dcm")
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    except FileNotFoundError as error:
        raise ImageReadError(f"There is no file {path}. Check the path.") from error
    except (
        InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError,
        LookupError, AttributeError, TypeError, NotImplementedError, struct.error,
    ) as error:  # fmt: skip
        raise ImageReadError(
            f"{path.name} is not a DICOM file, or is cut short. Export it again."
        ) from error
    return dataset


def _check(path: Path, dataset: Any, frame: int) -> int:
    """Return the number of frames of a picture that can be opened."""
    if any(name not in dataset for name in ("PixelData", "Rows", "Columns")):
        raise ImageReadError(
            f"{path.name} holds no picture; expected a DICOM image. Choose another."
        )
    if str(dataset.get("Modality", "")) == "SM":
        raise ImageReadError(
            f"{path.name} is part of a DICOM slide; single images are expected here. "
            "Open it, or its folder, as a slide."
        )
    check_sides(int(dataset.Rows), int(dataset.Columns), path.name)
    try:
        count = int(dataset.get("NumberOfFrames", 1) or 1)
    except ValueError as error:
        raise ImageReadError(
            f"{path.name} states no readable number of frames. Export the file again."
        ) from error
    if not 0 <= frame < count:
        raise ImageReadError(
            f"{path.name} has {count} frames; frame {frame} (from 0) was asked for."
        )
    return count


def _decode(
    path: Path, dataset: Any, frame: int, count: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return decode_frame(dataset, frame, count)
    except ImageReadError as error:
        raise ImageReadError(f"{path.name}: {error}") from error
    except (
        AttributeError, ValueError, RuntimeError, LookupError, TypeError, EOFError,
        OSError, NotImplementedError, BytesLengthException, struct.error,
    ) as error:  # fmt: skip
        raise ImageReadError(
            f"The pixels of {path.name} are damaged or cut short "
            f"({_brief(error)}). Export the file again."
        ) from error


def _brief(error: Exception) -> str:
    """Return the first line of a message: decoders list every plugin they tried."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _technical_facts(dataset: Any) -> dict[str, str]:
    return {
        "frame_shape": f"{dataset.Rows}x{dataset.Columns}",
        "photometric": str(dataset.get("PhotometricInterpretation", "")),
        "transfer_syntax": str(dataset.file_meta.TransferSyntaxUID.name),
    }


def _crop_ultrasound(dataset: Any, image: LoadedImage) -> LoadedImage:
    height, width = image.pixels.shape[:2]
    regions, notes = regions_in_frame(
        stated_regions(dataset, image.frame), height, width
    )
    if regions:
        inside = np.zeros((height, width), np.bool_)
        for region in regions:
            inside[region.y0 : region.y1, region.x0 : region.x1] = True
        notes += ("The frame was cropped to its stated ultrasound region.",)
        spacing, note = _common_spacing(regions)
        if spacing is None and not note:
            spacing = _pixel_spacing_um(dataset, image.frame)
        notes += note
    else:
        inside = find_fan(image.pixels)
        spacing = None if notes else _pixel_spacing_um(dataset, image.frame)
        notes += (
            "The frame states no usable region; it was cropped to the fan found.",
        )
    pixels, (y0, x0) = blank_outside(image.pixels, inside)
    boxes = tuple(
        Box(region.y0 - y0, region.x0 - x0, region.y1 - y0, region.x1 - x0)
        for region in regions
    )
    return _replaced(
        image, pixels, spacing_um=spacing, notes=(*image.notes, *notes), regions=boxes,
        origin_yx=(y0, x0),
    )  # fmt: skip


def _common_spacing(
    regions: tuple[Region, ...],
) -> tuple[Spacing | None, tuple[str, ...]]:
    """Return the scale that all regions share."""
    scales = {region.spacing_um for region in regions}
    if len(scales) == 1:
        return scales.pop(), ()
    return None, (
        "The frame's regions differ in scale: nothing is measured across them.",
    )


def _pixel_spacing_um(dataset: Any, frame: int) -> Spacing | None:
    """Return PixelSpacing, which is in mm, also from functional groups."""
    sources = [dataset]
    for name, index in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        groups = dataset.get(name) or []
        if index < len(groups):
            sources += list(groups[index].get("PixelMeasuresSequence") or [])
    for source in sources:
        value = source.get("PixelSpacing")
        if value is not None and len(value) == 2 and min(value) > 0:
            return float(value[0]) * 1000, float(value[1]) * 1000
    return None


def _replaced(
    image: LoadedImage, pixels: NDArray[np.uint8], **changes: Any
) -> LoadedImage:
    return dataclasses.replace(image, pixels=np.ascontiguousarray(pixels), **changes)
