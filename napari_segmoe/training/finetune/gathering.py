"""From a project's objects to what a round learns from and is judged by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_segmoe.models.card import WeightsCard
from napari_segmoe.project.hold_out import UnitLevel
from napari_segmoe.project.records import ImageRecord, PixelBox
from napari_segmoe.training.finetune.known import known_ids
from napari_segmoe.training.finetune.pictures import Pictures
from napari_segmoe.training.finetune.probes import Probe, ProbeAnswer
from napari_segmoe.training.finetune.snapshot import LearntPatch, Snapshot
from napari_segmoe.training.finetune.view_places import ViewPlace, leave_out
from napari_segmoe.training.finetune.views import (
    Correction,
    PartialSample,
    Sight,
    make_source,
    plain_view,
    with_ids,
)
from napari_segmoe.training.sources import Source

LEAST_OBJECT_PX = 20
_MOST_PROBES = 240
_HARDEST = 3.0
_FLAT = 0.03
_TRIES = 6


@dataclass(frozen=True, slots=True, eq=False)
class GatheredPatch:
    """A patch with its pixels; ``source`` knows nothing of them yet."""

    patch: LearntPatch
    source: Source
    scale: float

    def known(self, held: int | None) -> Source:
        """Return the source with what is known without the objects of a fold."""
        objects = [one for one in self.patch.objects if one.fold != held]
        return with_ids(
            self.source, known_ids(self.patch, objects, pixel_px=self.scale), {}
        )


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """All that a round works with.

    Attributes
    ----------
    patches : tuple of GatheredPatch
        Of images that could be read.
    probes : tuple of Probe
        One an object, at most 240; those of a fold judge what learnt without it.
    classes : mapping of str to int
        Number of each project class among the weights' classes.
    notes : tuple of str
        What is left out, and why.
    """

    patches: tuple[GatheredPatch, ...]
    probes: tuple[Probe, ...]
    classes: Mapping[str, int]
    notes: tuple[str, ...]


def gather(
    snapshot: Snapshot,
    pictures: Pictures,
    card: WeightsCard,
    sight: Sight,
    *,
    class_map: Mapping[str, str] | None,
    seed: int,
) -> Gathered:
    """Read the images behind a snapshot; what is missing is left out and said."""
    classes, notes = map_classes(snapshot, card, class_map)
    patches = []
    for patch in snapshot.patches:
        pixels = pictures.read(patch.record, patch.box)
        if pixels is None:
            continue
        pixel_um = sight.pixel_um(patch.record.spacing_um)
        name = f"{patch.record.name}/{patch.box[0]}/{patch.box[1]}"
        source = make_source(name, pixels, sight, pixel_um)
        scale = sight.scale(source.shape, pixel_um)
        patches.append(GatheredPatch(patch, source, scale))
    by_tile = snapshot.level is UnitLevel.TILE
    probes = [
        probe
        for one in patches
        for probe in _probes(one, sight, classes, by_tile=by_tile)
    ]
    if len(probes) > _MOST_PROBES:
        order = np.random.default_rng([seed, 41]).permutation(len(probes))
        probes = [probes[i] for i in sorted(order[:_MOST_PROBES])]
    return Gathered(
        tuple(patches),
        tuple(probes),
        classes,
        (*notes, *pictures.missing.values()),
    )


def map_classes(
    snapshot: Snapshot, card: WeightsCard, class_map: Mapping[str, str] | None
) -> tuple[dict[str, int], list[str]]:
    """Return the weights' class of each project class, by name or as mapped.

    Where ``class_map`` is None, classes are not learnt.

    Returns
    -------
    dict, list of str
        And what is not learnt, in sentences.
    """
    if class_map is None:
        return {}, ["Masks are learnt from, classes are not: the settings say so."]
    known = {name.casefold(): n for n, name in enumerate(card.object_classes)}
    used = sorted({one.class_name for one in snapshot.objects if one.class_name})
    found: dict[str, int] = {}
    for name in used:
        wanted = class_map.get(name, name).casefold()
        if wanted in known:
            found[name] = known[wanted]
    strange = [name for name in used if name not in found]
    if not strange:
        return found, []
    has = ", ".join(card.object_classes) or "no classes of objects"
    return found, [
        f"Masks of {', '.join(strange)} are learnt from, their class is not: the"
        f" weights know {has}."
    ]


def _probes(
    one: GatheredPatch, sight: Sight, classes: Mapping[str, int], *, by_tile: bool
) -> Iterator[Probe]:
    name = one.patch.record.name
    whole = one.known(None)
    for fold in sorted({found.fold for found in one.patch.objects}):
        others = {found.fold for found in one.patch.objects} - {fold}
        source = whole
        if others:  # the image is parted: what other folds know does not judge
            objects = [found for found in one.patch.objects if found.fold == fold]
            ids = known_ids(one.patch, objects, pixel_px=one.scale)
            source = with_ids(one.source, ids, {})
        for found in one.patch.objects:
            if found.fold != fold:
                continue
            y0, x0, y1, x1 = found.box
            image, ids = plain_view(
                source, ((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2), sight
            )
            if (ids == found.id).sum() < LEAST_OBJECT_PX:
                continue
            number = classes.get(found.class_name or "", -1)
            yield Probe(
                (image * 255).round().to(torch.uint8),
                ids,
                found.id,
                number,
                name,
                f"{name}/{found.unit}" if by_tile else name,
                found.unit,
                found.fold,
            )


def corrections(
    gathered: Gathered,
    held: int | None,
    *,
    hardness: Mapping[tuple[str, int], float],
) -> list[Correction]:
    """Return the objects to learn from without those of a fold.

    Parameters
    ----------
    gathered : Gathered
    held : int or None
        Fold that is held out; None: nothing is.
    hardness : mapping of (str, int) to float
        Of objects by image and id; see `hardness_of`.
    """
    found = []
    for one in gathered.patches:
        objects = {o.id: o for o in one.patch.objects if o.fold != held}
        if not objects:
            continue
        source = one.known(held)
        for box in source.objects:
            learnt = objects.get(box.id)
            if learnt is None:
                continue
            number = gathered.classes.get(learnt.class_name or "", -1)
            key = (one.patch.record.name, box.id)
            found.append(
                Correction(
                    source,
                    replace(box, class_number=number),
                    learnt.weight,
                    hardness.get(key, 1.0),
                )
            )
    return found


def hardness_of(
    probes: Sequence[Probe], answers: Sequence[ProbeAnswer]
) -> dict[tuple[str, int], float]:
    """Return how often each object is shown: 1 + log2(1 + errors / area), at most 3."""
    found = {}
    for probe, said in zip(probes, answers, strict=True):
        known = probe.ids >= 0
        errors = (((said.scores > 0) != (probe.ids > 0)) & known).sum()
        value = 1 + np.log2(1 + errors / max(probe.own.sum(), 1))
        found[probe.record, probe.object_id] = float(min(value, _HARDEST))
    return found


def tissue_views(
    gathered: Gathered,
    snapshot: Snapshot,
    pictures: Pictures,
    sight: Sight,
    *,
    count: int,
    seed: int,
) -> list[PartialSample]:
    """Return views of the project's tissue whose answers may be kept.

    Half of other images where there are any, half around nothing in particular of the
    images that corrections are of: there what is known is left to the corrections.
    Where a model's answers were rejected none is kept.

    Returns
    -------
    list of PartialSample
        ``ids`` is -1 where an answer counts, 0 where corrections say what is true, or
        answers were rejected.
    """
    rng = np.random.default_rng([seed, 42])
    parts = [_Part(one.known(None), one.patch.record, one.patch.box)
             for one in gathered.patches]  # fmt: skip
    wanted = count // 2 if snapshot.others else 0
    for record in snapshot.others[: max(wanted, 0)]:
        part = _read_other(record, pictures, sight, rng)
        if part is not None:
            parts.append(part)
    parts = [one.without(snapshot.rejected.get(one.record.name, ())) for one in parts]
    found: list[PartialSample] = []
    order = rng.permutation(len(parts))
    for number in range(count if parts else 0):
        found.append(_tissue(parts[order[number % len(parts)]], sight, rng))
        if sight.spacing_um is None and number + 1 >= len(parts):
            break  # a whole image shows itself once
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A part of an image, with what is known of it."""

    source: Source
    record: ImageRecord
    box: PixelBox

    def without(self, boxes: Sequence[PixelBox]) -> "_Part":
        return replace(self, source=leave_out(self.source, self.box, boxes))


