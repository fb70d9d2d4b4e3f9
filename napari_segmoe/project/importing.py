"""Objects from files into a project: masks of a data folder, GeoJSON, COCO."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.annotation_file import OutlinedObject
from napari_segmoe.data.folder import DataFolder, stated_spacing_um
from napari_segmoe.data.images import read_image
from napari_segmoe.data.mask_objects import true_objects
from napari_segmoe.data.masks import read_mask
from napari_segmoe.data.outlines import fill_shape
from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import DataFolderError
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    ObjectState,
    PixelPatch,
    Provenance,
    RegionPlace,
    ReviewState,
    TileState,
)
from napari_segmoe.project.store import ProjectStore

_COLOURS = ("#4daf4a", "#e41a1c", "#377eb8", "#ff7f00", "#984ea3", "#a65628", "#f781bf")


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """What came of one image: its name in the project and how many objects it got."""

    image: str
    objects: int
    notes: tuple[str, ...] = ()


def import_data_folder(
    store: ProjectStore,
    folder: DataFolder,
    items: Sequence[DataItem],
    *,
    is_finished: bool = True,
    data_spacing_um: float | None = None,
    annotator: str | None = None,
) -> Iterator[ImportedImage]:
    """Take masks of a data folder as corrections that a person drew and accepted.

    An image that the project has already gets the masks in place of its objects;
    nothing is written where they are the same.

    Parameters
    ----------
    store : ProjectStore
    folder : DataFolder
    items : sequence of DataItem
        Images of it.
    is_finished : bool
        Whether what the masks leave out is background.
    data_spacing_um : float or None
        Pixel size of files whose row says none.
    annotator : str or None
        Pseudonym.

    Raises
    ------
    DataFolderError
        If an image has no mask.
    """
    for item in items:
        if item.mask_path is None:
            raise DataFolderError(f"{item.name} has no mask: there is nothing to take.")
        image = read_image(item.image_path)
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        mask = read_mask(item.mask_path, shape, kind=folder.mask_kind)
        stated = stated_spacing_um(item) or data_spacing_um
        spacing_um = image.spacing_um if stated is None else (stated, stated)
        mark = fingerprint(item.image_path)
        record = store.find_image(mark)
        if record is None:
            record = ImageRecord(
                name=store.next_image_name(),
                fingerprint=mark,
                shape=shape,
                spacing_um=spacing_um,
                modality=image.modality,
                group=hide_group(item.group, store.salt),
            )
            store.add_image(record, annotator=annotator)
        note_paths(store.path, {mark: item.image_path})
        labels = np.ascontiguousarray(true_objects(mask), np.uint32)
        names = {number: item.class_name for number in np.unique(labels) if number}
        count = set_objects(
            store,
            record,
            labels,
            {int(number): name for number, name in names.items()},
            is_finished=is_finished,
            annotator=annotator,
        )
        yield ImportedImage(record.name, count, (mask.note,) if mask.note else ())


def import_outlines(
    store: ProjectStore,
    record: ImageRecord,
    objects: Sequence[OutlinedObject],
    *,
    on_slide: bool = False,
    annotator: str | None = None,
) -> ImportedImage:
    """Put outlined objects of a file in place of an image's objects.

    Outlines are in the labels' own pixels, or, with ``on_slide``, in level-0 pixels of
    the slide whose region the image is. Pixels of two objects go to the later one.
    """
    if on_slide and record.region is not None:
        objects = [_within(one, record.region) for one in objects]
    labels = np.zeros(record.shape, np.uint32)
    notes = []
    outside = 0
    for number, one in enumerate(objects, start=1):
        filled = fill_shape(one.shape, record.shape)
        outside += not filled.any()
        labels[filled] = one.id if _has_unique_ids(objects) else number
    if outside:
        notes.append(f"{outside} objects lie outside {record.name}: left out.")
    ids = [one.id for one in objects] if _has_unique_ids(objects) else None
    names = {
        (number if ids is None else ids[number - 1]): one.class_name
        for number, one in enumerate(objects, start=1)
    }
    count = set_objects(store, record, labels, names, annotator=annotator)
    return ImportedImage(record.name, count, tuple(notes))


def _within(one: OutlinedObject, place: RegionPlace) -> OutlinedObject:
    """Bring an object from its slide's level 0 to the pixels of a region."""
    origin_xy, step_xy = np.array(place.origin_yx[::-1]), np.array(place.step_yx[::-1])
    moved = shapely.transform(one.shape, lambda xy: (xy - origin_xy) / step_xy)
    return replace(one, shape=moved)


