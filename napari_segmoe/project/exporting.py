"""A project's objects for other programs: GeoJSON, COCO, CSV and OME-Zarr labels."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely

from napari_segmoe.data import ome_zarr
from napari_segmoe.data.annotation_file import OutlinedObject
from napari_segmoe.data.coco import AnnotatedImage, write_coco
from napari_segmoe.data.geojson import write_geojson
from napari_segmoe.data.outlines import trace_mask
from napari_segmoe.errors import ProjectError
from napari_segmoe.project.records import (
    ClassRecord,
    ImageRecord,
    ObjectState,
    RegionPlace,
    ReviewState,
)
from napari_segmoe.project.store import ProjectStore

_COLUMNS = (
    "image", "id", "class", "state", "provenance", "class_from", "probability",
    "model_class", "model_version", "area_px", "area_um2", "y0", "x0", "y1", "x1",
)  # fmt: skip
_CHUNK_PX = 512
_UNCLASSIFIED = (200, 200, 200, 255)


def export_project(store: ProjectStore, out: Path) -> Iterator[str]:
    """Write all objects into a folder, and give the name of each file when it is done.

    ``image-0001.geojson`` (QuPath; slides in level-0 pixels), ``coco.json`` (masks in
    the labels' own pixels), ``objects.csv`` and ``labels/image-0001.ome.zarr``. Images
    have the project's names: nothing says what the files were called.

    Raises
    ------
    ProjectError
        If the folder holds something, or cannot be written.
    AnnotationFileError
        If a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ProjectError(f"{out.name} is not empty. Choose a new folder.")
    classes = {one.id: one for one in store.classes()}
    images: list[AnnotatedImage] = []
    rows: list[tuple[object, ...]] = []
    try:
        (out / "labels").mkdir(parents=True)
        for record in store.images():
            states = store.objects(record.name)
            objects = tuple(_outline(store, record, states, classes))
            images.append(AnnotatedImage(record.name, record.shape, objects))
            rows += [_row(record, *one, classes) for one in states.items()]
            geojson = out / f"{record.name}.geojson"
            write_geojson(geojson, [_on_slide(one, record.region) for one in objects])
            yield geojson.name
            _write_labels(store, record, states, classes, out / "labels")
            yield f"labels/{record.name}.ome.zarr"
        write_coco(out / "coco.json", images)
        yield "coco.json"
        with (out / "objects.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(rows)
        yield "objects.csv"
    except OSError as error:
        raise ProjectError(
            f"{out.name} cannot be written: {error.strerror or error}. Free space, or"
            " choose another folder."
        ) from error


def _outline(
    store: ProjectStore,
    record: ImageRecord,
    states: Mapping[int, ObjectState],
    classes: Mapping[int, ClassRecord],
) -> Iterator[OutlinedObject]:
    height, width = record.shape
    for number, state in states.items():
        y0, x0, y1, x1 = state.box
        box = (max(y0, 0), max(x0, 0), min(y1, height), min(x1, width))
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        mask = store.labels(record.name, box) == number
        if not mask.any():
            continue
        known = classes.get(state.class_id) if state.class_id is not None else None
        yield OutlinedObject(
            id=number,
            shape=trace_mask(mask, origin_yx=box[:2]),
            class_name=None if known is None else known.name,
            colour=None if known is None else known.colour,
            measurements=_measurements(record, state),
            is_locked=state.state is ReviewState.LOCKED,
        )


def _measurements(record: ImageRecord, state: ObjectState) -> dict[str, float]:
    found = {"Area px^2": state.area_px}
    area_um2 = _area_um2(record, state)
    if area_um2 is not None:
        found["Area µm^2"] = area_um2
    if state.probability is not None:
        found["Probability"] = state.probability
    return found


def _area_um2(record: ImageRecord, state: ObjectState) -> float | None:
    if record.spacing_um is None:
        return None
    return state.area_px * math.prod(record.spacing_um)


def _on_slide(one: OutlinedObject, place: RegionPlace | None) -> OutlinedObject:
    """Bring an object from a region's pixels to those of its slide's level 0."""
    if place is None:
        return one
    (top, left), (step_y, step_x) = place.origin_yx, place.step_yx
    moved = shapely.transform(one.shape, lambda xy: xy * (step_x, step_y) + (left, top))
    return replace(one, shape=moved)


def _row(
    record: ImageRecord,
    number: int,
    state: ObjectState,
    classes: Mapping[int, ClassRecord],
) -> tuple[object, ...]:
    known = classes.get(state.class_id) if state.class_id is not None else None
    area_um2 = _area_um2(record, state)
    return (
        record.name,
        number,
        "" if known is None else known.name,
        state.state.value,
        state.provenance.value,
        state.source,
        "" if state.probability is None else f"{state.probability:.4f}",
        state.model_class or "",
        "" if state.model_version is None else state.model_version,
        f"{state.area_px:g}",
        "" if area_um2 is None else f"{area_um2:.4g}",
        *state.box,
    )


def _write_labels(
    store: ProjectStore,
    record: ImageRecord,
    states: Mapping[int, ObjectState],
    classes: Mapping[int, ClassRecord],
    folder: Path,
) -> None:
    root = ome_zarr.open_root(folder / f"{record.name}.ome.zarr")
    height, width = record.shape
    array = ome_zarr.create_array(
        root, "0", (height, width), (_CHUNK_PX, _CHUNK_PX), "uint32"
    )
    for y0 in range(0, height, _CHUNK_PX):
        y1 = min(y0 + _CHUNK_PX, height)
        array[y0:y1] = store.labels(record.name, (y0, 0, y1, width))
    scales = ome_zarr.pyramid_scales("yx", record.spacing_um, (1,))
    ome_zarr.write_multiscales(root, scales)
    colours, properties = {}, {}
    for number, state in states.items():
        known = classes.get(state.class_id) if state.class_id is not None else None
        colours[number] = _UNCLASSIFIED if known is None else _rgba(known.colour)
        values: dict[str, Any] = {"state": state.state.value}
        if known is not None:
            values["class"] = known.name
        properties[number] = values
    meaning = ome_zarr.LabelImage(colours=colours, properties=properties)
    ome_zarr.write_label_image(root, meaning, version=scales.version)


def _rgba(colour: str) -> tuple[int, int, int, int]:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue, 255
