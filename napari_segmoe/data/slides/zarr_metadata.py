"""What the metadata of an OME-Zarr image says: axes, levels, scale, colours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segmoe.errors import SlideError

_UM = {
    "angstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3, "micrometer": 1.0,
    "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "inch": 25_400.0,
    "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4,
    "m": 1e6, "micrometre": 1.0, "nanometre": 1e-3, "millimetre": 1e3,
}  # fmt: skip
# Versions before 0.3 name no axes and always have all five.
_DEFAULT_AXES = ("t", "c", "z", "y", "x")
_MAX_METADATA_BYTES = 64 << 20
_PURE = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, slots=True)
class ZarrLevel:
    """One resolution as the metadata states it.

    Attributes
    ----------
    path : str
        Of the array in the group.
    scale_yx, translation_yx : (y, x)
        In the axes' unit; of the pixel centres.
    """

    path: str
    scale_yx: tuple[float, float]
    translation_yx: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ZarrImage:
    """A multiscale image as the metadata states it.

    Attributes
    ----------
    folder : Path
        The group that holds the levels.
    version : str
        Of OME-Zarr, "?" where it is not stated.
    axes : tuple of str
        Names, as ("c", "y", "x").
    unit_um_yx : (y, x) or None
        Micrometres per unit of the axes; None where no unit of length is stated.
    levels : tuple of ZarrLevel
    channel_order : tuple of int
        Channels that show red, green and blue, where there are three.
    windows : tuple of (low, high)
        Of each channel, the values to be shown; empty where they are not stated.
    planes : mapping of str to int
        Index along "t" and "z" that is to be shown.
    """

    folder: Path
    version: str
    axes: tuple[str, ...]
    unit_um_yx: tuple[float, float] | None
    levels: tuple[ZarrLevel, ...]
    channel_order: tuple[int, ...] = (0, 1, 2)
    windows: tuple[tuple[float, float], ...] = ()
    planes: Mapping[str, int] = field(default_factory=dict)


def is_image_group(folder: Path) -> bool:
    """Whether a folder, or the one it is a level of, is an OME-Zarr image."""
    try:
        return _find_image(folder) is not None
    except SlideError:
        return False


def read_zarr_image(folder: Path) -> ZarrImage:
    """Read the metadata of an OME-Zarr image (0.1 to 0.5).

    Parameters
    ----------
    folder : Path
        The group of the image, one that bioformats2raw wrote around it, or a level.

    Raises
    ------
    SlideError
        If it is no image, or its metadata are damaged.
    """
    found = _find_image(folder)
    if found is None:
        raise SlideError(
            f"{folder.name} is a Zarr folder without an image of several resolutions "
            "(OME-Zarr multiscales); labels and plates are not opened as slides. "
            "Choose the folder of the image."
        )
    try:
        return _parse(*found)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise SlideError(
            f"The OME-Zarr metadata of {folder.name} are damaged or not as the format "
            "says. Write the image again, or repair its .zattrs or zarr.json."
        ) from error


def _find_image(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the folder with multiscales that is meant, and its attributes."""
    for place in (folder, folder / "0", folder.parent):
        attributes = _attributes(place)
        if place == folder / "0" and "bioformats2raw.layout" not in _attributes(folder):
            continue
        if "image-label" in attributes:
            return None
        if attributes.get("multiscales"):
            return place, attributes
    return None


def _attributes(folder: Path) -> Mapping[str, Any]:
    """Return the OME attributes of a group; none where it is no group."""
    for name in ("zarr.json", ".zattrs"):
        file = folder / name
        try:
            if not file.is_file() or file.stat().st_size > _MAX_METADATA_BYTES:
                continue
            content = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SlideError(
                f"{name} of {folder.name} cannot be read: it is damaged, or you may "
                "not read it. Write the image again."
            ) from error
        attributes = content.get("attributes", {}) if name == "zarr.json" else content
        if isinstance(attributes, dict):
            inner = attributes.get("ome", attributes)
            return inner if isinstance(inner, dict) else {}
    return {}


def _parse(folder: Path, attributes: Mapping[str, Any]) -> ZarrImage:
    multiscale = attributes["multiscales"][0]
    axes, units = _axes(multiscale.get("axes"))
    y, x = axes.index("y"), axes.index("x")
    factors = (_UM.get(units[y].lower()), _UM.get(units[x].lower()))
    whole = multiscale.get("coordinateTransformations") or []
    levels = tuple(
        _level(
            str(dataset["path"]),
            [*(dataset.get("coordinateTransformations") or []), *whole],
            len(axes),
            (y, x),
        )
        for dataset in multiscale["datasets"]
    )
    if not levels:
        raise ValueError("no levels")
    omero = attributes.get("omero") or {}
    channels = omero.get("channels") or []
    version = multiscale.get("version") or attributes.get("version") or "?"
    return ZarrImage(
        folder=folder,
        version=str(version),
        axes=axes,
        unit_um_yx=None
        if factors[0] is None or factors[1] is None
        else (factors[0], factors[1]),
        levels=levels,
        channel_order=_channel_order(channels),
        windows=_windows(channels),
        planes=_planes(omero.get("rdefs") or {}),
    )


def _axes(stated: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and units of the axes."""
    if not stated:
        return _DEFAULT_AXES, ("",) * len(_DEFAULT_AXES)
    if all(isinstance(axis, str) for axis in stated):
        return tuple(stated), ("",) * len(stated)
    names = tuple(str(axis["name"]) for axis in stated)
    return names, tuple(str(axis.get("unit") or "") for axis in stated)


def _level(
    path: str, transforms: list[Any], count: int, yx: tuple[int, int]
) -> ZarrLevel:
    """Return a level with its transforms, applied in order, made one."""
    scale, translation = [1.0] * count, [0.0] * count
    for transform in transforms:
        kind = transform["type"]
        if kind == "scale":
            factors = [float(value) for value in transform["scale"]]
            scale = [s * f for s, f in zip(scale, factors, strict=True)]
            translation = [t * f for t, f in zip(translation, factors, strict=True)]
        elif kind == "translation":
            shifts = [float(value) for value in transform["translation"]]
            translation = [t + s for t, s in zip(translation, shifts, strict=True)]
    y, x = yx
    return ZarrLevel(path, (scale[y], scale[x]), (translation[y], translation[x]))


def _channel_order(channels: list[Any]) -> tuple[int, ...]:
    """Return where red, green and blue are, if the channels are named by colour."""
    colours = [str(channel.get("color", "")).upper() for channel in channels]
    if sorted(colours) == sorted(_PURE):
        return tuple(colours.index(colour) for colour in _PURE)
    return 0, 1, 2


def _windows(channels: list[Any]) -> tuple[tuple[float, float], ...]:
    windows = []
    for channel in channels:
        window = channel.get("window") or {}
        if "start" not in window or "end" not in window:
            return ()
        low, high = float(window["start"]), float(window["end"])
        if not low < high:
            return ()
        windows.append((low, high))
    return tuple(windows)


def _planes(defaults: Mapping[str, Any]) -> dict[str, int]:
    return {
        "t": int(defaults.get("defaultT", 0)),
        "z": int(defaults.get("defaultZ", 0)),
    }
