"""Make, rename, recolour, delete and map classes."""

from functools import partial

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.classes import ClassEntry
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.widgets.icons import dot_icon
from napari_segmoe.widgets.rows import clear_rows

UNMAPPED = "unmapped"


class ClassesView(QWidget):
    """A view of the user's classes and of what the model's classes map to.

    Parameters
    ----------
    session : Session
        The session.
    parent : QWidget or None
        Owner.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows = QVBoxLayout()
        self._rows.setSpacing(4)
        self._name = QLineEdit()
        self._name.setPlaceholderText("New class")
        self._add = QPushButton("Add")
        self._add.setToolTip("Make a class of this name")
        self._mapping = QFormLayout()
        self._mapping.setContentsMargins(0, 0, 0, 0)
        self._mapping.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        self._mapping_title = QLabel("The model's class becomes")
        new = QHBoxLayout()
        new.setSpacing(6)
        new.addWidget(self._name, 1)
        new.addWidget(self._add)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(self._rows)
        layout.addLayout(new)
        layout.addWidget(self._mapping_title)
        layout.addLayout(self._mapping)
        # view -> session
        self._add.clicked.connect(self._on_add_clicked)
        self._name.returnPressed.connect(self._on_add_clicked)
        # session -> view
        session.classes_changed.connect(self._on_classes_changed)
        session.model_changed.connect(self._on_classes_changed)
        self._on_classes_changed()

    def _on_classes_changed(self) -> None:
        clear_rows(self._rows)
        for entry in self._session.classes.table.entries:
            self._rows.addWidget(self._make_row(entry))
        while self._mapping.rowCount():
            self._mapping.removeRow(0)
        names = self._session.model.mapped_classes()
        self._mapping_title.setVisible(bool(names))
        for name in names:
            self._mapping.addRow(name, self._make_mapping(name))

    def _make_row(self, entry: ClassEntry) -> QWidget:
        row = QWidget()
        colour = _make_tool("", "Change the colour")
        colour.setIcon(dot_icon(entry.colour))
        name = QLineEdit(entry.name)
        name.setToolTip("Rename: type and press Return")
        delete = _make_tool("✕", f"Delete {entry.name}; its objects stay, unclassified")
        colour.clicked.connect(partial(self._on_colour_clicked, entry))
        name.editingFinished.connect(partial(self._on_name_edited, entry, name))
        delete.clicked.connect(partial(self._on_delete_clicked, entry))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(colour)
        layout.addWidget(name, 1)
        layout.addWidget(delete)
        return row

    def _make_mapping(self, model_class: str) -> QComboBox:
        table = self._session.classes.table
        combo = QComboBox()
        with signals_blocked(combo):
            combo.addItem(UNMAPPED, None)
            for entry in table.entries:
                combo.addItem(dot_icon(entry.colour), entry.name, entry.id)
            mapped = table.resolve(model_class)
            combo.setCurrentIndex(combo.findData(mapped.id) if mapped else 0)
        combo.activated.connect(partial(self._on_mapping_picked, model_class, combo))
        return combo

    def _on_add_clicked(self) -> None:
        name = self._name.text()
        self._name.clear()
        run_action(self._session, lambda s: s.classes.make(name))

    def _on_colour_clicked(self, entry: ClassEntry, _: object = None) -> None:
        colour = QColorDialog.getColor(
            QColor(entry.colour), self, "Colour of the class"
        )
        if colour.isValid():
            self._session.classes.recolour(entry.id, colour.name())

    def _on_name_edited(self, entry: ClassEntry, name: QLineEdit) -> None:
        if name.text() != entry.name:
            run_action(self._session, lambda s: s.classes.rename(entry.id, name.text()))

    def _on_delete_clicked(self, entry: ClassEntry, _: object = None) -> None:
        run_action(self._session, lambda s: s.classes.delete(entry.id))

    def _on_mapping_picked(
        self, model_class: str, combo: QComboBox, index: int
    ) -> None:
        self._session.classes.map(model_class, combo.itemData(index))


def _make_tool(text: str, tooltip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tooltip)
    button.setFixedSize(QSize(26, 26))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
