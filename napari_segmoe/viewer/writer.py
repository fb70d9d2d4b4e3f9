"""Writes objects: the label image as 16-bit TIFF or PNG, the table beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_segmoe.errors import PromptError
from napari_segmoe.session.objects import ObjectRecord
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.drawing import object_features

LARGEST_ID = np.iinfo(np.uint16).max


def save_objects(path: Path, session: Session) -> list[str]:
    """Write a session's label image and table; see `write_labels`.

    Of a slide each region with objects gets files of its own, and the table says
    where in the slide it lies: ``NAME.tif`` for one, else ``NAME.region-N.tif``.

    Raises
    ------
    PromptError
        If there is no image, or the files cannot be written.
    """
    path = Path(path)
    if session.regions.slide is not None:
        return _save_regions(path, session)
    labels = session.require_workspace().labels
    written = _save(path, session, labels, session.annotation.records, {})
    session.notified.emit(f"Saved {path.name} and {Path(written[1]).name}.")
    return written


def _save_regions(path: Path, session: Session) -> list[str]:
    records = [one for one in session.regions.all if session.records_of(one.key)]
    if not records:
        raise PromptError("No object was committed on this slide. Commit some first.")
    written = []
    for record in records:
        workspace = session.find_workspace(record.key)
        assert workspace is not None, "it holds the records"
        name = path.with_name(f"{path.stem}.region-{record.number}{path.suffix}")
        at = path if len(records) == 1 else name
        place = {
            "region": {
                "number": record.number,
                "origin_yx_level0_px": list(record.region.origin_yx),
                "step_yx_level0_px": list(record.region.step_yx),
                "spacing_um": record.spacing_um,
            }
        }
        objects = workspace.snapshot.records
        written += _save(at, session, workspace.labels, objects, place)
    names = ", ".join(Path(one).name for one in written[::2])
    session.notified.emit(f"Saved {names}; the tables beside say where they lie.")
    return written


def _save(
    path: Path,
    session: Session,
    labels: NDArray[np.uint32],
    records: Sequence[ObjectRecord],
    place: Mapping[str, Any],
) -> list[str]:
    features = object_features(records, session.classes.table)
    colours = {e.name: e.colour for e in session.classes.table.entries}
    return _write(path, labels, features.to_dict("records"), colours, place)


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one labels layer; the writer that the manifest names.

    Parameters
    ----------
    path : str
        Ends in .tif, .tiff or .png; a .json of the same stem gets the features.
    data : (H, W) integer
        One id an object, at most 65535.
    attributes : dict
        As napari hands them over; ``features`` is written.

    Returns
    -------
    list of str
        The files written.
    """
    features = attributes.get("features")
    rows = features.to_dict("records") if features is not None else []
    return _write(Path(path), np.asarray(data), rows, {}, {})


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the table beside a label image, empty where there is none."""
    table = Path(path).with_suffix(".json")
    if not table.is_file():
        return []
    return list(json.loads(table.read_text(encoding="utf-8")).get("objects", []))


def _write(
    path: Path,
    labels: NDArray[Any],
    rows: Sequence[Mapping[Any, Any]],
    colours: Mapping[str, str],
    place: Mapping[str, Any],
) -> list[str]:
    if labels.ndim != 2 or (labels.size and int(labels.max()) > LARGEST_ID):
        raise PromptError(
            f"Labels of shape {labels.shape} with ids up to {labels.max()} do not fit a"
            f" 16-bit image. Save one 2-D slice with ids up to {LARGEST_ID}."
        )
    pixels = labels.astype(np.uint16)
    table = path.with_suffix(".json")
    objects = [_plain(row) for row in rows]
    content = {"objects": objects, "classes": dict(colours), **place}
    try:
        _replace(path, lambda at: _write_pixels(at, path.suffix.lower(), pixels))
        text = json.dumps(content, indent=1, ensure_ascii=False)
        _replace(table, lambda at: at.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise PromptError(
            f"Cannot write {path.name}: {error.strerror or error}. Choose a folder"
            " that you may write to and that has space left."
        ) from error
    return [str(path), str(table)]


def _write_pixels(at: Path, suffix: str, pixels: NDArray[np.uint16]) -> None:
    if suffix == ".png":
        Image.fromarray(pixels).save(at, format="PNG")
    else:
        tifffile.imwrite(at, pixels, compression="zlib")


def _replace(path: Path, write: Any) -> None:
    """Write beside, then rename: nothing half-written stays."""
    beside = path.with_name(f".{path.name}.part")
    try:
        write(beside)
        os.replace(beside, path)  # noqa: PTH105
    finally:
        beside.unlink(missing_ok=True)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): _plain_value(value) for key, value in row.items()}


def _plain_value(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
