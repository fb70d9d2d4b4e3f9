"""The Evaluate tab: a truth layer by real clicks, tables, colours, comparisons."""

import csv

import numpy as np
import pytest
from napari._qt.qt_resources import get_stylesheet
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QScrollArea

from napari_segmoe.session.evaluation_table import table_of_report
from napari_segmoe.session.folder_scoring import FolderQuestion
from napari_segmoe.viewer.agreement_layer import NAME, AgreementLayer, truth_of
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets.evaluate_view import NO_TRUTH, EvaluateView, Subject
from napari_segmoe.widgets.evaluation_model import say_cell
from tests.session.fakes import FakePredictor, make_pixels, make_session
from tests.session.test_evaluating import report

NARROW_PX = 330


def make_labels():
    labels = np.zeros((64, 64), np.uint32)
    labels[8:24, 8:24], labels[36:52, 30:50] = 1, 2
    return labels


@pytest.fixture
def show(qtbot):
    hosts, views = [], []  # else Python deletes them with what they hold

    def show(session, viewer):
        layers = LayerSync(viewer, session)
        view = EvaluateView(session, AgreementLayer(viewer, session, layers), viewer)
        host = QScrollArea()
        host.setStyleSheet(get_stylesheet("dark"))
        host.setWidgetResizable(True)
        host.setWidget(view)
        host.resize(NARROW_PX, 900)
        hosts.append(host)
        views.append(view)
        qtbot.addWidget(host)
        host.show()
        return view

    yield show
    for view in views:
        view.close_connections()


@pytest.fixture
def viewer():
    made = ViewerModel()
    made.add_image(make_pixels(), name="scan", scale=(2, 2))
    return made


def commit_both(session):
    for y, x in ((12, 12), (40, 40)):
        session.prompting.add_click(y, x)
        session.annotation.commit()


