"""Which objects the table shows: by text, and by how far their review is."""

from qtpy.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt
from qtpy.QtCore import QSortFilterProxyModel as QProxy
from qtpy.QtWidgets import QComboBox

from napari_segmoe.project.records import ReviewState
from napari_segmoe.widgets.icons import dot_icon
from napari_segmoe.widgets.objects_model import SORT_ROLE, STATE_ROLE

STATE_COLOURS = {
    ReviewState.PROPOSED: "#8A8F98",
    ReviewState.ACCEPTED: "#3FBF7F",
    ReviewState.REVIEWED: "#35A0E0",
    ReviewState.LOCKED: "#E6A93C",
}
ANY_STATE = "Any state"
TO_REVIEW = "Not reviewed"
_OPEN = (ReviewState.PROPOSED, ReviewState.ACCEPTED)


class ObjectsFilter(QProxy):
    """Sorted rows whose text and state are asked for.

    Parameters
    ----------
    parent : QObject or None
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._states: tuple[ReviewState, ...] = ()
        self.setSortRole(SORT_ROLE)
        self.setFilterKeyColumn(-1)
        self.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

    def show_states(self, states: tuple[ReviewState, ...]) -> None:
        """Show objects of these states only; none named: of all."""
        self._states = states
        self.invalidate()

    def filterAcceptsRow(  # noqa: N802
        self, row: int, parent: QModelIndex | QPersistentModelIndex
    ) -> bool:
        """Say whether a row is shown."""
        if self._states:
            model = self.sourceModel()
            assert model is not None
            if model.data(model.index(row, 0, parent), STATE_ROLE) not in self._states:
                return False
        return bool(super().filterAcceptsRow(row, parent))


def make_state_combo() -> QComboBox:
    """Return a choice of states; its data are tuples for `ObjectsFilter`."""
    combo = QComboBox()
    combo.setToolTip("Show objects by how far their review is")
    combo.addItem(ANY_STATE, ())
    combo.addItem(TO_REVIEW, _OPEN)
    for state, colour in STATE_COLOURS.items():
        combo.addItem(dot_icon(colour), state.value.capitalize(), (state,))
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    combo.setMinimumContentsLength(7)
    return combo
