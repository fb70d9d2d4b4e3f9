"""Layers follow the project: regions and objects come and go with it."""

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import OBJECTS
from napari_segmoe.viewer.painting import paint_objects
from napari_segmoe.viewer.readers import read_layers
from tests.session.fakes import make_pixels, make_session
from tests.session.slide_fakes import SlidePredictor, write_slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


def open_file(path, folder, *, predictor=None):
    viewer = ViewerModel()
    session = make_session(
        predictor=predictor, image=False, region_folder=folder / "regions"
    )
    sync = LayerSync(viewer, session)
    ((data, options, _),) = read_layers(str(path))
    viewer.add_image(data, **options)
    return viewer, session, sync


def objects_of(viewer):
    return [one for one in viewer.layers if one.name.startswith(OBJECTS)]


def test_a_slides_regions_come_and_go_with_its_project(slide, tmp_path):
    viewer, session, _ = open_file(slide, tmp_path, predictor=SlidePredictor())
    session.project.create(tmp_path / "study.segmoe")
    for y, x in ((200, 200), (1200, 1250)):
        region = session.regions.show_box((y - 150, x - 150, y + 150, x + 150))
        session.prompting.add_click(*region.region.from_slide(y, x))
        session.annotation.commit()
    areas = [int((np.asarray(one.data) > 0).sum()) for one in objects_of(viewer)]
    assert len(areas) == 2
    session.project.close()
    assert objects_of(viewer) == []
    session.project.open(tmp_path / "study.segmoe")
    again = [int((np.asarray(one.data) > 0).sum()) for one in objects_of(viewer)]
    assert sorted(again) == sorted(areas)
    assert session.failures == []


def test_the_first_object_can_be_drawn_on_an_image_without_any(tmp_path):
    viewer, session, sync = open_file(_image(tmp_path), tmp_path)
    assert objects_of(viewer) == []
    layer = paint_objects(viewer, session, sync, mode="paint", is_new=True)
    assert layer is not None
    assert viewer.layers.selection.active is layer
    assert (layer.mode, layer.selected_label) == ("paint", 1)
    session.annotation.correct(np.pad(np.ones((4, 4), np.uint32), (0, 60)))
    layer = paint_objects(viewer, session, sync, mode="paint", is_new=True)
    assert layer.selected_label == 2
    session.annotation.select(1)
    layer = paint_objects(viewer, session, sync, mode="erase")
    assert layer.selected_label == 1


def test_the_same_file_opened_twice_has_the_same_objects(tmp_path):
    path = _image(tmp_path)
    viewer, session, _ = open_file(path, tmp_path)
    session.project.create(tmp_path / "study.segmoe")
    ((data, options, _),) = read_layers(str(path))
    for _ in range(2):
        session.prompting.add_click(12, 12)
        if session.prediction.mask.any():
            session.annotation.commit()
        viewer.add_image(data, **options)
    # arrays without their file are known by their pixels
    assert len(session.annotation.records) == 1
    assert len(session.project.store.images()) == 1


def _image(folder):
    path = folder / "scan.png"
    Image.fromarray(make_pixels()).save(path)
    return path
