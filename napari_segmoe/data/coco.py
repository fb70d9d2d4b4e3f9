"""COCO files: exact masks as run lengths, and polygons when read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_segmoe.data.annotation_file import OutlinedObject
from napari_segmoe.data.outlines import fill_shape, mend_shape, trace_mask
from napari_segmoe.errors import AnnotationFileError
from napari_segmoe.types import Mask


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image of a COCO file with its objects; ``shape`` is (height, width)."""

    name: str
    shape: tuple[int, int]
    objects: tuple[OutlinedObject, ...]


def write_coco(path: Path, images: Sequence[AnnotatedImage]) -> None:
    """Write images and objects; masks are uncompressed run lengths: exact.

    Categories are numbered by name, so that the same objects give the same bytes.

    Raises
    ------
    AnnotationFileError
        If the file cannot be written.
    """
    names = sorted({one.class_name or "" for image in images for one in image.objects})
    numbers = {name: place for place, name in enumerate(names, start=1)}
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": number, "name": name or "unclassified", "supercategory": "object"}
            for name, number in numbers.items()
        ],
    }
    for image_id, image in enumerate(images, start=1):
        height, width = image.shape
        content["images"].append(
            {"id": image_id, "file_name": image.name, "height": height, "width": width}
        )
        for one in image.objects:
            content["annotations"].append(
                _annotation(one, image.shape)
                | {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": numbers[one.class_name or ""],
                }
            )
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise AnnotationFileError(
            f"{path.name} cannot be written: {error.strerror}."
        ) from error


def read_coco(path: Path) -> tuple[AnnotatedImage, ...]:
    """Return the images of a COCO file; polygons and both kinds of run lengths.

    Raises
    ------
    AnnotationFileError
        If the file is no COCO file, or a mask in it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        names = {one["id"]: one["name"] for one in content.get("categories", ())}
        by_image: dict[Any, list[OutlinedObject]] = {}
        sizes = {one["id"]: one for one in content["images"]}
        for one in content["annotations"]:
            about = sizes[one["image_id"]]
            found = by_image.setdefault(one["image_id"], [])
            shape = _read_shape(one["segmentation"], about)
            if shape is None:
                continue
            found.append(_outlined(one, shape, names, len(found) + 1))
        return tuple(
            AnnotatedImage(
                name=str(about["file_name"]),
                shape=(int(about["height"]), int(about["width"])),
                objects=tuple(by_image.get(number, ())),
            )
            for number, about in sizes.items()
        )
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise AnnotationFileError(
            f"{path.name} cannot be read as COCO: {error}."
        ) from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise AnnotationFileError(
            f"{path.name} is JSON, but no COCO file: it lacks or misuses {error}."
        ) from error


def _outlined(
    one: Mapping[str, Any], shape: Any, names: Mapping[Any, str], place: int
) -> OutlinedObject:
    name = names.get(one.get("category_id"))
    return OutlinedObject(
        id=int(one.get("segmoe_id", place)),
        shape=shape,
        class_name=None if name == "unclassified" else name,
        is_locked=bool(one.get("segmoe_locked", False)),
    )


def _annotation(one: OutlinedObject, shape: tuple[int, int]) -> dict[str, Any]:
    mask = fill_shape(one.shape, shape)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [0.0, 0.0, 0.0, 0.0]
    if rows.size:
        x0, y0 = float(columns[0]), float(rows[0])
        box = [x0, y0, float(columns[-1]) + 1 - x0, float(rows[-1]) + 1 - y0]
    return {
        "segmentation": {"size": list(shape), "counts": _count_runs(mask)},
        "area": int(mask.sum()),
        "bbox": box,
        "iscrowd": 0,
        "segmoe_id": one.id,
        "segmoe_locked": one.is_locked,
    }


def _count_runs(mask: Mask) -> list[int]:
    """Return run lengths in column order, beginning with background."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    counts = [int(count) for count in np.diff(edges)]
    return [0, *counts] if flat.size and flat[0] else counts


def _read_shape(segmentation: Any, about: Mapping[str, Any]) -> Any:
    size = (int(about["height"]), int(about["width"]))
    if isinstance(segmentation, list):
        rings = [np.asarray(ring, float).reshape(-1, 2) for ring in segmentation]
        parts = [mend_shape(shapely.Polygon(ring)) for ring in rings if len(ring) > 2]
        areas = [part for part in parts if part is not None]
        return mend_shape(shapely.union_all(areas)) if areas else None
    counts = segmentation["counts"]
    if not isinstance(counts, list):
        counts = _decompress(counts)
    mask = _fill_runs(counts, size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    y0, x0 = int(rows[0]), int(columns[0])
    part = mask[y0 : rows[-1] + 1, x0 : columns[-1] + 1]
    return trace_mask(part, origin_yx=(y0, x0))


def _fill_runs(counts: Sequence[int], size: tuple[int, int]) -> Mask:
    lengths = np.asarray(counts, np.int64)
    if lengths.sum() != size[0] * size[1] or (lengths < 0).any():
        raise ValueError("a mask's run lengths do not fill its image")
    values = np.arange(len(lengths)) % 2 == 1
    flat: NDArray[np.bool_] = np.repeat(values, lengths)
    return flat.reshape(size, order="F")


def _decompress(text: str | bytes) -> list[int]:
    """Return the run lengths of COCO's compressed string.

    Each number is written in groups of five bits, lowest first, with a bit that says
    whether more follow; from the third on it is the difference to the one two before.
    """
    data = text.encode() if isinstance(text, str) else text
    counts: list[int] = []
    place = 0
    while place < len(data):
        value, shift, more = 0, 0, True
        while more:
            group = data[place] - 48
            value |= (group & 31) << shift
            more = bool(group & 32)
            place, shift = place + 1, shift + 5
            if not more and group & 16:
                value |= -1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
