"""Brings the image of a pseudo-label into view."""

from typing import TYPE_CHECKING

from napari_segmoe.errors import NoImageError
from napari_segmoe.project.records import ImageRecord
from napari_segmoe.session.pseudo_rows import PseudoRow

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


def open_place(session: "Session", row: PseudoRow, record: ImageRecord) -> None:
    """Work on the image of a place; of a slide, on its region.

    Raises
    ------
    NoImageError
        If its file is not where it was, or another frame of it is shown.
    """
    if session.project.image_name == row.image:
        return
    worklist = session.worklist
    keys = {one.key for one in worklist.entries() if row.image in one.images}
    found = next((one for one in worklist.rows if one.key in keys), None)
    if found is not None and not _is_open(session, found.key):
        worklist.open(found)
    if record.region is not None:
        _show_region(session, record)
    if session.project.image_name != row.image:
        frame = f" at frame {record.frame + 1}" if record.frame else ""
        raise NoImageError(
            f"{row.title} could not be shown. Open it{frame} yourself, then try again."
        )


def _is_open(session: "Session", key: str) -> bool:
    slide = session.regions.slide
    return slide is not None and slide.key == key


def _show_region(session: "Session", record: ImageRecord) -> None:
    place = record.region
    assert place is not None, "it is a region"
    for one in session.regions.all:
        region = one.region
        if (region.origin_yx, region.step_yx, region.shape) == (
            place.origin_yx,
            place.step_yx,
            record.shape,
        ):
            session.regions.show(one.number)
            return
