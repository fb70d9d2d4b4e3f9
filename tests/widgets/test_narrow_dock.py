"""A narrow dock: every tab is in sight, and no letter is cut in two."""

import pytest
from qtpy.QtWidgets import QLabel

from napari_segmoe.widgets.dock_tabs import DockTabs
from napari_segmoe.widgets.eliding_combo import ElidingComboBox
from napari_segmoe.widgets.project_view import ProjectView
from tests.session.fakes import make_session

TITLES = ("Segment", "Objects (128)", "Heatmaps", "Train", "Evaluate", "Project")


@pytest.mark.parametrize("width_px", [314, 404])
def test_all_tabs_are_in_sight_without_arrows(qtbot, width_px):
    tabs = DockTabs()
    qtbot.addWidget(tabs)
    for title in TITLES:
        tabs.addTab(QLabel(), title)
    tabs.resize(width_px, 300)
    tabs.show()
    bar = tabs.tabBar()
    assert not bar.usesScrollButtons()
    last = bar.tabRect(len(TITLES) - 1)
    assert last.right() <= width_px
    assert [tabs.tabText(at) for at in range(len(TITLES))] == list(TITLES)


def test_titles_are_larger_where_there_is_room(qtbot):
    tabs = DockTabs()
    qtbot.addWidget(tabs)
    for title in TITLES:
        tabs.addTab(QLabel(), title)
    widths = []
    for width_px in (314, 420, 314):
        tabs.resize(width_px, 300)
        tabs.show()
        widths.append(tabs.tabBar().sizeHint().width())
    assert widths[0] < widths[1]
    assert widths[0] == widths[2]


def test_a_long_choice_is_drawn_with_an_ellipsis_and_kept_whole(qtbot):
    drawn = []
    for text in ("truth of a second reader", "truth of a second rea…"):
        combo = ElidingComboBox()
        qtbot.addWidget(combo)
        combo.addItem(text)
        combo.setFixedSize(90, 26)
        drawn.append(combo.grab().toImage())
        assert combo.currentText() == text
    short = drawn[0].copy(0, 0, 60, 26)
    assert short == drawn[1].copy(0, 0, 60, 26)


def test_an_empty_choice_shows_its_placeholder(qtbot):
    pictures = []
    for text in ("", "Open an image"):
        combo = ElidingComboBox()
        qtbot.addWidget(combo)
        combo.setPlaceholderText(text)
        combo.setFixedSize(160, 26)
        pictures.append(combo.grab().toImage())
    assert pictures[0] != pictures[1]


def test_the_page_without_a_project_is_no_higher_than_it_needs(qtbot, tmp_path):
    session = make_session()
    view = ProjectView(session)
    qtbot.addWidget(view)
    view.show()
    before = view.minimumSizeHint().height()
    session.project.create(tmp_path / "study.segmoe")
    assert view.minimumSizeHint().height() > before
    session.project.close()
    view.layout().activate()
    assert view.minimumSizeHint().height() == before
    session.close()