def test_without_a_truth_layer_the_tab_says_which_one_it_wants(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    assert view._no_truth.text() == NO_TRUTH
    assert view._no_truth.isVisible()
    assert not view._start.isEnabled()
    viewer.add_labels(make_labels(), name="manual")
    assert view.truth_names == ["manual"]
    assert not view._no_truth.isVisible()
    assert view._start.isEnabled()
    viewer.layers.remove("manual")
    assert not view._start.isEnabled()


def test_our_own_layers_are_no_truth(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    commit_both(session)
    assert any(isinstance(layer, Labels) for layer in viewer.layers)
    assert view.truth_names == []


def test_objects_are_scored_and_drawn_where_the_image_lies(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    viewer.add_labels(make_labels(), name="manual", scale=(2, 2))
    commit_both(session)
    view._start.click()
    texts = view.result.figure_texts
    assert texts["RQ"] == "1.000"
    assert texts["Dice"].startswith("0.92")
    assert view.result.names == ["scan"]
    layer = viewer.layers[NAME]
    assert layer.data[10, 10] == 1
    assert layer.data[40, 53] == 2
    assert layer.data_to_world((10, 10)) == (20, 20)
    assert not layer.editable
    assert view._legend.isVisible()
    view._overlay.click()
    assert NAME not in viewer.layers
    assert not view._legend.isVisible()
    view._overlay.click()
    assert NAME in viewer.layers
    view.result._forget.click()
    assert NAME not in viewer.layers
    assert not view.result.isVisible()


def test_the_overlay_follows_the_image_and_a_user_who_removes_it(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    viewer.add_labels(make_labels(), name="manual")
    commit_both(session)
    view._start.click()
    viewer.layers.remove(NAME)
    view._start.click()
    assert NAME in viewer.layers


def test_a_features_table_names_the_classes_of_a_truth():
    features = {"index": [1, 2], "class": ["benign", ""]}
    truth = truth_of(Labels(make_labels(), features=features))
    assert truth.class_of == {1: "benign"}
    assert truth_of(Labels(make_labels())).class_of is None


def test_what_cannot_be_compared_is_said(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    viewer.add_labels(np.ones((8, 8), int), name="small")
    commit_both(session)
    view._start.click()
    assert "small is 8 x 8 px" in str(session.failures[-1])
    assert session.evaluating.table is None


def test_rows_are_sorted_by_any_figure_undefined_ones_last(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    session.evaluating.table = table_of_report(report("glands", 0.8))
    session.evaluating.changed.emit()
    at = list(view.result._model.columns).index("hd95")
    view.result.table.sortByColumn(at, Qt.SortOrder.AscendingOrder)
    assert view.result.names == ["a.png", "b.png"]
    view.result.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert view.result.names == ["b.png", "a.png"]
    assert view.result.notes == "2 images"
    assert view.result.figure_texts["Dice"] == "0.800 (0.70-0.90)"


def test_a_comparison_tells_differences_and_colours_sure_ones(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    both = {
        "weights": report("v2", 0.8),
        "against": report("glands", 0.7),
        "difference": {
            "dice": {"mean": 0.1, "low": 0.05, "high": 0.2, "p": 0.01},
            "hd95": {"mean": 0.5, "low": -1.02, "high": 2.03, "p": 0.6},
        },
    }
    session.evaluating.table = table_of_report(both)
    session.evaluating.changed.emit()
    grid = view.result._grid
    texts = [
        [
            item.widget().text() if (item := grid.itemAtPosition(row, column)) else ""
            for column in range(5)
        ]
        for row in range(grid.rowCount())
    ]
    assert ["", "v2", "glands", "change", "95 % interval"] in texts
    dice = next(row for row in texts if row[0] == "Dice")
    assert dice[1:3] == ["0.800", "0.700"]
    assert "+0.100" in dice[3]
    assert "color" in dice[3]
    assert dice[4] == "+0.05 to +0.20"
    hd95 = next(row for row in texts if row[0].startswith("HD95"))
    assert hd95[3] == "+0.500"
    assert view.minimumSizeHint().width() <= NARROW_PX - 36


def test_the_table_is_saved_as_csv(show, viewer, tmp_path, monkeypatch):
    session = make_session(image=False)
    view = show(session, viewer)
    session.evaluating.table = table_of_report(report("glands", 0.8))
    session.evaluating.changed.emit()
    path = tmp_path / "scores.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    view.result._save.click()
    with path.open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["b.png", "a.png"]


def test_a_folder_needs_a_name_and_offers_all_weights(show, viewer):
    session = make_session(image=False)
    view = show(session, viewer)
    view._subjects[Subject.FOLDER].click()
    assert not view._start.isEnabled()
    view.folder_form.data.setText("some/where")
    assert view._start.isEnabled()
    weights = view.folder_form.weights
    names = [weights.itemData(at) for at in range(weights.count())]
    assert {"glands", "breast_ultrasound"} <= set(names)
    view.folder_form.against.setCurrentIndex(
        view.folder_form.against.findData("glands")
    )
    asked = view.folder_form.question
    assert (asked.split, asked.against) == ("test", "glands")
    view._start.click()
    assert "is no folder" in str(session.failures[-1])


def test_a_row_of_a_folder_opens_its_image_with_its_truth(open_window, bright_folder):
    window = open_window(load_predictor=lambda weights, *, device: FakePredictor())
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    view = window.dock.evaluate
    evaluating = window.session.evaluating
    evaluating.question = FolderQuestion(bright_folder, "test", "fake")
    told = report("fake", 0.8)
    told["images"] = [{"name": "benign_0", "dice": 0.8}]
    evaluating.table = table_of_report(told)
    evaluating.changed.emit()
    view.result.table.doubleClicked.emit(view.result._proxy.index(0, 0))
    names = [layer.name for layer in window.viewer.layers]
    assert "benign_0" in names
    truth = window.viewer.layers["Truth of benign_0"]
    assert truth.data.shape == (64, 64)
    assert truth.data.any()
    assert view.truth_names[-1] == truth.name


def test_a_real_folder_is_scored_from_the_tab_by_real_clicks(
    open_window, bright_folder, qtbot
):
    """With shipped weights: whatever they say of squares, every image gets a row."""
    window = open_window(load_predictor=lambda weights, *, device: FakePredictor())
    window.viewer.add_image(make_pixels(), name="scan")
    window.wait_for_prompts_layer()
    window.viewer.window._qt_window.resize(1200, 1000)
    tabs = window.dock.tabs
    names = [tabs.tabText(at) for at in range(tabs.count())]
    tabs.setCurrentIndex(names.index("Evaluate"))
    view = window.dock.evaluate
    qtbot.waitUntil(view.isVisible)
    QTest.mouseClick(view._subjects[Subject.FOLDER], Qt.MouseButton.LeftButton)
    QTest.keyClicks(view.folder_form.data, str(bright_folder))
    at = view.folder_form.weights.findData("breast_ultrasound")
    view.folder_form.weights.setCurrentIndex(at)
    QTest.mouseClick(view._start, Qt.MouseButton.LeftButton)
    evaluating = window.session.evaluating
    assert evaluating.is_running
    qtbot.waitUntil(lambda: evaluating.table is not None, timeout=120_000)
    assert sorted(view.result.names) == [
        "benign_0",
        "malignant_1",
        "normal_2",
    ]
    assert "1 of them without an object" in view.result.notes


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (0.81234, "0.812"),
        (12.345, "12.3"),
        (3, "3"),
        (1.0, "1"),
        ("a", "a"),
    ],
)
def test_cells_are_short(value, words):
    assert say_cell(value) == words
