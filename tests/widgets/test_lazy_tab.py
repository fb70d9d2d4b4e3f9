"""Tabs make their views when they are first needed."""

from napari.components import ViewerModel
from qtpy.QtWidgets import QLabel, QTabWidget

from napari_segmoe.widgets.lazy_tab import LazyTab
from napari_segmoe.widgets.main_widget import HEATMAPS_TAB, MainWidget
from tests.session.fakes import make_pixels, make_session


def test_a_view_is_made_once_when_its_tab_is_first_shown(qtbot):
    made = []

    def make():
        made.append(QLabel("view"))
        return made[-1]

    tabs = QTabWidget()
    qtbot.addWidget(tabs)
    tabs.addTab(QLabel("first"), "First")
    tab = LazyTab(make)
    tabs.addTab(tab, "Late")
    tabs.show()
    assert made == []
    assert not tab.is_made
    for index in (1, 0, 1):
        tabs.setCurrentIndex(index)
    assert len(made) == 1
    assert tab.view is made[0]
    assert made[0].isVisible()


def test_a_view_that_is_asked_for_is_made_before_it_is_shown(qtbot):
    tab = LazyTab(lambda: QLabel("view"))
    qtbot.addWidget(tab)
    assert tab.view is tab.view
    assert tab.is_made


def test_the_dock_opens_with_its_first_tab_only(qtbot):
    viewer = ViewerModel()
    viewer.theme = "dark"
    viewer.add_image(make_pixels())
    session = make_session(image=False)
    dock = MainWidget(viewer, session)
    qtbot.addWidget(dock)
    dock.show()
    pages = [dock.tabs.widget(index) for index in range(dock.tabs.count())]
    late = [page for page in pages[1:] if isinstance(page, LazyTab)]
    assert len(late) >= 4
    assert not any(page.is_made for page in late)
    session.prompting.segment_image()
    session.annotation.commit()
    assert dock.tabs.tabText(1) == "Objects (2)"
    dock.tabs.setCurrentIndex(1)
    assert dock.objects.table.model().rowCount() == 2
    assert not pages[HEATMAPS_TAB].is_made
    session.close()
