"""The curves of a run, drawn while it trains."""

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_segmoe.session.run_history import RunHistory
from napari_segmoe.widgets.eliding_combo import ElidingComboBox

PLOT_HEIGHT_PX = 132
TRAIN_COLOUR = "#4C9BE8"
SCORE_COLOUR = "#E6A93C"
BEST_COLOUR = "#3FBF7F"
_FIRST = ("score", "dice", "iou", "object_f1")
LEAST_RANGE = 0.02
_AXIS_PX = 44
_STEPS_ALPHA = 90


class CurvesView(QWidget):
    """Training loss above, one validation figure below.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = RunHistory()
        self._wanted = ""
        self._loss = _make_plot()
        self._validation = _make_plot()
        self._validation.setXLink(self._loss)
        faint = pg.mkColor(TRAIN_COLOUR)
        faint.setAlpha(_STEPS_ALPHA)
        self._step_curve = self._loss.plot(pen=pg.mkPen(faint, width=1))
        self._loss_curve = _add_curve(self._loss, TRAIN_COLOUR)
        self._score_curve = _add_curve(self._validation, SCORE_COLOUR)
        self._best = pg.ScatterPlotItem(
            size=11, brush=pg.mkBrush(BEST_COLOUR), pen=pg.mkPen(None)
        )
        self._validation.addItem(self._best)
        self._figure = ElidingComboBox()
        self._figure.setToolTip("Figure of the validation to draw")
        self._figure.activated.connect(self._on_figure_activated)
        self._newest_loss, self._newest_score = QLabel(), QLabel()
        self._lay_out()
        self.show_history(self._history)

    @property
    def points(self) -> tuple[int, int]:
        """How many epochs and validations are drawn."""
        return _count(self._loss_curve), _count(self._score_curve)

    @property
    def figures(self) -> list[str]:
        """The validation's figures that can be drawn."""
        return [self._figure.itemData(at) for at in range(self._figure.count())]

    def set_colours(self, *, background: str, text: str) -> None:
        """Take the theme's colours, #RRGGBB."""
        for plot in (self._loss, self._validation):
            plot.setBackground(background)
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(pg.mkPen(text, width=1))
                axis.setTextPen(pg.mkPen(text))

    def show_history(self, history: RunHistory) -> None:
        """Draw a run."""
        self._history = history
        steps = history.step_losses
        self._step_curve.setData(steps.epochs, steps.losses)
        self._loss_curve.setData(*_columns(history.train_loss))
        newest = history.train_loss[-1][1] if history.train_loss else None
        if newest is None and steps.losses:
            newest = steps.losses[-1]
        self._newest_loss.setText("" if newest is None else f"{newest:.4g}")
        self._show_figures()
        self._show_score()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        title = QLabel("Training loss")
        self._figure.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._figure.setMinimumContentsLength(7)
        for first, newest, plot in (
            (title, self._newest_loss, self._loss),
            (self._figure, self._newest_score, self._validation),
        ):
            row = QHBoxLayout()
            row.setSpacing(8)
            row.addWidget(first, 1)
            newest.setAlignment(
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            )
            row.addWidget(newest)
            layout.addLayout(row)
            layout.addWidget(plot)
        layout.addWidget(_make_legend())

    def _show_figures(self) -> None:
        names = [name for name in _FIRST if name in self._history.scores]
        names += sorted(set(self._history.scores) - set(names))
        if names != self.figures:
            with signals_blocked(self._figure):
                self._figure.clear()
                for name in names:
                    words = name.replace("_", " ")
                    self._figure.addItem(f"Validation {words}", name)
                at = self._figure.findData(self._wanted)
                self._figure.setCurrentIndex(max(at, 0))
        self._figure.setEnabled(bool(names))
        self._figure.setPlaceholderText("Validation")

    def _show_score(self) -> None:
        name = self._figure.currentData()
        rows = self._history.scores.get(name, [])
        self._score_curve.setData(*_columns(rows))
        best = self._history.best
        at_best = [(x, y) for x, y in rows if best is not None and x == best[0]]
        self._best.setData(*_columns(at_best))
        newest = f"{rows[-1][1]:.3f}" if rows else ""
        if at_best:
            newest += f", best {at_best[-1][1]:.3f}"
        self._newest_score.setText(newest)

    def _on_figure_activated(self, _: int) -> None:
        self._wanted = str(self._figure.currentData())
        self._show_score()


def _make_plot() -> pg.PlotWidget:
    plot = pg.PlotWidget()
    plot.setFixedHeight(PLOT_HEIGHT_PX)
    plot.setMouseEnabled(x=False, y=False)  # the wheel scrolls the tab
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.showGrid(x=False, y=True, alpha=0.15)
    plot.getAxis("left").setWidth(_AXIS_PX)
    plot.getAxis("left").enableAutoSIPrefix(False)
    plot.getAxis("bottom").enableAutoSIPrefix(False)
    plot.getAxis("bottom").setTickDensity(0.6)
    plot.setLimits(minYRange=LEAST_RANGE)  # noise is not drawn as a mountain
    plot.setMinimumWidth(80)
    plot.wheelEvent = lambda event: event.ignore()
    plot.viewport().setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return plot


def _add_curve(plot: pg.PlotWidget, colour: str) -> pg.PlotDataItem:
    return plot.plot(
        pen=pg.mkPen(colour, width=2),
        symbol="o",
        symbolSize=5,
        symbolBrush=colour,
        symbolPen=None,
    )


def _make_legend() -> QLabel:
    """Return what the colours mean; the axis below counts epochs."""
    parts = (
        (TRAIN_COLOUR, "epochs (faint: steps)"),
        (SCORE_COLOUR, "validation"),
        (BEST_COLOUR, "best"),
    )
    text = "&nbsp;&nbsp; ".join(
        f'<span style="color:{colour}">●</span> {words}' for colour, words in parts
    )
    label = QLabel(text)
    label.setStyleSheet("font-size: 11px;")
    label.setToolTip("Both curves run over epochs.")
    return label


def _columns(rows: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in rows], [y for _, y in rows]


def _count(curve: pg.PlotDataItem) -> int:
    xs, _ = curve.getData()
    return 0 if xs is None else len(xs)
