"""Views of a slide follow the session's regions, and act on them."""

from pathlib import Path

import pytest
from napari._qt.qt_resources import get_stylesheet
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

import napari_segmoe
from napari_segmoe.session.slide_scene import RegionChoice, SpacingSource
from napari_segmoe.types import RegionEstimate, RegionProgress
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets import region_texts
from napari_segmoe.widgets.empty_view import SAMPLES
from napari_segmoe.widgets.main_widget import MainWidget
from napari_segmoe.widgets.objects_model import COLUMNS, REGION_COLUMN
from napari_segmoe.widgets.objects_view import ObjectsView
from napari_segmoe.widgets.region_view import COUNTING, DRAG, LOOK, RegionView
from napari_segmoe.widgets.segment_view import SegmentView
from napari_segmoe.widgets.slide_view import SlideView
from tests.session.fakes import make_image, make_session
from tests.widgets.slide_fakes import (
    SIDE,
    SPACED,
    SteppingRunner,
    make_scene,
    make_slide_session,
)

WHOLE = (0.0, 0.0, float(SIDE), float(SIDE))


@pytest.fixture
def show(qtbot):
    hosts = []  # else Python deletes them with what they hold

    def show(view):
        host = QWidget()
        hosts.append(host)
        QVBoxLayout(host).addWidget(view)
        qtbot.addWidget(host)
        host.show()
        return view

    return show


def region_view(session, show, go_to=None):
    return show(RegionView(session, go_to or session.regions.show))


# ---- the slide's line ----------------------------------------------------------------


def test_the_slide_line_comes_and_goes_with_the_slide(show, tmp_path):
    session = make_slide_session(tmp_path, opened=False)
    view = show(SlideView(session))
    assert view.isHidden()
    session.regions.open_slide(make_scene(tmp_path))
    assert view.isVisible()
    assert view.scale_text == "0.499 µm/px (20x)"
    assert view.editor.isHidden()
    tooltip = view._name.toolTip()
    for part in ("slide.tif", "256 x 256", "tifffile 1", "A note of the reader."):
        assert part in tooltip
    session.choose_image(make_image())
    assert view.isHidden()


def test_a_slide_without_spacing_says_what_is_assumed_and_asks(show, tmp_path):
    session = make_slide_session(
        tmp_path,
        card=SPACED,
        spacing_um=None,
        spacing_source=SpacingSource.ASSUMED,
    )
    view = show(SlideView(session))
    assert view.scale_text == "No pixel size: 0.5 µm/px assumed"
    assert view.editor.isVisible()
    assert view._value.value() == 0.5
    view._value.setValue(0.23)
    view._set.click()
    assert session.regions.slide.spacing_um == (0.23, 0.23)
    assert session.regions.slide.spacing_source is SpacingSource.USER
    assert view.scale_text == "0.23 µm/px (40x), set by you\nseen at 1 µm/px"
    assert view.editor.isHidden()


@pytest.mark.parametrize(("name", "um"), [("10x", 1.0), ("20x", 0.5), ("40x", 0.25)])
def test_a_preset_sets_the_spacing(show, tmp_path, name, um):
    session = make_slide_session(tmp_path, spacing_um=None)
    view = show(SlideView(session))
    view._presets[name].click()
    assert session.regions.slide.spacing_um == (um, um)


def test_a_stated_spacing_can_be_changed_by_return(qtbot, show, tmp_path):
    session = make_slide_session(tmp_path)
    view = show(SlideView(session))
    view._change.click()
    assert view.editor.isVisible()
    view._value.setValue(1.5)
    qtbot.keyClick(view._value.lineEdit(), Qt.Key.Key_Return)
    assert session.regions.slide.spacing_um == (1.5, 1.5)


def test_weights_without_a_pixel_size_assume_none(show, tmp_path):
    session = make_slide_session(tmp_path, spacing_um=None)
    view = show(SlideView(session))
    assert view.scale_text == "No pixel size: areas are in pixels"


# ---- regions -------------------------------------------------------------------------


def test_without_a_slide_there_is_no_region_view(show, tmp_path):
    view = region_view(make_session(), show)
    assert view.isHidden()


def test_the_choice_goes_to_the_session_and_comes_from_it(show, tmp_path):
    session = make_slide_session(tmp_path)
    view = region_view(session, show)
    assert view.cost_text == LOOK
    view._choices[RegionChoice.RECTANGLE].click()
    assert session.regions.choice is RegionChoice.RECTANGLE
    assert view.cost_text == DRAG
    assert not view._start.isEnabled()
    session.regions.choose(RegionChoice.FIELD_OF_VIEW)
    assert view._choices[RegionChoice.FIELD_OF_VIEW].isChecked()


