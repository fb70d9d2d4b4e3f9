"""The worklist as a Qt table."""

from qtpy.QtGui import QIcon

from napari_segmoe.session.worklist import WorklistRow, WorklistStatus
from napari_segmoe.widgets.icons import dot_icon, ring_icon
from napari_segmoe.widgets.places_model import PlacesModel

STATUS_COLOURS = {
    WorklistStatus.UNTOUCHED: "#8A8F98",
    WorklistStatus.STARTED: "#E6A93C",
    WorklistStatus.DONE: "#3FBF7F",
}
STATUS_TIPS = {
    WorklistStatus.UNTOUCHED: "Nothing is annotated yet",
    WorklistStatus.STARTED: "Started",
    WorklistStatus.DONE: "Done: what is no object is background",
}
TITLES = ("image", "objects", "unsure")
TIPS = (
    "The file's name, which stays on this computer; hold the mouse over it for its"
    " number in the project",
    "Objects that were kept",
    "How unsure the model is of this image, 0 to 1: choose 'Most uncertain first'",
)


class WorklistModel(PlacesModel[WorklistRow]):
    """Rows are images, in the session's order; see `PlacesModel`."""

    titles, tips = TITLES, TIPS

    @property
    def current(self) -> int | None:
        """Place of the image worked on, or None."""
        return next((at for at, row in enumerate(self._rows) if row.is_current), None)

    def text_of(self, row: WorklistRow, column: int) -> str:
        """Return what a cell shows."""
        return _text(row, column)

    def icon_of(self, row: WorklistRow) -> QIcon:
        """Return the icon of its status."""
        return status_icon(row.status)

    def tip_of(self, row: WorklistRow) -> str:
        """Return the row in full."""
        return describe(row)


def status_icon(status: WorklistStatus) -> QIcon:
    """Return a dot for what is begun, a ring for what is not."""
    make = ring_icon if status is WorklistStatus.UNTOUCHED else dot_icon
    return make(STATUS_COLOURS[status])


def describe(row: WorklistRow) -> str:
    """Return a row in full, for a tooltip."""
    parts = [row.title, STATUS_TIPS[row.status]]
    if row.image:
        parts.append(f"In the project: {row.image}")
    if row.is_missing:
        parts.append("The file is not where it was: open it from where it lies now.")
    return "\n".join(parts)


def _text(row: WorklistRow, column: int) -> str:
    if column == 0:
        return f"{row.title} (missing)" if row.is_missing else row.title
    if column == 1:
        return str(row.objects) if row.objects else ""
    return "" if row.uncertainty is None else f"{row.uncertainty:.2f}"
