"""An event's change as JSON, and the chain of hashes over all events."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.label_runs import decode_runs, encode_runs
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    JudgedPlace,
    ModelVersion,
    ObjectState,
    PixelPatch,
    RunRecord,
    TileState,
)

Record = TypeVar("Record", bound=BaseModel)
DAMAGED = (
    "A part of the project cannot be read: it is damaged, or was written by another"
    " version. Verify the project, then restore a backup."
)
FIRST_DIGEST = b"\0" * 32


def to_json(change: Change, patch: PixelPatch | None) -> str:
    """Return a change as one line of JSON; the box of its pixels is part of it."""
    values: dict[str, Any] = {}
    for name in ("image", "model", "run"):
        record = getattr(change, name)
        if record is not None:
            values[name] = record.model_dump(mode="json")
    if change.annotator is not None:
        values["annotator"] = change.annotator
    if change.objects is not None:
        values["objects"] = {
            str(number): None if state is None else state.model_dump(mode="json")
            for number, state in change.objects.items()
        }
    if change.tiles:
        values["tiles"] = [tile.model_dump(mode="json") for tile in change.tiles]
    if change.places:
        values["places"] = [one.model_dump(mode="json") for one in change.places]
    if change.classes is not None:
        values["classes"] = [one.model_dump(mode="json") for one in change.classes]
    if change.details:
        values["details"] = dict(change.details)
    if patch is not None:
        values["box"] = list(patch.box)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> tuple[Change, tuple[int, int, int, int] | None]:
    """Return the change and the box of its pixels.

    Raises
    ------
    ProjectError
        If the text is not what `to_json` writes.
    """
    try:
        values = dict(json.loads(text))
        return _change_of(values), _box_of(values)
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        raise ProjectError(DAMAGED) from error


def parse_record(kind: type[Record], text: str) -> Record:
    """Return a stored record.

    Raises
    ------
    ProjectError
        If the text is damaged.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ProjectError(DAMAGED) from error


def parse_kind(text: str) -> EventKind:
    """Return what an event records; raises `ProjectError` where that is unknown."""
    try:
        return EventKind(text)
    except ValueError as error:
        raise ProjectError(DAMAGED) from error


def _change_of(values: Mapping[str, Any]) -> Change:
    objects = values.get("objects")
    classes = values.get("classes")
    return Change(
        image=_record(ImageRecord, values.get("image")),
        annotator=values.get("annotator"),
        objects=None
        if objects is None
        else {int(key): _record(ObjectState, one) for key, one in objects.items()},
        tiles=tuple(TileState.model_validate(one) for one in values.get("tiles", ())),
        places=tuple(
            JudgedPlace.model_validate(one) for one in values.get("places", ())
        ),
        classes=None
        if classes is None
        else tuple(ClassRecord.model_validate(one) for one in classes),
        model=_record(ModelVersion, values.get("model")),
        run=_record(RunRecord, values.get("run")),
        details=values.get("details"),
    )


def _record(kind: Any, values: Any) -> Any:
    return None if values is None else kind.model_validate(values)


def _box_of(values: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    if "box" not in values:
        return None
    y0, x0, y1, x1 = (int(edge) for edge in values["box"])
    return y0, x0, y1, x1


def pack_pixels(patch: PixelPatch | None) -> tuple[bytes | None, bytes | None]:
    """Return the pixels before and after as run lengths."""
    if patch is None:
        return None, None
    return encode_runs(patch.before), encode_runs(patch.after)


def unpack_pixels(
    box: tuple[int, int, int, int] | None, before: bytes | None, after: bytes | None
) -> PixelPatch | None:
    """Return the patch of a box and two run lengths.

    Raises
    ------
    ProjectError
        If they are damaged or do not fit the box.
    """
    if box is None or before is None or after is None:
        return None
    patch = PixelPatch(box, decode_runs(before), decode_runs(after))
    shape = (box[2] - box[0], box[3] - box[1])
    if patch.before.shape != shape or patch.after.shape != shape:
        raise ProjectError(
            "Stored label pixels do not fit their box: the project is damaged. Restore"
            " a backup."
        )
    return patch


def chain(previous: bytes, *parts: str | int | bytes | None) -> bytes:
    """Return the hash of an event's parts and of the hash before it, 32 bytes."""
    digest = hashlib.sha256(previous)
    for part in parts:
        data = b"" if part is None else part
        if not isinstance(data, bytes):
            data = str(data).encode()
        digest.update(f"{'-' if part is None else len(data)}:".encode())
        digest.update(data)
    return digest.digest()