def test_the_cost_is_asked_for_once_the_view_rests(qtbot, show, tmp_path):
    session = make_slide_session(tmp_path)
    view = region_view(session, show)
    asked = []
    session.regions.estimate_changed.connect(lambda: asked.append(1))
    for side in (100.0, 120.0, 140.0):
        session.regions.note_view((0.0, 0.0, side, side))
    qtbot.waitUntil(lambda: "4 windows" in view.cost_text)
    assert view.cost_text == "4 windows, about 6 s, 40 MB"
    assert len(asked) == 1
    assert view._start.isEnabled()
    session.regions.note_view((0.0, 0.0, 90.0, 90.0))
    assert view.cost_text == COUNTING


def test_a_region_too_large_is_refused_in_a_sentence(qtbot, show, tmp_path):
    session = make_slide_session(tmp_path, shape=(90_000, 90_000))
    view = region_view(session, show)
    session.regions.note_view((0.0, 0.0, 80_000.0, 80_000.0))
    qtbot.waitUntil(lambda: "segmoe segment --region" in view.cost_text)
    assert "80000 x 80000 px" in view.cost_text
    assert not view._start.isEnabled()
    session.regions.note_view((0.0, 0.0, 100.0, 100.0))
    qtbot.waitUntil(lambda: view._start.isEnabled())


def test_the_button_segments_and_turns_into_progress_and_cancel(show, tmp_path):
    runner = SteppingRunner()
    session = make_slide_session(tmp_path, runner=runner)
    view = region_view(session, show)
    session.regions.note_view(WHOLE)
    view._start.click()
    assert session.regions.is_segmenting
    assert view._start.isHidden()
    assert view._run.isVisible()
    assert view._bar.format() == "Starting…"
    runner.step()
    assert (view._bar.value(), view._bar.maximum()) == (1, 4)
    assert view._bar.text() == "1 of 4 · 0:06 left"
    assert view.cost_text == "Region 1 is being segmented."
    view._cancel.click()
    assert not session.regions.is_segmenting
    assert view._start.isVisible()
    assert view._run.isHidden()
    assert session.prediction is None


def test_a_run_to_the_end_gives_objects(show, tmp_path):
    runner = SteppingRunner()
    session = make_slide_session(tmp_path, runner=runner)
    view = region_view(session, show)
    session.regions.note_view(WHOLE)
    view._start.click()
    for _ in range(5):
        runner.step()
    assert view._start.isVisible()
    assert len(session.prediction.objects) == 2


def test_regions_are_listed_and_lead_there(show, tmp_path):
    session = make_slide_session(tmp_path)
    went = []

    def go_to(number):
        went.append(number)
        session.regions.show(number)

    view = region_view(session, show, go_to)
    assert view._numbers.isHidden()
    session.regions.show_box((0.0, 0.0, 100.0, 100.0))
    session.regions.show_box((100.0, 100.0, 200.0, 200.0))
    assert [one.text() for one in view.numbers] == ["1", "2"]
    assert [one.isChecked() for one in view.numbers] == [False, True]
    view.numbers[0].click()
    assert went == [1]
    assert session.regions.current.number == 1
    assert [one.isChecked() for one in view.numbers] == [True, False]
    assert "100 x 100 px" in view.numbers[0].toolTip()
    session.prompting.segment_image()
    session.annotation.commit()
    assert "objects: 1" in view.numbers[0].toolTip()


def test_the_segment_tab_has_regions_in_place_of_the_whole_image(show, tmp_path):
    session = make_slide_session(tmp_path, opened=False)
    session.choose_image(make_image())
    view = show(SegmentView(session, session.regions.show))
    assert view._whole.isVisible()
    assert view._region.isHidden()
    session.regions.open_slide(make_scene(tmp_path))
    assert view._whole.isHidden()
    assert view._region.isVisible()


@pytest.mark.parametrize("width", [300, 330])
def test_nothing_is_clipped_in_a_narrow_dock(qtbot, show, tmp_path, width):
    runner = SteppingRunner()
    session = make_slide_session(tmp_path, runner=runner, spacing_um=None)
    view = SegmentView(session, session.regions.show)
    for place in range(8):
        session.regions.show_box((0.0, 0.0, 50.0 + place, 50.0))
    session.regions.note_view(WHOLE)
    view.setStyleSheet(get_stylesheet("dark"))
    show(view)
    view._region._start.click()
    runner.step()
    qtbot.wait(10)
    assert view.minimumSizeHint().width() <= width - 24
    bar = view._region._bar
    assert bar.fontMetrics().horizontalAdvance("1,234 of 5,678 · 12:34 left") < 200
    labels = [one for one in view.findChildren(QLabel) if not one.wordWrap()]
    for label in labels:
        assert label.minimumSizeHint().width() <= width - 24


