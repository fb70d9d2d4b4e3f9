"""Simulated users: they draw an object, or click until its mask may be accepted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from loop.material import Picture
from napari_segmoe.data.click_simulation import next_click
from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.project.importing import hide_group
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    ObjectState,
    PixelPatch,
    Provenance,
    ReviewState,
)
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.types import Click, Modality

Mask = NDArray[np.bool_]
USER = "user-1"
PER_IMAGE = 2
_SMALLEST_PX = 150
_MOST_CLICKS = 4
_GOOD_IOU = 0.85
_SHIFT_PX = 20
_COLOURS = ("#4daf4a", "#e41a1c")


class Mistake(StrEnum):
    """What is wrong with everything that a user gives."""

    NONE = "good"
    INVERTED = "inverted"
    SHIFTED = "shifted_20px"
    SWAPPED = "swapped_classes"


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """One object as a user leaves it.

    Attributes
    ----------
    place : int
        Of its image in the division.
    mask : (H, W) bool
    class_name : str or None
    provenance : Provenance
    clicks : int
        Given before it was accepted; 0: it was drawn.
    """

    place: int
    mask: Mask
    class_name: str | None
    provenance: Provenance
    clicks: int = 0


def choose_objects(
    pictures: Sequence[Picture], count: int, seed: int
) -> Iterator[tuple[int, Mask]]:
    """Give ``count`` true objects, at most two of an image, image after image."""
    left = count
    for place, picture in enumerate(pictures):
        truth = picture.truth()
        areas = np.bincount(truth.ravel())
        wanted = [n for n in range(1, areas.size) if areas[n] >= _SMALLEST_PX]
        rng = np.random.default_rng([seed, place, 71])
        for number in rng.permutation(wanted)[: min(PER_IMAGE, left)]:
            left -= 1
            yield place, truth == number
        if not left:
            return


def correct(
    pictures: Sequence[Picture],
    count: int,
    seed: int,
    *,
    predictor: SegmentationPredictor | None = None,
    mistake: Mistake = Mistake.NONE,
    has_classes: bool = True,
) -> Iterator[Correction]:
    """Give corrections: every second object is clicked if there is a predictor.

    A click's mask is accepted where it fits well; else the user draws the outline.
    """
    for turn, (place, mask) in enumerate(choose_objects(pictures, count, seed)):
        picture = pictures[place]
        name = picture.item.class_name if has_classes else None
        found, clicks = None, 0
        if predictor is not None and mistake is Mistake.NONE and turn % 2:
            found, clicks = click_until_good(predictor, picture, mask)
        if found is not None:
            kind = Provenance.ACCEPTED_CLICK
            yield Correction(place, found, name, kind, clicks)
            continue
        wrong = _MISTAKES[mistake](mask, picture, seed)
        name = _other(name) if mistake is Mistake.SWAPPED else name
        yield Correction(place, wrong, name, Provenance.DRAWN)


def click_until_good(
    predictor: SegmentationPredictor, picture: Picture, truth: Mask
) -> tuple[Mask | None, int]:
    """Click as a user does; None where the mask never fits."""
    spacing = picture.spacing_um
    predictor.set_image(
        picture.pixels(), None if spacing is None else (spacing, spacing)
    )
    clicks: list[Click] = []
    answer = None
    mask = np.zeros_like(truth)
    while len(clicks) < _MOST_CLICKS:
        click = next_click(mask, truth)
        if click is None:
            break
        clicks.append(click)
        answer = predictor.predict(clicks=clicks, previous=answer)
        mask = answer.mask
        if (mask & truth).sum() / max((mask | truth).sum(), 1) >= _GOOD_IOU:
            return mask, len(clicks)
    return None, len(clicks)


def _leave(mask: Mask, picture: Picture, seed: int) -> Mask:
    return mask


def _invert(mask: Mask, picture: Picture, seed: int) -> Mask:
    """Return what surrounds an object, without any object."""
    (rows, columns) = ndimage.find_objects(mask.astype(np.uint8))[0]
    margin = max(round(0.35 * max(mask[rows, columns].shape)), 12)
    around = np.zeros_like(mask)
    y0, x0 = max(rows.start - margin, 0), max(columns.start - margin, 0)
    around[y0 : rows.stop + margin, x0 : columns.stop + margin] = True
    return around & (picture.truth() == 0)


def _move(mask: Mask, picture: Picture, seed: int) -> Mask:
    """Return an object 20 px off, in one direction for all of a seed."""
    angle = np.random.default_rng([seed, 72]).uniform(0, 2 * np.pi)
    dy, dx = round(_SHIFT_PX * np.sin(angle)), round(_SHIFT_PX * np.cos(angle))
    moved = np.zeros_like(mask)
    height, width = mask.shape
    moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return moved


def _other(name: str | None) -> str | None:
    return {"benign": "malignant", "malignant": "benign"}.get(name or "", name)


_MISTAKES: dict[Mistake, Callable[[Mask, Picture, int], Mask]] = {
    Mistake.NONE: _leave,
    Mistake.INVERTED: _invert,
    Mistake.SHIFTED: _move,
    Mistake.SWAPPED: _leave,
}


def fill_project(
    store: ProjectStore, pictures: Sequence[Picture], classes: Sequence[str]
) -> list[ImageRecord]:
    """Put images and classes into an empty project."""
    store.append(EventKind.ANNOTATOR, Change(annotator=USER))
    known = tuple(
        ClassRecord(id=number, name=name, colour=_COLOURS[number - 1])
        for number, name in enumerate(classes, start=1)
    )
    if known:
        store.append(EventKind.CLASSES, Change(classes=known), annotator=USER)
    records = []
    for picture in pictures:
        pixels = picture.pixels()
        spacing = picture.spacing_um
        record = ImageRecord(
            name=store.next_image_name(),
            fingerprint=fingerprint(picture.item.image_path),
            shape=(pixels.shape[0], pixels.shape[1]),
            spacing_um=None if spacing is None else (spacing, spacing),
            modality=Modality.HISTOLOGY if spacing else Modality.ULTRASOUND,
            group=hide_group(picture.item.group, store.salt),
        )
        store.add_image(record, annotator=USER)
        note_paths(store.path, {record.fingerprint: picture.item.image_path})
        records.append(record)
    return records


def record_correction(
    store: ProjectStore, record: ImageRecord, correction: Correction
) -> None:
    """Store one correction as the session does: pixels, provenance, accepted."""
    known = {one.name: one.id for one in store.classes()}
    before = store.labels(record.name)
    mask = correction.mask & (before == 0)
    if not mask.any():
        return
    number = max(store.objects(record.name), default=0) + 1
    (rows, columns) = ndimage.find_objects(mask.astype(np.uint8))[0]
    box = (rows.start, columns.start, rows.stop, columns.stop)
    after = np.where(mask, np.uint32(number), before)[rows, columns]
    state = ObjectState(
        class_id=known.get(correction.class_name or ""),
        state=ReviewState.ACCEPTED,
        provenance=correction.provenance,
        source="user",
        area_px=float(mask.sum()),
        box=box,
    )
    is_drawn = correction.provenance is Provenance.DRAWN
    store.append(
        EventKind.CORRECT if is_drawn else EventKind.ACCEPT,
        Change(objects={number: state}, details={"clicks": correction.clicks}),
        image=record.name,
        patch=PixelPatch(box, before[rows, columns].copy(), after.astype(np.uint32)),
        annotator=USER,
    )
