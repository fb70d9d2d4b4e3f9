"""The Heatmaps tab follows the session, and acts on it."""

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QCheckBox, QLabel

from napari_segmoe.session.explaining import Wish
from napari_segmoe.viewer.heatmaps import HeatmapLayers
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.widgets.heatmap_row import HeatmapRow, TableRow, value_text
from napari_segmoe.widgets.heatmaps_view import (
    NOTHING,
    READY,
    WAITING,
    WAITING_FOR_CLICK,
    HeatmapsView,
)
from tests.session.explaining_fakes import ABSENT, ExplainingPredictor
from tests.session.fakes import (
    FakePredictor,
    ManualRunner,
    make_image,
    make_pixels,
    make_session,
)


@pytest.fixture
def open_tab(qtbot):
    def open_one(predictor=None, *, clicked=True, **options):
        viewer = ViewerModel()
        viewer.add_image(make_pixels(), name="scan")
        predictor = predictor or ExplainingPredictor()
        session = make_session(predictor=predictor, image=False, **options)
        heatmaps = HeatmapLayers(viewer, session, LayerSync(viewer, session))
        view = HeatmapsView(session, heatmaps)
        qtbot.addWidget(view)
        session.explaining.show_explanations(True)
        if clicked:
            session.prompting.add_click(12, 12)
        return view, session, heatmaps

    return open_one


def test_each_explanation_has_a_row_under_its_heading(open_tab):
    view, session, _ = open_tab()
    for one in session.explaining.explanations:
        row = view.rows[one.key]
        if one.kind == "table":
            assert isinstance(row, TableRow)
            assert row.matrix.table is one
        else:
            assert isinstance(row, HeatmapRow)
            assert row.box.text() == one.name
            assert row.box.toolTip() == one.description
    headings = [s._heading.text() for s in view.findChildren(type(section(view)))]
    assert headings == [
        "Distance and boundary",
        "Uncertainty",
        "Experts",
        "Routing",
        "Attention",
    ]


def section(view):
    return view._groups.itemAt(0).widget()


def test_a_group_that_the_network_lacks_is_disabled_and_says_why(open_tab):
    view, _, _ = open_tab(clicked=False)
    (box,) = (b for b in view.findChildren(QCheckBox) if b.text() == "Depth")
    assert not box.isEnabled()
    assert box.toolTip() == ABSENT["Depth"]
    texts = [label.text() for label in view.findChildren(QLabel)]
    assert ABSENT["Depth"] in texts


def test_ticking_a_box_shows_the_map_and_unticking_takes_it_away(open_tab):
    view, session, heatmaps = open_tab()
    row = view.rows["boundary"]
    assert row._details.isHidden()
    row.box.click()
    assert session.explaining.shown == ("boundary",)
    assert len(heatmaps.group) == 1
    assert not row._details.isHidden()
    row.box.click()
    assert heatmaps.group == ()
    assert row._details.isHidden()


def test_a_layer_removed_by_the_user_unticks_its_box(open_tab):
    view, session, heatmaps = open_tab()
    session.explaining.show("distance")
    assert view.rows["distance"].box.isChecked()
    heatmaps._viewer.layers.remove("SegMoE: Distance to the edge")
    assert not view.rows["distance"].box.isChecked()
    session.prompting.add_click(40, 40)
    assert heatmaps.group == ()


def test_hide_all_unticks_everything(open_tab):
    view, session, heatmaps = open_tab()
    assert not view._hide.isEnabled()
    session.explaining.show("distance")
    session.explaining.show("dominant/T1")
    view._hide.click()
    assert heatmaps.group == ()
    assert not any(
        row.box.isChecked() for row in view.rows.values() if isinstance(row, HeatmapRow)
    )


def test_the_slider_sets_the_opacity_and_follows_it(open_tab):
    view, session, _ = open_tab()
    view._opacity.setValue(30)
    assert session.explaining.opacity == pytest.approx(0.3)
    session.explaining.change_opacity(0.8)
    assert view._opacity.value() == 80


