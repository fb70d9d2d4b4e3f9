"""GeoJSON as QuPath has it: annotations with class, colour and measurements."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import shapely

from napari_segmoe.data.annotation_file import OutlinedObject
from napari_segmoe.data.outlines import mend_shape
from napari_segmoe.errors import AnnotationFileError

_AREAS = frozenset({"Polygon", "MultiPolygon"})


def write_geojson(path: Path, objects: Iterable[OutlinedObject]) -> None:
    """Write objects as one FeatureCollection; the same objects give the same bytes.

    Raises
    ------
    AnnotationFileError
        If the file cannot be written.
    """
    collection = {
        "type": "FeatureCollection",
        "features": [_feature(one) for one in objects],
    }
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise AnnotationFileError(
            f"{path.name} cannot be written: {error.strerror}."
        ) from error


def read_geojson(path: Path) -> tuple[tuple[OutlinedObject, ...], tuple[str, ...]]:
    """Return the areas of a GeoJSON file, and what was mended or left out.

    A FeatureCollection, a list of features and a single feature are all taken.
    Outlines that cross themselves are mended; points and lines are left out.

    Raises
    ------
    AnnotationFileError
        If the file is no GeoJSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AnnotationFileError(
            f"{path.name} cannot be read as GeoJSON: {error}."
        ) from error
    objects: list[OutlinedObject] = []
    left_out = mended = 0
    for feature in _features(content, path.name):
        found, was_mended = _read_feature(feature, path.name, len(objects) + 1)
        if found is None:
            left_out += 1
        else:
            objects.append(found)
            mended += was_mended
    notes = []
    if mended:
        notes.append(f"{mended} outlines of {path.name} crossed themselves: mended.")
    if left_out:
        notes.append(f"{left_out} features of {path.name} are no areas: left out.")
    return tuple(objects), tuple(notes)


def _feature(one: OutlinedObject) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": str(one.id),
        "isLocked": one.is_locked,
    }
    if one.class_name is not None:
        properties["classification"] = {
            "name": one.class_name,
            "color": _rgb(one.colour or "#c8c8c8"),
        }
    if one.measurements:
        properties["measurements"] = dict(one.measurements)
    geometry = json.loads(shapely.to_geojson(shapely.normalize(one.shape)))
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _rgb(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _features(content: Any, name: str) -> Sequence[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        features = content.get("features")
        if isinstance(features, list):
            return features
        if content.get("type") == "Feature":
            return [content]
    raise AnnotationFileError(
        f"{name} is JSON, but no GeoJSON: expected a FeatureCollection, as QuPath"
        " exports it."
    )


def _read_feature(
    feature: Any, name: str, place: int
) -> tuple[OutlinedObject | None, bool]:
    if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
        return None, False
    geometry = feature["geometry"]
    if geometry.get("type") not in _AREAS:
        return None, False
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except shapely.errors.GEOSException as error:
        raise AnnotationFileError(
            f"Feature {place} of {name} has no readable outline: {error}."
        ) from error
    is_valid = bool(shapely.is_valid(shape))
    area = mend_shape(shape)
    if area is None:
        return None, False
    properties = feature.get("properties")
    return _outlined(area, properties if isinstance(properties, dict) else {}, place), (
        not is_valid
    )


def _outlined(shape: Any, properties: Mapping[str, Any], place: int) -> OutlinedObject:
    number = str(properties.get("name", ""))
    kind = properties.get("classification")
    kind = kind if isinstance(kind, dict) else {}
    class_name = kind.get("name") or ": ".join(kind.get("names", ())) or None
    colour = kind.get("color") or kind.get("colorRGB")
    measurements = properties.get("measurements")
    return OutlinedObject(
        id=int(number) if number.isdecimal() and int(number) > 0 else place,
        shape=shape,
        class_name=class_name,
        colour=_hex(colour),
        measurements=_numbers(measurements),
        is_locked=bool(properties.get("isLocked", False)),
    )


def _hex(colour: Any) -> str | None:
    if isinstance(colour, int):  # older QuPath: one signed number
        return f"#{colour & 0xFFFFFF:06x}"
    if isinstance(colour, list) and len(colour) >= 3:
        return "#" + "".join(f"{int(part) & 255:02x}" for part in colour[:3])
    return None


def _numbers(measurements: Any) -> dict[str, float]:
    if isinstance(measurements, list):  # older QuPath: a list of name and value
        measurements = {
            one.get("name", ""): one.get("value")
            for one in measurements
            if isinstance(one, dict)
        }
    if not isinstance(measurements, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in measurements.items()
        if isinstance(value, int | float)
    }
