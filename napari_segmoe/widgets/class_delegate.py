"""Edits a class in a table cell with a combo box."""

from qtpy.QtCore import QAbstractItemModel, QObject, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.drawing import UNCLASSIFIED_COLOUR
from napari_segmoe.widgets.icons import dot_icon
from napari_segmoe.widgets.objects_model import UNCLASSIFIED, AnyIndex


class ClassDelegate(QStyledItemDelegate):
    """A combo of the user's classes with their colours.

    Parameters
    ----------
    session : Session
        Whose classes to offer.
    parent : QObject or None
        Owner.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session

    def createEditor(  # noqa: N802
        self,
        parent: QWidget,
        option: QStyleOptionViewItem,
        index: AnyIndex,
    ) -> QWidget:
        """Return the combo, which commits what is picked at once."""
        combo = QComboBox(parent)
        combo.addItem(dot_icon(UNCLASSIFIED_COLOUR), UNCLASSIFIED, None)
        for entry in self._session.classes.table.entries:
            combo.addItem(dot_icon(entry.colour), entry.name, entry.id)
        combo.activated.connect(lambda _: self._commit(combo))
        return combo

    def setEditorData(self, editor: QWidget, index: AnyIndex) -> None:  # noqa: N802
        """Show the present class, and open the list."""
        if isinstance(editor, QComboBox):
            class_id = index.data(Qt.ItemDataRole.EditRole)
            editor.setCurrentIndex(max(0, editor.findData(class_id)))

    def setModelData(  # noqa: N802
        self, editor: QWidget, model: QAbstractItemModel, index: AnyIndex
    ) -> None:
        """Assign the class picked."""
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentData(), Qt.ItemDataRole.EditRole)

    def _commit(self, combo: QComboBox) -> None:
        self.commitData.emit(combo)
        self.closeEditor.emit(combo)
