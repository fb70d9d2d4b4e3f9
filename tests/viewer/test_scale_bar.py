"""The scale bar comes with the first sight of a slide, and stays hidden if hidden."""

from napari.components import ViewerModel

from napari_segmoe.viewer.scale_bar import ScaleBar, find_scale_bar
from tests.widgets.slide_fakes import make_scene, make_slide_session


def opened(tmp_path, **changes):
    viewer = ViewerModel()
    session = make_slide_session(tmp_path, opened=False)
    bar = ScaleBar(viewer, session)
    session.regions.open_slide(make_scene(tmp_path, **changes))
    return viewer, session, bar


def test_a_slide_of_known_pixel_size_gets_a_scale_bar(tmp_path):
    viewer, _, _bar = opened(tmp_path)
    assert find_scale_bar(viewer).visible


def test_a_scale_bar_that_was_hidden_stays_hidden(tmp_path):
    viewer, session, _bar = opened(tmp_path)
    find_scale_bar(viewer).visible = False
    session.regions.show_box((0.0, 0.0, 60.0, 60.0))
    session.regions.open_slide(make_scene(tmp_path))
    assert not find_scale_bar(viewer).visible


def test_without_a_pixel_size_there_is_nothing_to_measure(tmp_path):
    viewer, session, _bar = opened(tmp_path, spacing_um=None)
    assert not find_scale_bar(viewer).visible
    session.regions.set_spacing(0.5)
    assert find_scale_bar(viewer).visible