def test_values_under_the_mouse_stand_beside_each_map(open_tab):
    view, session, heatmaps = open_tab()
    view.show()
    heatmaps.pointed_at.emit((16, 16))
    found = session.explaining.find("distance").values[16, 16]
    assert view.rows["distance"].value_text == f"{found:.2f}"
    assert view.rows["dominant/T1"].value_text == "expert 2"
    heatmaps.pointed_at.emit(None)
    assert view.rows["distance"].value_text == ""


def test_a_value_off_the_map_or_unknown_is_no_number(open_tab):
    _, session, _ = open_tab()
    found = session.explaining.find("dominant/T1")
    assert value_text(found, (99, 99)) == ""
    found.values[0, 0] = -1
    assert value_text(found, (0, 0)) == "-"


def test_rows_stay_the_same_widgets_while_numbers_change(open_tab):
    view, session, _ = open_tab()
    rows = view.rows
    session.prompting.add_click(40, 40)
    assert view.rows == rows
    table = session.explaining.find("routing")
    assert view.rows["routing"].matrix.table is table
    session.annotation.commit()
    assert view.rows == rows
    assert not view.rows["distance"].isEnabled()


def test_the_message_says_what_to_do(open_tab):
    runner = ManualRunner()
    view, session, _ = open_tab(runner=runner, clicked=False)
    runner.finish("load")
    assert view.message == WAITING_FOR_CLICK
    session.prompting.add_click(12, 12)
    assert view.message == WAITING
    runner.finish("predict")
    assert view.message == READY
    session.choose_image(make_image("two"))
    assert view.message == WAITING_FOR_CLICK


def test_an_answer_without_explanations_and_a_failure_are_said(open_tab):
    view, _, _ = open_tab(FakePredictor())
    assert view.message == NOTHING
    view, _, _ = open_tab(ExplainingPredictor(error=RuntimeError("bad shape")))
    assert "bad shape" in view.message


def test_pin_and_veto_change_the_mask_and_the_matrix(open_tab):
    view, session, _ = open_tab()
    before = session.prediction.mask.sum()
    buttons = view.experts.buttons
    veto = buttons["expert 2", Wish.VETOED]
    veto.click()
    assert session.prediction.mask.sum() < before
    assert view.rows["routing"].matrix.table.values[0, 1] == 0
    assert veto.isChecked()
    pin = buttons["expert 2", Wish.PINNED]
    pin.click()
    assert pin.isChecked()
    assert not veto.isChecked()
    assert session.prediction.mask.sum() == before
    view.experts._free.click()
    assert session.explaining.steering is None
    assert not pin.isChecked()


def test_the_last_expert_cannot_be_vetoed_and_its_button_comes_up_again(open_tab):
    view, session, _ = open_tab()
    buttons = view.experts.buttons
    for expert in ("expert 1", "expert 2", "expert 3"):
        button = buttons[expert, Wish.VETOED]
        button.click()
    assert not button.isChecked()
    assert "Leave at least one" in str(session.failures[-1])


def test_one_stage_can_be_steered_alone(open_tab):
    view, session, _ = open_tab()
    view.experts._stage.activated.emit(1)
    assert session.explaining.stage == "T1"
    button = view.experts.buttons["expert 1", Wish.PINNED]
    button.click()
    assert session.explaining.wish_of("expert 1", stage="T2") is Wish.FREE
    view.experts._stage.activated.emit(0)
    assert not button.isChecked()


def test_another_model_clears_the_tab_until_it_answers(open_tab):
    view, session, _ = open_tab(clicked=False)
    session.prompting.add_click(12, 12)
    assert view.rows
    session.prompting.reject()
    session.model.choose(weights="other")
    assert view.rows == {}
    assert view.experts.isHidden()
    session.prompting.add_click(12, 12)
    assert view.rows