# ---- dock and objects ----------------------------------------------------------------


def test_the_dock_shows_its_tabs_for_a_slide_without_a_region(qtbot, tmp_path):
    session = make_slide_session(tmp_path, opened=False)
    dock = MainWidget(ViewerModel(), session)
    qtbot.addWidget(dock)
    assert dock._pages.currentWidget() is dock._empty
    session.regions.open_slide(make_scene(tmp_path))
    assert session.image is None
    assert dock._pages.currentWidget() is dock._segment
    session.regions.close_slide()
    assert dock._pages.currentWidget() is dock._empty


def test_the_samples_of_the_empty_dock_are_in_the_manifest():
    manifest = Path(napari_segmoe.__file__).with_name("napari.yaml").read_text("utf-8")
    for key, _ in SAMPLES:
        assert f"key: {key}\n" in manifest


def objects_of_two_regions(qtbot, tmp_path):
    session = make_slide_session(tmp_path)
    view = ObjectsView(session, LayerSync(ViewerModel(), session))
    qtbot.addWidget(view)
    for box in ((0.0, 0.0, 128.0, 128.0), (128.0, 128.0, 256.0, 256.0)):
        session.regions.show_box(box)
        session.prompting.segment_image()
        session.annotation.commit()
    return view, session


def cells(view, column):
    model = view.table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_objects_of_all_regions_are_listed_with_their_region(qtbot, tmp_path):
    view, _ = objects_of_two_regions(qtbot, tmp_path)
    assert cells(view, REGION_COLUMN) == ["1", "2"]
    assert not view.table.isColumnHidden(REGION_COLUMN)
    area = [column.title for column in COLUMNS].index("area")
    header = view.table.model().headerData(area, Qt.Orientation.Horizontal)
    assert header == "area µm²"
    expected = 32 * 32 * 0.499**2
    assert [float(text) for text in cells(view, area)] == pytest.approx(
        [expected] * 2, abs=1
    )


def test_one_region_needs_no_column(qtbot, tmp_path):
    session = make_slide_session(tmp_path)
    view = ObjectsView(session, LayerSync(ViewerModel(), session))
    qtbot.addWidget(view)
    session.regions.show_box(WHOLE)
    session.prompting.segment_image()
    session.annotation.commit()
    assert view.table.isColumnHidden(REGION_COLUMN)


def test_an_object_of_another_region_is_reached_changed_and_deleted(qtbot, tmp_path):
    view, session = objects_of_two_regions(qtbot, tmp_path)
    assert session.regions.current.number == 2
    view.table.selectRow(0)
    assert session.regions.current.number == 1
    assert session.annotation.selected_id == 1
    entry = session.classes.table.entries[0]
    model = view.table.model()
    model.setData(model.index(1, 1), entry.id)
    assert session.regions.current.number == 2
    assert session.annotation.records[0].class_id == entry.id
    view.table.selectAll()
    view._delete.click()
    assert model.rowCount() == 0
    session.undo()
    assert model.rowCount() == 1


# ---- words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "text"),
    [
        ((0.25, 0.25), "0.25 µm/px (40x)"),
        ((0.2274, 0.2274), "0.227 µm/px (40x)"),
        ((1.01, 1.01), "1.01 µm/px (10x)"),
        ((0.35, 0.35), "0.35 µm/px"),
        ((0.25, 0.5), "0.25 x 0.5 µm/px"),
    ],
)
def test_pixel_sizes_in_words(spacing, text):
    assert region_texts.say_spacing(spacing) == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (RegionEstimate(48, 6.4, 40_000_000), "48 windows, about 6 s, 40 MB"),
        (RegionEstimate(1, 0.2, 100), "1 window, under 1 s, 1 MB"),
        (
            RegionEstimate(4096, 600, 2_500_000_000),
            "4,096 windows, about 10 min, 2.5 GB",
        ),
        (RegionEstimate(9, None, 5_000_000), "9 windows, time not known yet, 5 MB"),
    ],
)
def test_costs_in_words(estimate, text):
    assert region_texts.say_estimate(estimate) == text


def test_progress_in_words():
    say = region_texts.say_progress
    assert say(RegionProgress(3, 9)) == "3 of 9"
    assert say(RegionProgress(12, 48, 81.0)) == "12 of 48 · 1:21 left"
