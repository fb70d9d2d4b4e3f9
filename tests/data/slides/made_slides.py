"""Slides that tests write: OME-Zarr of both versions, DICOM of several levels."""

import shutil
from pathlib import Path

import numpy as np


def tissue(height=300, width=420, seed=3):
    """(H, W, 3) uint8 with smooth colours and some noise, never white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(y / (9 + n)) * np.cos(x / (13 + n)) for n in range(3)]
    pixels = 140 + 60 * np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 1))
    return np.clip(pixels, 0, 240).astype(np.uint8)


def halved(pixels):
    """Means of 2 x 2 pixels."""
    h, w = (length // 2 * 2 for length in pixels.shape[:2])
    blocks = pixels[:h, :w].reshape(h // 2, 2, w // 2, 2, -1).astype(float)
    return np.rint(blocks.mean((1, 3))).astype(pixels.dtype)


def write_zarr(
    folder: Path,
    pixels,
    *,
    version="0.5",
    axes="cyx",
    levels=2,
    scale=0.5,
    unit="micrometer",
    chunk=64,
    omero=None,
    translation=None,
    **array_options,
):
    """Write (H, W, C) pixels as OME-Zarr; returns its levels as (h, w, C)."""
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
    kinds = {"c": "channel", "z": "space", "y": "space", "x": "space", "t": "time"}
    stated = [{"name": axis, "type": kinds[axis]} for axis in axes]
    for axis in stated:
        if axis["type"] == "space" and unit:
            axis["unit"] = unit
    multiscale = {"version": version, "axes": stated, "datasets": []}
    written = []
    for level in range(levels):
        array = as_axes(pixels, axes)
        chunks = tuple(
            chunk if axis in "yx" else n
            for axis, n in zip(axes, array.shape, strict=True)
        )
        group.create_array(
            str(level),
            shape=array.shape,
            chunks=chunks,
            dtype=array.dtype,
            **array_options,
        )[:] = array
        factors = [scale * 2**level if axis in "yx" else 1.0 for axis in axes]
        transforms = [{"type": "scale", "scale": factors}]
        if translation is not None:
            shifts = [translation(level) if axis in "yx" else 0.0 for axis in axes]
            transforms.append({"type": "translation", "translation": shifts})
        multiscale["datasets"].append(
            {"path": str(level), "coordinateTransformations": transforms}
        )
        written.append(pixels)
        pixels = halved(pixels)
    attributes = {"multiscales": [multiscale]} | ({"omero": omero} if omero else {})
    if version == "0.4":
        group.attrs.update(attributes)
    else:
        group.attrs.update({"ome": {"version": version, **attributes}})
    return written


def as_axes(pixels, axes):
    """Return (H, W, C) with the named axes, missing ones of length 1."""
    expanded = pixels.reshape(1, 1, *pixels.shape)
    kept = [axis for axis in "tzyxc" if axis in axes]
    if "c" not in axes:
        expanded = expanded[..., 0]
    expanded = expanded.reshape(
        [
            n
            for n, axis in zip(expanded.shape, "tzyxc"[: expanded.ndim], strict=True)
            if axis in kept
        ]
    )
    return expanded.transpose([kept.index(axis) for axis in axes])


def copy_writable(source: Path, target: Path) -> Path:
    """Copy a file or folder of the read-only samples so that it can be changed."""
    if source.is_dir():
        target.mkdir(parents=True)
        for file in sorted(source.iterdir()):
            copy_writable(file, target / file.name)
        return target
    shutil.copyfile(source, target)
    return target


def volume_file(folder: Path) -> Path:
    """The file of a DICOM folder that holds the tissue: the largest."""
    return max(folder.glob("*.dcm"), key=lambda file: file.stat().st_size)


def swapped_profile() -> bytes:
    """An ICC profile of sRGB whose red and green primaries are exchanged."""
    from PIL import ImageCms

    profile = bytearray(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    count = int.from_bytes(profile[128:132], "big")
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    places = bytes(profile[red + 4 : red + 12]), bytes(profile[green + 4 : green + 12])
    profile[green + 4 : green + 12], profile[red + 4 : red + 12] = places
    return bytes(profile)


def write_dicom(
    folder: Path,
    *,
    shapes,
    tiles=None,
    parts=1,
    grey=False,
    spacing_mm=(0.00025, 0.0005),
    sparse_without=None,
    name="s",
):
    """Write an uncompressed DICOM slide; returns its levels as (h, w, C)."""
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, written = str(generate_uid())[:60], []
    for level, shape in enumerate(shapes):
        pixels = tissue(*shape, seed=level)[..., : 1 if grey else 3]
        side = tiles[level] if tiles else 128
        places, frames = _frames(pixels, side, sparse_without or set())
        concatenation = generate_uid() if parts > 1 else None
        size = -(-len(frames) // parts)
        for part in range(parts):
            dataset = _slide_dataset(pixels, side, series)
            own = slice(part * size, (part + 1) * size)
            _add_spacing(
                dataset, [mm and mm * shapes[0][0] / shape[0] for mm in spacing_mm]
            )
            if sparse_without:
                _add_places(dataset, places[own])
            if concatenation:
                dataset.ConcatenationUID = concatenation
                dataset.SOPInstanceUIDOfConcatenationSource = concatenation
                dataset.InConcatenationNumber = part + 1
                dataset.ConcatenationFrameOffsetNumber = part * size
            dataset.NumberOfFrames = len(frames[own])
            dataset.PixelData = b"".join(frames[own])
            dataset.save_as(
                folder / f"{name}{level}-{part}.dcm", enforce_file_format=True
            )
        written.append(pixels)
    return written


def _frames(pixels, side, without):
    height, width, channels = pixels.shape
    places, frames = [], []
    for y in range(0, height, side):
        for x in range(0, width, side):
            if (y // side, x // side) in without:
                continue
            tile = np.full((side, side, channels), 255, np.uint8)
            part = pixels[y : y + side, x : x + side]
            tile[: part.shape[0], : part.shape[1]] = part
            places.append((y + 1, x + 1))
            frames.append(tile.tobytes())
    return places, frames


def _slide_dataset(pixels, side, series):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.Modality = "SM"
    dataset.StudyInstanceUID = f"{series}.1"
    dataset.SeriesInstanceUID = series
    dataset.FrameOfReferenceUID = f"{series}.2"
    dataset.PositionReferenceIndicator = "SLIDE_CORNER"
    height, width, channels = pixels.shape
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = height, width
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel = channels
    dataset.PhotometricInterpretation = "RGB" if channels == 3 else "MONOCHROME2"
    if channels == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.FocusMethod, dataset.ExtendedDepthOfField = "AUTO", "NO"
    dataset.VolumetricProperties = "VOLUME"
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.NumberOfOpticalPaths = dataset.TotalPixelMatrixFocalPlanes = 1
    optical = Dataset()
    optical.OpticalPathIdentifier = "0"
    dataset.OpticalPathSequence = [optical]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    dataset.TotalPixelMatrixOriginSequence = [origin]
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    return dataset


def _add_spacing(dataset, spacing_mm):
    from pydicom.dataset import Dataset

    measures, groups = Dataset(), Dataset()
    measures.SliceThickness = 0.001
    if None not in spacing_mm:
        measures.PixelSpacing = [float(f"{mm:.10g}") for mm in spacing_mm]
    groups.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [groups]


def _add_places(dataset, places):
    from pydicom.dataset import Dataset

    dataset.DimensionOrganizationType = "TILED_SPARSE"
    frames = []
    for y, x in places:
        position, frame = Dataset(), Dataset()
        position.RowPositionInTotalImagePixelMatrix = y
        position.ColumnPositionInTotalImagePixelMatrix = x
        position.XOffsetInSlideCoordinateSystem = 0
        position.YOffsetInSlideCoordinateSystem = 0
        position.ZOffsetInSlideCoordinateSystem = 0
        frame.PlanePositionSlideSequence = [position]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
