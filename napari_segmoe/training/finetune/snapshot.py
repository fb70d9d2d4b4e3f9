"""What a round learns from, as the project was when it began; kept in its folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_segmoe.errors import RunFolderError
from napari_segmoe.project.hold_out import HoldOutMode, UnitLevel
from napari_segmoe.project.judged_places import rejected_boxes
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.records import ImageRecord, PixelBox
from napari_segmoe.project.round_material import (
    WEIGHTS,
    accepted_objects,
    divide_project,
    unlabelled_images,
)
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.types import Spacing

_FILE = "material.npz"
_WHOLE_PX = 4096 * 4096
_MARGIN_PX = 512  # where a network has no field of its own


@dataclass(frozen=True, slots=True)
class LearntObject:
    """An accepted object; ``weight`` is its provenance's."""

    id: int
    box: PixelBox
    class_name: str | None
    weight: float
    unit: str
    fold: int


@dataclass(frozen=True, slots=True, eq=False)
class LearntPatch:
    """A part of an image, or all of it, with its accepted objects.

    Attributes
    ----------
    record : ImageRecord
    box : (y0, x0, y1, x1)
        Which part, in the image's pixels.
    labels : (h, w) uint32
        All ids of the part, also of objects that nobody accepted.
    objects : tuple of LearntObject
        Their boxes are those of the patch.
    tiles : tuple of PixelBox
        Boxes of the patch in which all else is background.
    """

    record: ImageRecord
    box: PixelBox
    labels: Labels
    objects: tuple[LearntObject, ...]
    tiles: tuple[PixelBox, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The material of a round.

    Attributes
    ----------
    patches : tuple of LearntPatch
    others : tuple of ImageRecord
        Some of the images without accepted objects.
    mode : HoldOutMode
    level : UnitLevel
    start : str
        What the round starts from: "version N", the name of shipped weights, or empty
        where a copy lies in the run folder.
    rejected : mapping of str to tuple of PixelBox
        By image: boxes in which a model's answers were rejected, so none teach there.
    """

    patches: tuple[LearntPatch, ...]
    others: tuple[ImageRecord, ...]
    mode: HoldOutMode
    level: UnitLevel
    start: str = ""
    rejected: Mapping[str, tuple[PixelBox, ...]] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[LearntObject, ...]:
        """All accepted objects."""
        return tuple(one for patch in self.patches for one in patch.objects)

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds that are held out in turn, one or more."""
        if self.mode is HoldOutMode.QUARANTINE:
            return (0,)
        return tuple(sorted({one.fold for one in self.objects}))


def take_snapshot(
    store: ProjectStore, *, field_um: float | None, assumed_um: float | None, seed: int
) -> Snapshot:
    """Read a project's accepted objects, finished tiles and their pixels' labels.

    Parameters
    ----------
    store : ProjectStore
    field_um : float or None
        Side of what a network sees at once; None: the whole image, whatever its size.
    assumed_um : float or None
        Pixel size of images that state none.
    seed : int
        Chooses the other images.
    """
    hold_out = divide_project(store)
    names = {one.id: one.name for one in store.classes()}
    found: dict[str, list[LearntObject]] = {}
    for placed, state in accepted_objects(store).items():
        found.setdefault(placed.image, []).append(
            LearntObject(
                placed.id,
                state.box,
                None if state.class_id is None else names.get(state.class_id),
                WEIGHTS[state.provenance],
                hold_out.unit_of[placed],
                hold_out.fold(placed),
            )
        )
    patches: list[LearntPatch] = []
    for record in store.images():
        if record.name in found:
            spacing = record.spacing_um or _both(assumed_um)
            patches += _patches(
                store, record, found[record.name], _field_px(field_um, spacing)
            )
    rejected = {
        name: boxes
        for name, places in store.places().items()
        if (boxes := rejected_boxes(places))
    }
    return Snapshot(
        tuple(patches),
        unlabelled_images(store, seed=seed),
        hold_out.mode,
        hold_out.level,
        rejected=rejected,
    )


def _both(value: float | None) -> Spacing | None:
    return None if value is None else (value, value)


def _field_px(field_um: float | None, spacing: Spacing | None) -> int | None:
    if field_um is None or spacing is None:
        return None
    return round(field_um / min(spacing))


def _patches(
    store: ProjectStore,
    record: ImageRecord,
    objects: Sequence[LearntObject],
    field_px: int | None,
) -> Iterable[LearntPatch]:
    height, width = record.shape
    whole = (0, 0, height, width)
    boxes = [whole]
    if height * width > _WHOLE_PX:
        boxes = _boxes_around(objects, record.shape, field_px or _MARGIN_PX)
    left = list(objects)
    for box in boxes:
        own = [one for one in left if _is_within(one.box, box)]
        left = [one for one in left if not _is_within(one.box, box)]
        if not own:
            continue
        yield LearntPatch(
            record,
            box,
            store.labels(record.name, box),
            tuple(_moved(one, box) for one in own),
            tuple(
                cut
                for tile in store.tiles(record.name)
                if (cut := _cut(tile.box, box)) is not None
            ),
        )


def _boxes_around(
    objects: Sequence[LearntObject], shape: tuple[int, int], field_px: int
) -> list[PixelBox]:
    boxes: list[PixelBox] = []
    for one in objects:
        if any(_is_within(one.box, box) for box in boxes):
            continue
        y0, x0, y1, x1 = one.box
        boxes.append(
            (
                max(y0 - field_px, 0),
                max(x0 - field_px, 0),
                min(y1 + field_px, shape[0]),
                min(x1 + field_px, shape[1]),
            )
        )
    return boxes


def _is_within(inner: PixelBox, outer: PixelBox) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def _moved(one: LearntObject, box: PixelBox) -> LearntObject:
    y0, x0, y1, x1 = one.box
    top, left = box[:2]
    moved = (y0 - top, x0 - left, y1 - top, x1 - left)
    return LearntObject(one.id, moved, one.class_name, one.weight, one.unit, one.fold)


def _cut(tile: PixelBox, box: PixelBox) -> PixelBox | None:
    y0, x0 = max(tile[0], box[0]) - box[0], max(tile[1], box[1]) - box[1]
    y1, x1 = min(tile[2], box[2]) - box[0], min(tile[3], box[3]) - box[1]
    return (y0, x0, y1, x1) if y0 < y1 and x0 < x1 else None


def save_snapshot(snapshot: Snapshot, folder: Path) -> None:
    """Write a snapshot into a run folder, atomically; names no file and no person."""
    about = {
        "patches": [
            {
                "record": patch.record.model_dump(mode="json"),
                "box": patch.box,
                "objects": [asdict(one) for one in patch.objects],
                "tiles": patch.tiles,
            }
            for patch in snapshot.patches
        ],
        "others": [one.model_dump(mode="json") for one in snapshot.others],
        "mode": snapshot.mode.value,
        "level": snapshot.level.value,
        "start": snapshot.start,
        "rejected": snapshot.rejected,
    }
    arrays: dict[str, Any] = {
        f"labels_{number}": patch.labels
        for number, patch in enumerate(snapshot.patches)
    }
    partial = folder / ".material.partial.npz"
    np.savez_compressed(partial, about=np.array(json.dumps(about)), **arrays)
    partial.replace(folder / _FILE)


def load_snapshot(folder: Path) -> Snapshot | None:
    """Read what `save_snapshot` wrote; None where there is nothing yet.

    Raises
    ------
    RunFolderError
        If it is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            labels = [
                arrays[f"labels_{number}"] for number in range(len(about["patches"]))
            ]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise RunFolderError(
            f"{_FILE} of {folder.name} is damaged: {error}. Start a new round."
        ) from error
    return Snapshot(
        tuple(
            _read_patch(one, pixels)
            for one, pixels in zip(about["patches"], labels, strict=True)
        ),
        tuple(ImageRecord.model_validate(one) for one in about["others"]),
        HoldOutMode(about["mode"]),
        UnitLevel(about["level"]),
        about["start"],
        {
            name: tuple(tuple(box) for box in boxes)
            for name, boxes in about.get("rejected", {}).items()
        },
    )


def _read_patch(values: dict[str, Any], labels: Labels) -> LearntPatch:
    return LearntPatch(
        ImageRecord.model_validate(values["record"]),
        tuple(values["box"]),
        labels,
        tuple(
            LearntObject(**{**one, "box": tuple(one["box"])})
            for one in values["objects"]
        ),
        tuple(tuple(tile) for tile in values["tiles"]),
    )