def _read_other(
    record: ImageRecord, pictures: Pictures, sight: Sight, rng: np.random.Generator
) -> _Part | None:
    """Return a part of an image that is as large as what a network sees, or all."""
    pixel_um = sight.pixel_um(record.spacing_um)
    box = (0, 0, *record.shape)
    if sight.spacing_um is not None and pixel_um is not None:
        side = round(1.5 * sight.input_px * sight.scale(record.shape, pixel_um))
        corner = [int(rng.integers(max(size - side, 0) + 1)) for size in record.shape]
        ends = [
            min(c + side, size) for c, size in zip(corner, record.shape, strict=True)
        ]
        box = (corner[0], corner[1], ends[0], ends[1])
    pixels = pictures.read(record, box)
    if pixels is None:
        return None
    return _Part(make_source(record.name, pixels, sight, pixel_um), record, box)


def _tissue(part: _Part, sight: Sight, rng: np.random.Generator) -> PartialSample:
    """Return a view of a place that shows something, if one is soon found."""
    source = part.source
    for _ in range(_TRIES):
        half = [min(0.35 * sight.side(source), size / 2) for size in source.shape]
        y, x = (
            float(rng.uniform(margin, size - margin)) - 0.5
            for margin, size in zip(half, source.shape, strict=True)
        )
        image, ids = plain_view(source, (y, x), sight)
        if float(image.std(dim=(1, 2)).mean()) > _FLAT:
            break
    centre = source.centre_yx if sight.spacing_um is None else (y, x)
    return PartialSample(
        image,
        np.where(ids >= 0, 0, -1).astype(np.int32),
        place=ViewPlace(part.record, part.box, centre, sight.side(source)),
    )
