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
