"""OME-Zarr metadata (versions 0.4 and 0.5), read and written as plain attributes.

Version 0.4 lives in Zarr 2 and is what QuPath and napari's readers know best; 0.5
lives in Zarr 3 under the key "ome".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

VERSIONS = ("0.4", "0.5")
_KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
# Micrometres in each unit of length of the specification that a slide may use.
_UM_PER_UNIT = {
    "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3,
    "centimeter": 1e4, "meter": 1e6, "inch": 25_400.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dataset:
    """One resolution of a multiscale image.

    Attributes
    ----------
    path : str
        Of the array, from its group.
    scale : tuple of float
        Units of each axis per pixel.
    translation : tuple of float
        Where the centre of the first pixel lies; empty for zeros.
    """

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Multiscales:
    """A multiscale image: axes and resolutions, finest first.

    Attributes
    ----------
    axes : str
        As "cyx".
    datasets : tuple of Dataset
    units : mapping of str to str
        Unit of each axis that states one.
    name : str
    version : str
        "0.4" or "0.5".
    """

    axes: str
    datasets: tuple[Dataset, ...]
    units: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    version: str = "0.4"

    @property
    def spacing_um(self) -> tuple[float, float] | None:
        """Micrometres per pixel of the finest level, (y, x); None where unknown."""
        spacing = []
        for axis in "yx":
            unit = _UM_PER_UNIT.get(self.units.get(axis, ""))
            if unit is None or axis not in self.axes:
                return None
            spacing.append(self.datasets[0].scale[self.axes.index(axis)] * unit)
        return spacing[0], spacing[1]


@dataclass(frozen=True, slots=True)
class LabelImage:
    """What the values of a label image mean.

    Attributes
    ----------
    colours : mapping of int to (r, g, b, a)
        0 to 255.
    properties : mapping of int to mapping of str to JSON value
        As {1: {"class": "benign"}}.
    source : str
        Path of the image it belongs to; "" says none.
    """

    colours: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)
    properties: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""


def pyramid_scales(
    axes: str, spacing_um: tuple[float, float] | None, steps: Sequence[int | float]
) -> Multiscales:
    """Describe a pyramid whose levels are means over squares of ``steps`` pixels.

    Parameters
    ----------
    axes : str
        As "cyx" or "yx".
    spacing_um : (y, x) or None
        Micrometres per pixel where a step is 1; None leaves the unit away.
    steps : sequence
        Side of each level's pixel, as (1, 2, 4).
    """
    y, x = spacing_um or (1.0, 1.0)
    datasets = []
    for number, step in enumerate(steps):
        sizes = {"y": y * step, "x": x * step}
        shifts = {"y": y * (step - 1) / 2, "x": x * (step - 1) / 2}
        shift = tuple(shifts.get(axis, 0.0) for axis in axes)
        datasets.append(
            Dataset(
                str(number),
                tuple(sizes.get(axis, 1.0) for axis in axes),
                shift if any(shift) else (),
            )
        )
    units = {"y": "micrometer", "x": "micrometer"} if spacing_um else {}
    return Multiscales(axes, tuple(datasets), units)


def open_root(path: Any, *, version: str = "0.4") -> Any:
    """Make an empty Zarr group in the format that a version asks for.

    Raises
    ------
    ValueError
        If the version is unknown.
    """
    import zarr

    if version not in VERSIONS:
        raise ValueError(f"No OME-Zarr {version!r}; expected one of {VERSIONS}.")
    return zarr.open_group(str(path), mode="w-", zarr_format=zarr_format(version))


def zarr_format(version: str) -> Literal[2, 3]:
    """Return the Zarr format, 2 or 3, of an OME-Zarr version."""
    return 2 if version == "0.4" else 3


def create_array(
    group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any
) -> Any:
    """Make an array of zeros under a group: nested chunks, Zstandard.

    A chunk of zeros takes no room. The bytes of any other are one Zstandard frame
    of its values in C order, in both formats.

    Parameters
    ----------
    group : zarr.Group
    name : str
    shape, chunks : tuple of int
    dtype : dtype

    Returns
    -------
    zarr.Array
    """
    if group.metadata.zarr_format == 2:
        return group.create_array(
            name, shape=shape, chunks=chunks, dtype=dtype, fill_value=0,
            compressors={"id": "zstd", "level": 3},
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )  # fmt: skip
    from zarr.codecs import ZstdCodec

    return group.create_array(
        name, shape=shape, chunks=chunks, dtype=dtype, fill_value=0,
        compressors=ZstdCodec(level=3),
    )  # fmt: skip


def write_multiscales(group: Any, scales: Multiscales) -> None:
    """Write what a group's arrays are into its attributes.

    Parameters
    ----------
    group : zarr.Group
        In the Zarr format of ``scales.version``.
    scales : Multiscales
    """
    axes = [
        {"name": name, "type": _KINDS[name]}
        | ({"unit": scales.units[name]} if name in scales.units else {})
        for name in scales.axes
    ]
    datasets = [
        {"path": one.path, "coordinateTransformations": _transforms(one)}
        for one in scales.datasets
    ]
    entry: dict[str, Any] = {"axes": axes, "datasets": datasets}
    if scales.name:
        entry["name"] = scales.name
    if scales.version == "0.4":
        entry["version"] = "0.4"
    _update(group, scales.version, {"multiscales": [entry]})


def read_multiscales(group: Any) -> Multiscales | None:
    """Return the first multiscale image of a group; None where it has none.

    Parameters
    ----------
    group : zarr.Group
    """
    attributes = read_ome(group)
    entries = attributes.get("multiscales")
    if not isinstance(entries, list) or not entries:
        return None
    entry = entries[0]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in
            entry.get("axes") or "tczyx"]  # fmt: skip
    shared = _scale_and_shift(entry.get("coordinateTransformations"), len(axes))
    datasets = []
    for one in entry.get("datasets", ()):
        scale, shift = _scale_and_shift(one.get("coordinateTransformations"), len(axes))
        scale = tuple(a * b for a, b in zip(scale, shared[0], strict=True))
        shift = tuple(
            a * b + c for a, b, c in zip(shift, shared[0], shared[1], strict=True)
        )
        datasets.append(Dataset(str(one["path"]), scale, shift if any(shift) else ()))
    if not datasets:
        return None
    return Multiscales(
        axes="".join(str(axis["name"]) for axis in axes),
        datasets=tuple(datasets),
        units={str(a["name"]): str(a["unit"]) for a in axes if "unit" in a},
        name=str(entry.get("name", "")),
        version=str(attributes.get("version") or entry.get("version") or "0.4"),
    )


def write_rgb_channels(group: Any, version: str) -> None:
    """Say that the three channels of a group's image are red, green and blue."""
    channels = [
        {
            "label": label,
            "color": colour,
            "active": True,
            "window": {"start": 0, "end": 255, "min": 0, "max": 255},
        }
        for label, colour in (("Red", "FF0000"), ("Green", "00FF00"),
                              ("Blue", "0000FF"))
    ]  # fmt: skip
    rendering = {"model": "color", "defaultZ": 0, "defaultT": 0}
    _update(group, version, {"omero": {"channels": channels, "rdefs": rendering}})


