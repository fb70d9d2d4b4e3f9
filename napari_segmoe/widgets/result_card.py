"""The answer in words and bars: class, probabilities, notes."""

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_segmoe.session.session import Session
from napari_segmoe.types import Prediction
from napari_segmoe.viewer.drawing import PROPOSAL_COLOUR
from napari_segmoe.widgets.rows import clear_rows

HINT = "Click the object. The mask and its class appear at once."
WAITING_FOR_MODEL = "The model is loading; your click is answered when it is ready."
FAILURE_COLOUR = "#FF5C5C"
EMPTY = "No object here"
EMPTY_HINT = "Click inside the object, or draw a box around it."


class ProbabilityBar(QWidget):
    """One class with its probability as a thin bar.

    Parameters
    ----------
    name, probability, colour
        What to show; probability in 0..1, colour #RRGGBB.
    """

    def __init__(self, name: str, probability: float, colour: str) -> None:
        super().__init__()
        self._name, self._probability = name, probability
        self._colour = QColor(colour)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(f"{name}: {probability:.3f}")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the height of one line of text and a bar."""
        return QSize(120, self.fontMetrics().height() + 9)

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802
        """Draw name, number and bar."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line = self.rect().adjusted(0, 0, 0, -7)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, self._name)
        number = f"{self._probability:.2f}"
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, number)
        groove = QRectF(0, self.height() - 6, self.width(), 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(128, 128, 128, 70))
        painter.drawRoundedRect(groove, 2, 2)
        groove.setWidth(max(4.0, groove.width() * self._probability))
        painter.setBrush(self._colour)
        painter.drawRoundedRect(groove, 2, 2)
        painter.end()


class ResultCard(QFrame):
    """A view of the session's prediction.

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
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._headline = QLabel()
        self._headline.setWordWrap(True)
        self._headline.setTextFormat(Qt.TextFormat.RichText)
        self._notes = QLabel()
        self._notes.setWordWrap(True)
        self._bars = QVBoxLayout()
        self._bars.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(8)
        layout.addWidget(self._headline)
        layout.addLayout(self._bars)
        layout.addWidget(self._notes)
        layout.addStretch(1)
        self.setMinimumHeight(124)
        # session -> view
        session.prediction_changed.connect(self._on_changed)
        session.busy_changed.connect(self._on_changed)
        session.status_changed.connect(self._on_changed)
        session.classes_changed.connect(self._on_changed)
        session.prompts_changed.connect(self._on_changed)
        self._on_changed()

    @property
    def headline(self) -> str:
        """What the card says, without mark-up."""
        return str(self._headline.property("plain"))

    def _on_changed(self, _: object = None) -> None:
        prediction = self._session.prediction
        plain, colour = self._say(prediction)
        self._headline.setProperty("plain", plain)
        dot = f'<span style="color:{colour}">●</span>&nbsp; ' if colour else ""
        size = "font-size:15px;font-weight:600" if prediction else ""
        self._headline.setText(f'{dot}<span style="{size}">{plain}</span>')
        notes = self._note_lines(prediction)
        self._notes.setText("<br>".join(notes))
        self._notes.setVisible(bool(notes))
        self._show_bars(prediction)

    def _say(self, prediction: Prediction | None) -> tuple[str, str]:
        if self._session.prompting.failure:
            return "No answer", FAILURE_COLOUR
        if self._session.is_busy and prediction is None:
            loading = self._session.model.is_loading
            return (WAITING_FOR_MODEL if loading else "Segmenting…"), ""
        if prediction is None:
            return HINT, ""
        if not prediction.labels.any():
            return EMPTY, ""
        if self._session.snapshot.is_automatic:
            count = len(prediction.objects)
            return f"{count} object{'' if count == 1 else 's'} found", ""
        return self._say_class(prediction)

    def _say_class(self, prediction: Prediction) -> tuple[str, str]:
        if prediction.classes is None or prediction.class_name is None:
            return "Mask without a class", PROPOSAL_COLOUR
        name = prediction.class_name
        probability = prediction.classes[name]
        if prediction.is_uncertain:
            return f"uncertain ({name} {probability:.2f})", PROPOSAL_COLOUR
        entry = self._session.classes.table.resolve(name)
        shown = entry.name if entry else f"{name} (unmapped)"
        colour = entry.colour if entry else PROPOSAL_COLOUR
        return f"{shown} {probability:.2f}", colour

    def _note_lines(self, prediction: Prediction | None) -> tuple[str, ...]:
        if self._session.prompting.failure:
            return (self._session.prompting.failure,)
        if prediction is None:
            return ()
        if not prediction.labels.any():
            return prediction.notes or (EMPTY_HINT,)
        return prediction.notes

    def _show_bars(self, prediction: Prediction | None) -> None:
        clear_rows(self._bars)
        if self._session.prompting.failure or not _has_classes(prediction):
            return
        assert prediction is not None
        assert prediction.classes is not None
        table = self._session.classes.table
        for name, probability in prediction.classes.items():
            entry = table.resolve(name)
            colour = entry.colour if entry else PROPOSAL_COLOUR
            self._bars.addWidget(ProbabilityBar(name, probability, colour))


def _has_classes(prediction: Prediction | None) -> bool:
    return (
        prediction is not None
        and bool(prediction.classes)
        and bool(prediction.labels.any())
    )
