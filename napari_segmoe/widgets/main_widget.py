"""The dock: builds session, runner, layers and views of one viewer."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_segmoe.errors import SegmoeError
from napari_segmoe.project.recent_projects import note_project
from napari_segmoe.session.correction_tools import ToolGesture
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.jobs import JobRunner
from napari_segmoe.session.model_state import FIRST_CHOICE
from napari_segmoe.session.predictor import (
    DeviceReader,
    ModelChoice,
    PredictorLoader,
)
from napari_segmoe.session.session import Session
from napari_segmoe.session.torch_backend import TorchDevices, load_torch_predictor
from napari_segmoe.viewer.heatmaps import HeatmapLayers
from napari_segmoe.viewer.keys import run_action
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.scale_bar import ScaleBar
from napari_segmoe.viewer.sessions import drop_session, keep_session
from napari_segmoe.viewer.view_in_sight import ViewInSight
from napari_segmoe.viewer.worklist_opening import WorklistOpening
from napari_segmoe.widgets.dock_tabs import DockTabs
from napari_segmoe.widgets.empty_view import EmptyView
from napari_segmoe.widgets.evaluate_tab import make_evaluate_tab
from napari_segmoe.widgets.evaluate_view import EvaluateView
from napari_segmoe.widgets.heatmaps_view import HeatmapsView
from napari_segmoe.widgets.lazy_tab import LazyTab
from napari_segmoe.widgets.none_guard import protect_none
from napari_segmoe.widgets.objects_view import ObjectsView
from napari_segmoe.widgets.project_banner import ProjectBanner
from napari_segmoe.widgets.project_view import ProjectView
from napari_segmoe.widgets.qt_runner import QtJobRunner
from napari_segmoe.widgets.segment_view import SegmentView
from napari_segmoe.widgets.status_view import StatusView
from napari_segmoe.widgets.train_tab import make_train_tab
from napari_segmoe.widgets.unsaved_dialog import CloseGuard, settle_unsaved
from napari_segmoe.widgets.worklist_bar import WorklistBar

if TYPE_CHECKING:
    from napari_segmoe.widgets.train_view import TrainView

PLUGIN = "napari-segmoe"
SMALLEST_WIDTH_PX = 300
HEATMAPS_TAB = 2
RUNS_MS = 500  # between looks at what trains
PATTERNS = (
    *("*.png", "*.jpg", "*.jpeg", "*.bmp", "*.tif", "*.tiff", "*.dcm"),
    *("*.svs", "*.ndpi", "*.mrxs", "*.scn", "*.bif", "*.vms", "*.vmu", "*.svslide"),
)


class MainWidget(QWidget):
    """The dock's content; closing it ends the session's worker.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer the dock belongs to. napari's menu passes it to a widget class with
        a parameter of this name, and to nothing else.
    session : Session or None
        Its session; by default a new one with the real predictor.
    """

    def __init__(self, napari_viewer: Any, session: Session | None = None) -> None:
        protect_none()
        super().__init__()
        # napari may hand plugins a proxy, whose layers are proxies too and never `is`
        # the viewer's own; sessions and layers are told apart by identity.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        if session is None:
            session = Session(
                load_torch_predictor, QtJobRunner(), devices=TorchDevices()
            )
        keep_session(viewer, session)
        self._viewer = viewer
        self.session = session
        self.layers = LayerSync(viewer, session)
        self.heatmap_layers = HeatmapLayers(viewer, session, self.layers)
        self._scale_bar = ScaleBar(viewer, session)
        self._sight = ViewInSight(viewer, self.layers, session)
        self._opening = WorklistOpening(viewer, session, self.layers)
        self._status = StatusView(session, self.layers, viewer)
        self._banner = ProjectBanner(session)
        self._bar = WorklistBar(session)
        self._segment = LazyTab(self._make_segment)
        self._objects = LazyTab(lambda: ObjectsView(session, self.layers))
        self._heatmaps = LazyTab(lambda: HeatmapsView(session, self.heatmap_layers))
        self._project = LazyTab(self._make_project)
        self._known_project: Path | None = None
        self._empty = EmptyView(
            self._open_sample, self._open_file, self._show_project, self._open_project
        )
        self._pages = QStackedWidget()
        self._train = LazyTab(lambda: make_train_tab(session, self.layers, viewer))
        self._evaluate = LazyTab(
            lambda: make_evaluate_tab(session, self.layers, viewer)
        )
        self._tabs = DockTabs()
        self._lay_out()
        self._connect()
        self.destroyed.connect(
            partial(
                _close_session,
                viewer,
                session,
                self.heatmap_layers,
                self.layers,
                self._status,
            )
        )
        self._runs_timer = QTimer(self)
        self._runs_timer.timeout.connect(session.training_runs.poll)
        self._runs_timer.start(RUNS_MS)
        shown = getattr(viewer, "window", None)  # a model of a viewer has none
        window = getattr(shown, "_qt_window", None)
        self._guard = CloseGuard(session, window, self) if window else None
        self._on_image_changed(session.image)

    @property
    def segment(self) -> SegmentView:
        """The Segment tab."""
        return self._segment.view

    @property
    def objects(self) -> ObjectsView:
        """The Objects tab."""
        return self._objects.view

    @property
    def heatmaps(self) -> HeatmapsView:
        """The Heatmaps tab."""
        return self._heatmaps.view

    @property
    def project(self) -> ProjectView:
        """The Project tab."""
        return self._project.view

    @property
    def banner(self) -> ProjectBanner:
        """What must be known of the project."""
        return self._banner

    @property
    def worklist_bar(self) -> WorklistBar:
        """Where one is in the worklist."""
        return self._bar

    @property
    def train(self) -> "TrainView":
        """The Train tab."""
        return self._train.view

    @property
    def evaluate(self) -> EvaluateView:
        """The Evaluate tab."""
        return self._evaluate.view

    @property
    def tabs(self) -> QTabWidget:
        """The tabs."""
        return self._tabs

    def _lay_out(self) -> None:
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._segment)
        for page, title in (
            (self._pages, "Segment"),
            (self._objects, "Objects"),
            (self._heatmaps, "Heatmaps"),
            (self._train, "Train"),
            (self._evaluate, "Evaluate"),
            (self._project, "Project"),
        ):
            self._tabs.addTab(page, title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 4)
        layout.setSpacing(8)
        layout.addWidget(self._status)
        layout.addWidget(self._bar)
        layout.addWidget(self._banner)
        layout.addWidget(self._tabs, 1)
        self.setMinimumWidth(SMALLEST_WIDTH_PX)
        # else napari adds a stretch, in a second window one as strong as our pages
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _connect(self) -> None:
        session = self.session
        session.image_changed.connect(self._on_image_changed)
        session.regions.regions_changed.connect(self._on_regions_changed)
        session.objects_changed.connect(self._on_objects_changed)
        session.explaining_changed.connect(self._on_explaining_changed)
        session.project_changed.connect(self._on_project_changed)
        session.tools.changed.connect(self._on_tools_changed)
        self._tabs.currentChanged.connect(self._on_tab_changed)
        session.failed.connect(self._on_failed)
        session.notified.connect(show_info)
        self._viewer.events.theme.connect(self._on_theme_changed)

    def _make_segment(self) -> SegmentView:
        view = SegmentView(self.session, self._go_to_region)
        view.set_accent(self._accent())
        return view

    def _make_project(self) -> ProjectView:
        view = ProjectView(self.session)
        view.set_accent(self._accent())
        return view

    def _show_project(self) -> None:
        self._tabs.setCurrentWidget(self._project)

    def _open_project(self, path: Path) -> None:
        if settle_unsaved(self.session, self):
            run_action(self.session, lambda s: s.project.open(path))

    def _on_project_changed(self) -> None:
        path = self.session.project.path
        if path == self._known_project:
            return
        self._known_project = path
        if path is not None:
            note_project(path)
            if not self.session.has_image:
                self._show_project()
        self._empty.show_recent()

    def _on_tools_changed(self) -> None:
        if self.session.tools.gesture is not ToolGesture.NONE:
            self.layers.activate_prompts()  # there the drag is waited for

    def _accent(self) -> str:
        return str(get_theme(self._viewer.theme).current.as_hex())

    def _go_to_region(self, number: int) -> None:
        self.session.regions.show(number)
        self.layers.zoom_to_image()

    def _on_image_changed(self, _: SessionImage | None) -> None:
        QTimer.singleShot(0, self, self.layers.activate_prompts)
        self._on_regions_changed()

    def _on_regions_changed(self) -> None:
        page = self._segment if self.session.has_image else self._empty
        self._pages.setCurrentWidget(page)
        self._on_objects_changed()

    def _on_objects_changed(self, _: object = None) -> None:
        regions = self.session.regions
        records = regions.objects if regions.slide else self.session.annotation.records
        count = len(records)
        self._tabs.setTabText(1, f"Objects ({count})" if count else "Objects")

    def _on_tab_changed(self, index: int) -> None:
        self.session.explaining.show_explanations(index == HEATMAPS_TAB)

    def _on_explaining_changed(self) -> None:
        if self.session.explaining.is_open:
            self._tabs.setCurrentIndex(HEATMAPS_TAB)

    def _on_theme_changed(self, _: object = None) -> None:
        if self._segment.is_made:
            self.segment.set_accent(self._accent())
        if self._project.is_made:
            self.project.set_accent(self._accent())

    def _on_failed(self, error: Exception) -> None:
        show_error(str(error))

    def _open_sample(self, key: str) -> None:
        self._try_to(lambda: self._viewer.open_sample(PLUGIN, key))

    def _open_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Open an image or slide",
            "",
            f"Images and slides ({' '.join(PATTERNS)});;All files (*)",
        )
        if path:
            self._try_to(lambda: self._viewer.open(path, plugin=PLUGIN))

    def _try_to(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except (SegmoeError, OSError, KeyError, ValueError) as error:
            show_error(str(error))


def make_main_widget(
    viewer: Any,
    *,
    load_predictor: PredictorLoader = load_torch_predictor,
    devices: DeviceReader | None = None,
    runner: JobRunner | None = None,
    weights: str = FIRST_CHOICE.weights,
) -> MainWidget:
    """Return the dock of a viewer, with another predictor, devices or runner.

    Parameters
    ----------
    viewer : Viewer
        The napari viewer.
    load_predictor : PredictorLoader
        Reads weights, on the worker.
    devices : DeviceReader or None
        Tells about devices; by default torch's.
    runner : JobRunner or None
        Runs slow work; by default a `QtJobRunner`.
    weights : str
        Weights to begin with.
    """
    is_default = load_predictor is load_torch_predictor
    reader = TorchDevices() if devices is None and is_default else devices
    session = Session(
        load_predictor,
        runner or QtJobRunner(),
        devices=reader,
        choice=ModelChoice(weights),
    )
    return MainWidget(viewer, session)


def _close_session(
    viewer: Any,
    session: Session,
    heatmaps: HeatmapLayers,
    layers: LayerSync,
    status: StatusView,
    _: object = None,
) -> None:
    heatmaps.close()
    layers.close()
    status.close_connections()
    session.close()
    drop_session(viewer)