def write_label_image(group: Any, labels: LabelImage, *, version: str) -> None:
    """Write what the values of a group's label image mean."""
    entry: dict[str, Any] = {} if version == "0.5" else {"version": version}
    if labels.colours:
        entry["colors"] = [
            {"label-value": value, "rgba": list(colour)}
            for value, colour in labels.colours.items()
        ]
    if labels.properties:
        entry["properties"] = [
            {"label-value": value, **facts}
            for value, facts in labels.properties.items()
        ]
    if labels.source:
        entry["source"] = {"image": labels.source}
    _update(group, version, {"image-label": entry})


def read_label_image(group: Any) -> LabelImage | None:
    """Return what the values of a label image mean; None where it is none."""
    entry = read_ome(group).get("image-label")
    if not isinstance(entry, dict):
        return None
    return LabelImage(
        colours={
            int(one["label-value"]): tuple(one["rgba"])
            for one in entry.get("colors") or ()
            if "rgba" in one
        },
        properties={
            int(one["label-value"]): {
                key: value for key, value in one.items() if key != "label-value"
            }
            for one in entry.get("properties") or ()
        },
        source=str((entry.get("source") or {}).get("image", "")),
    )


def add_labels_group(image: Any, name: str, *, version: str) -> Any:
    """Make the group of a label image under an image, and list it there.

    Parameters
    ----------
    image : zarr.Group
        Of the image.
    name : str
        As "glands".

    Returns
    -------
    zarr.Group
        Empty; make its arrays, then call `write_multiscales` and
        `write_label_image`.
    """
    labels = image.require_group("labels")
    names = read_label_names(image)
    if name not in names:
        _update(labels, version, {"labels": [*names, name]})
    return labels.create_group(name)


def read_label_names(image: Any) -> tuple[str, ...]:
    """Return the names of the label images under an image."""
    if "labels" not in image:
        return ()
    return tuple(str(name) for name in read_ome(image["labels"]).get("labels") or ())


def read_ome(group: Any) -> dict[str, Any]:
    """Return a group's OME attributes, wherever its version keeps them."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return dict(inner) if isinstance(inner, dict) else attributes


def _update(group: Any, version: str, entries: dict[str, Any]) -> None:
    if version == "0.4":
        group.attrs.update(entries)
        return
    group.attrs.update({"ome": read_ome(group) | {"version": version} | entries})


def _transforms(one: Dataset) -> list[dict[str, Any]]:
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": list(one.scale)}]
    if one.translation:
        transforms.append({"type": "translation", "translation": list(one.translation)})
    return transforms


def _scale_and_shift(
    transforms: Any, length: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    scale, shift = (1.0,) * length, (0.0,) * length
    for one in transforms or ():
        if one.get("type") == "scale" and "scale" in one:
            scale = tuple(float(value) for value in one["scale"])
        if one.get("type") == "translation" and "translation" in one:
            shift = tuple(float(value) for value in one["translation"])
    return scale, shift
