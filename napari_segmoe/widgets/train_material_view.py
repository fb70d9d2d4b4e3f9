"""What there is to learn from: counts, how it is judged, and what is wrong with it."""

from collections.abc import Iterable
from html import escape

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_segmoe.project.hold_out import HoldOutMode
from napari_segmoe.project.records import Provenance
from napari_segmoe.project.round_material import Material
from napari_segmoe.session.session import Session
from napari_segmoe.widgets.heatmap_row import make_small_text
from napari_segmoe.widgets.slide_view import WARNING_COLOUR

NO_PROJECT = (
    "No project is open. Open or make one in the Project tab: corrections are kept"
    " there, and the model learns from them."
)
COUNTING = "Counting…"
SETTLE_MS = 700  # painting changes objects many times a second
UNCLASSIFIED_COLOUR = "#9AA0A8"
_PROVENANCES = {
    Provenance.DRAWN: "drawn by hand",
    Provenance.ACCEPTED_CLICK: "clicked",
    Provenance.ACCEPTED_AUTOMATIC: "found and accepted",
    Provenance.MODEL: "accepted as it was",
}


class MaterialView(QWidget):
    """A view of the open project's material.

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
        self._material = session.training_runs.material
        self._total = _make_label()
        self._classes = _make_label()
        self._origins = make_small_text("")
        self._judged = make_small_text("")
        self._warnings = _make_label()
        self._warnings.setStyleSheet(f"color: {WARNING_COLOUR};")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in self._parts:
            layout.addWidget(part)
        # view -> session
        self._settle.timeout.connect(self._on_settled)
        # session -> view
        self._material.changed.connect(self._on_material_changed)
        session.project_changed.connect(self._on_project_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.worklist_changed.connect(self._on_objects_changed)
        session.training_runs.runs_changed.connect(self._on_objects_changed)
        self._on_material_changed()

    @property
    def text(self) -> str:
        """All that is said, a line a part."""
        shown = (part for part in self._parts if not part.isHidden())
        return "\n".join(part.text() for part in shown)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Count what was not counted while hidden."""
        super().showEvent(event)
        self._material.count()

    @property
    def _parts(self) -> tuple[QLabel, ...]:
        counts = (self._total, self._classes, self._origins, self._judged)
        return (*counts, self._warnings)

    def _on_project_changed(self) -> None:
        self._on_material_changed()
        self._on_objects_changed()

    def _on_objects_changed(self, _: object = None) -> None:
        if self.isVisible():
            self._settle.start()

    def _on_settled(self) -> None:
        if self.isVisible():
            self._material.count()

    def _on_material_changed(self) -> None:
        material = self._material.counted
        if material is None:
            self._say_nothing()
            return
        self._total.setText(say_total(material))
        colours = {
            entry.name: entry.colour for entry in self._session.classes.table.entries
        }
        self._classes.setText(say_classes(material, colours))
        self._origins.setText(say_origins(material))
        self._judged.setText(say_judged(material))
        self._warnings.setText(say_warnings(material.warnings))
        self._show_parts()

    def _say_nothing(self) -> None:
        if self._session.project.path is None:
            words = NO_PROJECT
        else:
            words = self._material.failure or COUNTING
        self._total.setText(words)
        for part in self._parts[1:]:
            part.setText("")
        self._show_parts()

    def _show_parts(self) -> None:
        for part in self._parts:
            part.setVisible(bool(part.text()))


def say_total(material: Material) -> str:
    """Say how much there is."""
    objects = _count(material.accepted, "accepted object")
    return f"<b>{objects}</b> in {_count(material.images, 'image')}"


def say_classes(material: Material, colours: dict[str, str]) -> str:
    """Say how many objects there are of each class, with its colour."""
    counts = sorted(
        material.by_class.items(), key=lambda one: (one[0] is None, -one[1])
    )
    parts = []
    for name, count in counts:
        colour = colours.get(name or "", UNCLASSIFIED_COLOUR)
        words = escape(name) if name else "unclassified"
        parts.append(f'<span style="color:{colour}">●</span> {count} {words}')
    return " &nbsp; ".join(parts)


def say_origins(material: Material) -> str:
    """Say who made the objects, and what else the project holds."""
    parts = [
        f"{material.by_provenance[origin]} {words}"
        for origin, words in _PROVENANCES.items()
        if material.by_provenance.get(origin)
    ]
    if material.finished_tiles:
        parts.append(_count(material.finished_tiles, "finished tile"))
    if material.proposed and material.accepted:
        parts.append(f"{_count(material.proposed, 'proposal')} not accepted yet")
    if material.other_images:
        parts.append(f"{_count(material.other_images, 'image')} without labels")
    return " · ".join(parts)


def say_judged(material: Material) -> str:
    """Say on what a round will be judged."""
    mode = material.hold_out.mode
    if mode is HoldOutMode.QUARANTINE:
        held = _count(material.held_out, "object")
        return f"Judged on {held} held back, which it never learns from."
    if mode is HoldOutMode.CROSS_FITTING:
        folds = len(set(material.hold_out.fold_of.values()))
        return f"Judged by cross-fitting in {folds} parts: each learns from the others."
    return ""


def say_warnings(warnings: Iterable[str]) -> str:
    """Return warnings, a line each."""
    return "<br>".join(f"⚠ {escape(one)}" for one in warnings)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _make_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label
