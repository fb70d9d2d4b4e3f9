"""The regions that an ultrasound DICOM file states, and their scale."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_segmoe.types import Spacing

_CENTIMETRES = 3
_TWO_DIMENSIONAL = 1
_TISSUE_OR_FLOW = {1, 2}
_UM_PER_CM = 10_000.0


@dataclass(frozen=True, slots=True)
class Region:
    """One two-dimensional region, half open, in pixels of the frame."""

    y0: int
    x0: int
    y1: int
    x1: int
    spacing_um: Spacing | None


def stated_regions(dataset: Any, frame: int) -> tuple[Region, ...]:
    """Return the two-dimensional regions of one frame, largest first.

    A frame's own functional group comes before the shared one and the file's.
    """
    for source in _sources(dataset, frame):
        sequence = source.get("SequenceOfUltrasoundRegions")
        if sequence:
            found = [_region(item) for item in sequence if _is_two_dimensional(item)]
            found.sort(
                key=lambda one: (one.y1 - one.y0) * (one.x1 - one.x0), reverse=True
            )
            return tuple(one for one in found if not _is_inside_another(one, found))
    return ()


def regions_in_frame(
    regions: Sequence[Region], height: int, width: int
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Clip regions to the frame; drop those that were made for a frame of another size.

    A region that ends beyond the frame on one side was cut off with the picture: its
    scale holds. One that ends beyond it on both was made for a larger picture, which
    was shrunk since: neither its place nor its scale holds.

    Returns
    -------
    tuple of Region, tuple of str
        What is left, and what was done in sentences.
    """
    kept, notes = [], []
    for region in regions:
        # Many devices write the end as the first pixel beyond: one more is no fault.
        beyond_y, beyond_x = region.y1 > height + 1, region.x1 > width + 1
        clipped = replace(region, y1=min(region.y1, height), x1=min(region.x1, width))
        is_empty = clipped.y1 <= clipped.y0 or clipped.x1 <= clipped.x0
        if is_empty or (beyond_y and beyond_x):
            notes.append(_misfit_sentence(region, height, width))
            continue
        if beyond_y or beyond_x:
            notes.append("A stated region ends beyond the frame and was clipped to it.")
        kept.append(clipped)
    return tuple(kept), tuple(notes)


def _misfit_sentence(region: Region, height: int, width: int) -> str:
    scale = region.spacing_um
    stated = f" of {scale[0]:.4g} x {scale[1]:.4g} um a pixel" if scale else ""
    return (
        f"The stated region (rows {region.y0} to {region.y1}, columns {region.x0} to "
        f"{region.x1}) does not fit the {height} x {width} px frame, so its scale"
        f"{stated} is not used; give the scale by hand to measure."
    )


def _sources(dataset: Any, frame: int) -> list[Any]:
    sources = []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if frame < len(per_frame):
        sources.append(per_frame[frame])
    sources += list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    return [*sources, dataset]


def _is_two_dimensional(item: Any) -> bool:
    return (
        item.get("RegionSpatialFormat") == _TWO_DIMENSIONAL
        and item.get("RegionDataType", 1) in _TISSUE_OR_FLOW
        and all(
            name in item
            for name in (
                "RegionLocationMinX0", "RegionLocationMinY0",
                "RegionLocationMaxX1", "RegionLocationMaxY1",
            )
        )
    )  # fmt: skip


def _region(item: Any) -> Region:
    return Region(
        int(item.RegionLocationMinY0),
        int(item.RegionLocationMinX0),
        int(item.RegionLocationMaxY1) + 1,
        int(item.RegionLocationMaxX1) + 1,
        _spacing_um(item),
    )


def _spacing_um(item: Any) -> Spacing | None:
    units = (item.get("PhysicalUnitsYDirection"), item.get("PhysicalUnitsXDirection"))
    y = abs(float(item.get("PhysicalDeltaY", 0) or 0)) * _UM_PER_CM
    x = abs(float(item.get("PhysicalDeltaX", 0) or 0)) * _UM_PER_CM
    if units != (_CENTIMETRES, _CENTIMETRES) or y == 0 or x == 0:
        return None
    return y, x


def _is_inside_another(region: Region, others: Sequence[Region]) -> bool:
    """Whether a region (a colour box) lies in another one, listed before it."""
    return any(
        other.y0 <= region.y0 and other.x0 <= region.x0
        and other.y1 >= region.y1 and other.x1 >= region.x1
        for other in others[: list(others).index(region)]
    )  # fmt: skip