def _has_unique_ids(objects: Sequence[OutlinedObject]) -> bool:
    return len({one.id for one in objects}) == len(objects)


def set_objects(
    store: ProjectStore,
    record: ImageRecord,
    labels: Labels,
    class_names: Mapping[int, str | None],
    *,
    is_finished: bool = False,
    annotator: str | None = None,
) -> int:
    """Put drawn and accepted objects in place of those that an image has.

    Parameters
    ----------
    store : ProjectStore
    record : ImageRecord
    labels : (H, W) uint32
    class_names : mapping of int to str or None
        Class of each id.
    is_finished : bool
        Whether the rest of the image is background.
    annotator : str or None

    Returns
    -------
    int
        Number of objects.
    """
    numbers = _class_numbers(store, class_names, annotator)
    boxes = ndimage.find_objects(labels.astype(np.int64))
    areas = np.bincount(labels.ravel())
    states: dict[int, ObjectState | None] = dict.fromkeys(store.objects(record.name))
    for number, box in enumerate(boxes, start=1):
        if box is not None:
            states[number] = ObjectState(
                class_id=numbers.get(class_names.get(number)),
                state=ReviewState.ACCEPTED,
                provenance=Provenance.DRAWN,
                source="user",
                area_px=float(areas[number]),
                box=(box[0].start, box[1].start, box[0].stop, box[1].stop),
            )
    before = store.labels(record.name)
    tile = TileState(box=(0, 0, *record.shape))
    tiles = (tile,) if is_finished and tile not in store.tiles(record.name) else ()
    count = sum(state is not None for state in states.values())
    is_same = np.array_equal(before, labels) and states == store.objects(record.name)
    if is_same and not tiles:
        return count
    store.append(
        EventKind.IMPORT,
        Change(objects=states, tiles=tiles),
        image=record.name,
        patch=_smallest_patch(before, labels),
        annotator=annotator,
    )
    return count


def hide_group(group: str, salt: str) -> str:
    """Return a name for a patient or slide that tells nothing outside the project."""
    return hashlib.sha256(f"{salt}:{group}".encode()).hexdigest()[:16]


def _class_numbers(
    store: ProjectStore,
    class_names: Mapping[int, str | None],
    annotator: str | None,
) -> dict[str | None, int]:
    """Return the project's number of each class; unknown ones join its list."""
    known = list(store.classes())
    numbers: dict[str | None, int] = {one.name: one.id for one in known}
    missing = sorted({name for name in class_names.values() if name} - set(numbers))
    for name in missing:
        number = max((one.id for one in known), default=0) + 1
        colour = _COLOURS[(number - 1) % len(_COLOURS)]
        known.append(ClassRecord(id=number, name=str(name), colour=colour))
        numbers[name] = number
    if missing:
        store.append(
            EventKind.CLASSES, Change(classes=tuple(known)), annotator=annotator
        )
    return numbers


def _smallest_patch(
    before: NDArray[np.uint32], after: NDArray[np.uint32]
) -> PixelPatch | None:
    changed = before != after
    rows = np.flatnonzero(changed.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(changed.any(axis=0))
    y0, x0, y1, x1 = (
        int(rows[0]),
        int(columns[0]),
        int(rows[-1]) + 1,
        int(columns[-1]) + 1,
    )
    return PixelPatch(
        (y0, x0, y1, x1), before[y0:y1, x0:x1].copy(), after[y0:y1, x0:x1].copy()
    )
