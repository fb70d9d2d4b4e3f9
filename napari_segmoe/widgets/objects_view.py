"""The Objects tab: table of committed objects, and the classes."""

from collections import Counter
from itertools import groupby
from pathlib import Path

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.writer import save_objects
from napari_segmoe.widgets.class_delegate import ClassDelegate
from napari_segmoe.widgets.classes_view import ClassesView
from napari_segmoe.widgets.collapsible import make_collapsible
from napari_segmoe.widgets.correction_view import CorrectionView
from napari_segmoe.widgets.objects_filter import ObjectsFilter, make_state_combo
from napari_segmoe.widgets.objects_model import (
    CLASS_COLUMN,
    REGION_COLUMN,
    UNCLASSIFIED,
    ObjectsModel,
    Row,
)

WIDTHS = (38, 92, 66, 40, 48, 60, 60, 44, 66, 48)


class ObjectsView(QWidget):
    """A view of committed objects and classes.

    Parameters
    ----------
    session : Session
        The session.
    layers : LayerSync
        Zooms to an object.
    parent : QWidget or None
        Owner.
    """

    def __init__(
        self, session: Session, layers: LayerSync, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._layers = layers
        self._model = ObjectsModel(session, self)
        self._proxy = ObjectsFilter(self)
        self._proxy.setSourceModel(self._model)
        self._states = make_state_combo()
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("Filter: class, source, id …")
        self._filter.setClearButtonEnabled(True)
        self._table = QTableView()
        self._counts = QLabel()
        self._counts.setWordWrap(True)
        self._empty = QLabel(
            "No objects yet.\nSegment one and press C to keep it here."
        )
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setEnabled(False)
        self._save = QPushButton("Save objects…")
        self._save.setToolTip("Labels as 16-bit TIFF or PNG, and the table as JSON")
        self._delete = QPushButton("Delete")
        self._delete.setToolTip("Take the selected objects out (undo: Ctrl+Z)")
        self._check = QPushButton("Next uncertain   U")
        self._check.setToolTip("Go to the object the model is least sure of")
        self._tools = make_collapsible("Correct")
        self._tools.addWidget(CorrectionView(session))
        self._tools.expand(animate=False)
        self._classes = make_collapsible("Classes")
        self._classes.addWidget(ClassesView(session))
        self._set_up_table()
        self._lay_out()
        self._connect()
        self._on_objects_changed()

    def _connect(self) -> None:
        # view -> session
        self._filter.textChanged.connect(self._proxy.setFilterFixedString)
        self._states.activated.connect(self._on_states_activated)
        self._table.clicked.connect(self._on_row_clicked)
        self._table.selectionModel().selectionChanged.connect(self._on_rows_selected)
        self._delete.clicked.connect(self._on_delete_clicked)
        self._check.clicked.connect(self._on_check_clicked)
        self._save.clicked.connect(self._on_save_clicked)
        # session -> view
        session = self._session
        session.objects_changed.connect(self._on_objects_changed)
        session.classes_changed.connect(self._on_objects_changed)
        session.image_changed.connect(self._on_objects_changed)
        session.regions.regions_changed.connect(self._on_objects_changed)
        session.tools.changed.connect(self._on_tools_changed)

    @property
    def table(self) -> QTableView:
        """The table."""
        return self._table

    def selected_ids(self) -> list[int]:
        """Return the ids of the selected rows."""
        return [row.record.id for row in self.selected_rows()]

    def selected_rows(self) -> list[Row]:
        """Return the selected rows."""
        rows = self._table.selectionModel().selectedRows()
        return [self._model.rows[self._source_row(index)] for index in rows]

    def _set_up_table(self) -> None:
        table = self._table
        table.setModel(self._proxy)
        table.setItemDelegateForColumn(
            CLASS_COLUMN, ClassDelegate(self._session, table)
        )
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.SelectedClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        table.setSortingEnabled(True)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(26)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setMinimumHeight(180)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        for column, width in enumerate(WIDTHS):
            table.setColumnWidth(column, width)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self._check, 1)
        buttons.addWidget(self._delete)
        shown = QHBoxLayout()
        shown.setSpacing(6)
        shown.addWidget(self._filter, 1)
        shown.addWidget(self._states)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 10, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(shown)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self._table, 1)
        layout.addWidget(self._counts)
        layout.addLayout(buttons)
        layout.addWidget(self._tools)
        layout.addWidget(self._save)
        layout.addWidget(self._classes)

    def _on_objects_changed(self, _: object = None) -> None:
        records = [row.record for row in self._model.rows]
        has_objects = bool(records)
        is_one = len(self._session.regions.all) < 2
        self._table.setColumnHidden(REGION_COLUMN, is_one)
        for part in (self._table, self._filter, self._states, self._counts):
            part.setVisible(has_objects)
        self._empty.setVisible(not has_objects)
        for button in (self._delete, self._check, self._save):
            button.setEnabled(has_objects)
        table = self._session.classes.table
        names = Counter(
            entry.name if entry else UNCLASSIFIED
            for entry in (table.find(r.class_id) for r in records)
        )
        text = " · ".join(f"{count} {name}" for name, count in names.most_common())
        self._counts.setText(text)
        self._on_tools_changed()

    def _on_tools_changed(self) -> None:
        wanted = [self._model.row_of(one) for one in self._session.tools.ids]
        rows = [row for row in wanted if row is not None]
        known = [self._model.rows[row] for row in rows]
        if set(map(_identity, known)) == set(map(_identity, self.selected_rows())):
            return
        selection = self._table.selectionModel()
        flags = QItemSelectionModel.SelectionFlag
        with signals_blocked(selection):
            self._table.clearSelection()
            for row in rows:
                index = self._proxy.mapFromSource(self._model.index(row, 0))
                selection.select(index, flags.Select | flags.Rows)
                self._table.scrollTo(index)
        self._table.viewport().update()

    def _on_states_activated(self, index: int) -> None:
        self._proxy.show_states(self._states.itemData(index))

    def _on_rows_selected(self, _: QItemSelection, __: QItemSelection) -> None:
        rows = self.selected_rows()
        if rows:
            self._model.reach(rows[-1])
            beside = [row for row in rows if row.number == rows[-1].number]
            self._session.tools.choose(row.record.id for row in beside)

    def _on_row_clicked(self, index: QModelIndex) -> None:
        if index.column() != CLASS_COLUMN:
            row = self._model.rows[self._source_row(index)]
            self._model.reach(row)
            self._layers.zoom_to(row.record.id)

    def _on_delete_clicked(self) -> None:
        present = self._session.regions.current
        chosen = sorted(self.selected_rows(), key=lambda row: row.number or 0)
        for _, rows in groupby(chosen, key=lambda row: row.number):
            members = list(rows)
            self._model.reach(members[0])
            self._session.annotation.delete([row.record.id for row in members])
        if present is not None:
            self._session.regions.show(present.number)

    def _on_check_clicked(self) -> None:
        self._session.annotation.select_uncertain()
        selected = self._session.annotation.selected_id
        if selected is not None:
            self._layers.zoom_to(selected)

    def _on_save_clicked(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save objects", "objects.tif", "Labels (*.tif *.png)"
        )
        if path:
            run_action(self._session, lambda s: save_objects(Path(path), s))

    def _source_row(self, index: QModelIndex) -> int:
        return int(self._proxy.mapToSource(index).row())


def _identity(row: Row) -> tuple[int | None, int]:
    return row.identity
