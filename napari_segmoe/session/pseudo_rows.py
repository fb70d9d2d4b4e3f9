"""Pseudo-labels as a list: where they are, and what became of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from napari_segmoe.project.judged_places import covers
from napari_segmoe.project.proposals import ProposedPlace
from napari_segmoe.project.records import JudgedPlace, PixelBox, PlaceVerdict
from napari_segmoe.session.worklist_entries import WorklistEntry

Judged = Mapping[str, Sequence[JudgedPlace]]  # by image


@dataclass(frozen=True, slots=True)
class PseudoRow:
    """One place of the list.

    Attributes
    ----------
    key : str
        Names it in the list.
    image : str
        Name in the project.
    title : str
        Name of the file, for people on this computer only.
    box : (y0, x0, y1, x1)
        In the image's pixels.
    source : str
        What proposed it: a round, or the weights that were asked.
    verdict : PlaceVerdict
    objects : int
    confidence, agreement, weight : float or None
        See `ProposedPlace`.
    has_pixels : bool
        Whether it can be shown and accepted; not, where only its rejection is known.
    tile : int
        Number among the places of its image, from 1; 0: it is all of the image.
    is_current : bool
        Whether its image is the one worked on.
    """

    key: str
    image: str
    title: str
    box: PixelBox
    source: str
    verdict: PlaceVerdict
    objects: int
    confidence: float | None
    agreement: float | None
    weight: float | None
    has_pixels: bool
    tile: int
    is_current: bool


def key_of(image: str, box: PixelBox, source: str) -> str:
    """Return what names a place in the list."""
    return f"{image} {','.join(map(str, box))} {source}"


def verdict_on(
    places: Iterable[JudgedPlace], box: PixelBox, source: str
) -> PlaceVerdict:
    """Return what became of a place of an image."""
    found = PlaceVerdict.PROPOSED
    for one in places:
        if one.verdict is PlaceVerdict.REJECTED and covers(one.box, box):
            return PlaceVerdict.REJECTED
        if (one.box, one.source) == (box, source):
            found = one.verdict
    return found


def make_rows(
    places: Sequence[ProposedPlace],
    judged: Judged,
    entries: Iterable[WorklistEntry],
    shapes: Mapping[str, tuple[int, int]],
    *,
    current: str | None,
) -> tuple[PseudoRow, ...]:
    """Return all places: those with pixels, then what else was rejected.

    Parameters
    ----------
    places : sequence of ProposedPlace
    judged : mapping of str to sequence of JudgedPlace
        By image.
    entries : iterable of WorklistEntry
        The files, for their titles.
    shapes : mapping of str to (H, W)
        Of the project's images.
    current : str or None
        The image worked on.
    """
    titles = _titles(entries)
    rows = [
        _row(
            one.image,
            JudgedPlace(
                box=one.box,
                verdict=verdict_on(judged.get(one.image, ()), one.box, one.source),
                source=one.source,
                figures=one.figures,
            ),
            titles,
            shapes,
            has_pixels=True,
            is_current=one.image == current,
        )
        for one in places
    ]
    listed: dict[str, list[PixelBox]] = {}
    for one in places:
        listed.setdefault(one.image, []).append(one.box)
    rows += [
        _row(image, one, titles, shapes, has_pixels=False, is_current=image == current)
        for image, found in sorted(judged.items())
        for one in found
        if one.verdict is PlaceVerdict.REJECTED
        and not any(covers(one.box, box) for box in listed.get(image, ()))
    ]
    return _numbered({row.key: row for row in rows}.values())


def _numbered(rows: Iterable[PseudoRow]) -> tuple[PseudoRow, ...]:
    """Return rows whose tiles are counted in each image."""
    counts: dict[str, int] = {}
    found = []
    for row in rows:
        if row.tile:
            counts[row.image] = counts.get(row.image, 0) + 1
            row = replace(row, tile=counts[row.image])
        found.append(row)
    return tuple(found)


def _row(
    image: str,
    place: JudgedPlace,
    titles: Mapping[str, str],
    shapes: Mapping[str, tuple[int, int]],
    *,
    has_pixels: bool,
    is_current: bool,
) -> PseudoRow:
    figures = place.figures
    return PseudoRow(
        key_of(image, place.box, place.source),
        image,
        titles.get(image, image),
        place.box,
        place.source,
        place.verdict,
        int(figures.get("objects", 0)),
        figures.get("confidence"),
        figures.get("agreement"),
        figures.get("weight"),
        has_pixels,
        int(place.box != (0, 0, *shapes.get(image, (0, 0)))),
        is_current,
    )


def _titles(entries: Iterable[WorklistEntry]) -> dict[str, str]:
    """Return a name for people of each image; regions of a slide have a number."""
    found = {}
    for entry in entries:
        for number, image in enumerate(entry.images, start=1):
            is_one = len(entry.images) == 1
            found[image] = entry.title if is_one else f"{entry.title} {number}"
    return found
