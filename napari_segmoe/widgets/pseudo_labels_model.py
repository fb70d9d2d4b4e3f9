"""Pseudo-labels as a Qt table."""

from qtpy.QtGui import QIcon

from napari_segmoe.project.records import PlaceVerdict
from napari_segmoe.session.pseudo_rows import PseudoRow
from napari_segmoe.widgets.icons import dot_icon, ring_icon
from napari_segmoe.widgets.places_model import PlacesModel

TITLES = ("image", "objects", "sure")
TIPS = (
    "The file's name, which stays on this computer",
    "Objects that the model found there",
    "How sure the model is of their pixels, on average, 0 to 1",
)
VERDICTS = {
    PlaceVerdict.PROPOSED: "Proposed: not looked at yet",
    PlaceVerdict.ACCEPTED: "Accepted: objects now, that rounds learn from",
    PlaceVerdict.REJECTED: "Rejected: no round learns from this place, and it is not"
    " proposed again",
}
PROPOSED_COLOUR = "#8A8F98"
ACCEPTED_COLOUR, REJECTED_COLOUR = "#3FBF7F", "#FF5C5C"


class PseudoLabelsModel(PlacesModel[PseudoRow]):
    """Rows are places, in the session's order; see `PlacesModel`."""

    titles, tips = TITLES, TIPS

    def text_of(self, row: PseudoRow, column: int) -> str:
        """Return what a cell shows."""
        return _text(row, column)

    def icon_of(self, row: PseudoRow) -> QIcon:
        """Return the icon of its verdict."""
        return verdict_icon(row.verdict)

    def tip_of(self, row: PseudoRow) -> str:
        """Return the row in full."""
        return describe(row)


def verdict_icon(verdict: PlaceVerdict) -> QIcon:
    """Return a ring for what waits, a dot for what was judged."""
    if verdict is PlaceVerdict.PROPOSED:
        return ring_icon(PROPOSED_COLOUR)
    is_accepted = verdict is PlaceVerdict.ACCEPTED
    return dot_icon(ACCEPTED_COLOUR if is_accepted else REJECTED_COLOUR)


def describe(row: PseudoRow) -> str:
    """Return a row in full, for a tooltip."""
    y0, x0, y1, x1 = row.box
    parts = [row.title, VERDICTS[row.verdict], f"In the project: {row.image}"]
    if row.tile:
        parts.append(f"Tile {row.tile}: rows {y0} to {y1}, columns {x0} to {x1}")
    parts.append(f"Proposed by {row.source.replace('_', ' ')}")
    if row.weight is not None:
        parts.append(f"Taught the round with weight {row.weight:.2g}")
    if row.agreement is not None:
        parts.append(f"The learning network agreed on {100 * row.agreement:.0f} %")
    return "\n".join(parts)


def _text(row: PseudoRow, column: int) -> str:
    if column == 0:
        return row.title if not row.tile else f"{row.title} · {row.tile}"
    if column == 1:
        return str(row.objects)
    return "" if row.confidence is None else f"{row.confidence:.2f}"
