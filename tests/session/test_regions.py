"""Regions of a slide: where they lie, what is asked on them, what it all weighs."""

import math

import numpy as np
import pytest

from napari_segmoe.data.region_store import read_region_store
from napari_segmoe.errors import NoImageError, SlideError
from napari_segmoe.session.slide_scene import RegionChoice, SpacingSource
from tests.session.fakes import FakeCard, make_image
from tests.session.slide_fakes import (
    DISCS,
    SIDE,
    SlidePredictor,
    make_scene,
    make_slide_session,
    write_slide,
)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


@pytest.fixture
def session(slide, tmp_path):
    return make_slide_session(slide, folder=tmp_path / "regions")


def click(session, y, x):
    """Click a level-0 point, as the viewer does."""
    record = session.regions.show_at(y, x)
    session.prompting.add_click(*record.region.from_slide(y, x))
    return record


def test_a_slide_opens_without_a_region_and_loads_the_model(session):
    assert session.regions.slide.name == "discs"
    assert session.regions.all == ()
    assert session.regions.current is None
    assert session.image is None
    assert session.has_image
    assert session.model.is_loaded
    assert session.status.text.startswith("Ready")


def test_what_needs_a_region_says_how_to_get_one(session):
    with pytest.raises(NoImageError, match="Click on the slide"):
        session.require_workspace()
    with pytest.raises(NoImageError, match="Click on the slide"):
        session.annotation.commit()


def test_a_click_makes_a_region_at_the_weights_pixel_size(session):
    record = click(session, 700, 420)
    assert record.region.step_yx == (2.0, 2.0)  # 0.5 um pixels, weights of 1 um
    assert record.spacing_um == (1.0, 1.0)
    assert record.region.shape == (SIDE / 2, SIDE / 2)  # the slide has no more
    assert session.image.region == 1
    session.annotation.commit()
    (one,) = session.annotation.records
    truth = math.pi * (120 * 0.5) ** 2
    assert one.measured.area_um2 == pytest.approx(truth, rel=0.02)
    assert one.region == 1


def test_a_region_is_1024_pixels_around_the_click_and_moved_onto_the_slide(slide):
    predictor = SlidePredictor(card=FakeCard())  # weights without a pixel size
    session = make_slide_session(slide, predictor=predictor)
    record = session.regions.show_at(800, 700)
    assert record.region.step_yx == (1.0, 1.0)
    assert record.box == (288.0, 188.0, 1312.0, 1212.0)
    corner = session.regions.show_at(1530, 5)
    assert corner.box == (512.0, 0.0, 1536.0, 1024.0)
    assert [one.number for one in session.regions.all] == [1, 2]


def test_a_point_in_a_region_makes_that_one_current_again(slide):
    session = make_slide_session(slide, predictor=SlidePredictor(card=FakeCard()))
    one = session.regions.show_box((0, 0, 400, 400))
    two = session.regions.show_box((800, 800, 1500, 1500))
    assert session.regions.current == two
    assert session.regions.show_at(10, 10) == one
    assert session.image.key == one.key
    assert session.regions.show_box((0, 0, 400, 400)) == one  # the same box again
    assert len(session.regions.all) == 2


def test_each_region_keeps_its_own_prompts_objects_and_history(slide):
    session = make_slide_session(slide, predictor=SlidePredictor(card=FakeCard()))
    session.regions.show_box((0, 0, 400, 400))
    session.prompting.add_click(200, 200)
    session.annotation.commit()
    session.regions.show_box((900, 900, 1500, 1500))
    assert session.annotation.records == ()
    assert session.prediction is None
    session.prompting.add_click(300, 350)
    session.regions.show(1)
    assert len(session.annotation.records) == 1
    session.undo()
    assert session.annotation.records == ()
    assert session.prediction.mask.any()
    session.regions.show(2)
    assert len(session.prompts.clicks) == 1
    assert session.prediction.mask.sum() == pytest.approx(math.pi * 100**2, rel=0.02)


def test_ids_are_unique_on_the_slide_and_objects_know_their_region(slide):
    session = make_slide_session(slide, predictor=SlidePredictor(card=FakeCard()))
    for box, point in (
        ((0, 0, 400, 400), (200, 200)),
        ((900, 900, 1500, 1500), (1200, 1250)),
    ):
        record = session.regions.show_box(box)
        session.prompting.add_click(*record.region.from_slide(*point))
        session.annotation.commit()
    found = [
        (record.number, one.id, one.region) for record, one in session.regions.objects
    ]
    assert found == [(1, 1, 1), (2, 2, 2)]


def test_what_is_committed_in_one_region_is_locked_in_one_that_overlaps(slide):
    session = make_slide_session(slide, predictor=SlidePredictor(card=FakeCard()))
    session.regions.show_box((0, 0, 800, 1100))
    session.regions.segment((0, 0, 800, 1100))
    session.annotation.commit()
    found = len(session.annotation.records)
    assert found == 3
    session.regions.segment((100, 0, 1536, 1536))
    assert len(session.prediction.objects) == 5 - 3 + 1  # one was cut by the border
    assert not session.prediction.mask[:300, 500:].any()


def test_a_point_or_box_off_the_slide_is_refused(session):
    with pytest.raises(SlideError, match="outside"):
        session.regions.show_at(-3, 10)
    with pytest.raises(SlideError, match="outside"):
        session.regions.show_box((2000, 0, 2100, 100))
    assert session.regions.all == ()


def test_a_region_larger_than_a_window_holds_names_the_command(slide):
    session = make_slide_session(slide, shape=(90_000, 90_000))
    with pytest.raises(SlideError, match="segmoe segment --region"):
        session.regions.show_box((0, 0, 20_000, 9_000))
    session.regions.estimate((0, 0, 20_000, 9_000))
    assert "segmoe segment --region" in session.regions.refusal
    assert session.regions.estimated is None


def test_an_estimate_is_asked_for_a_box_without_making_a_region(session):
    seen = []
    session.regions.estimate_changed.connect(lambda: seen.append(1))
    session.regions.estimate((0, 0, 1024, 1024))
    assert session.regions.estimated.windows == 512 * 512 // 65536
    assert session.regions.refusal == ""
    assert session.regions.all == ()
    assert seen


def test_the_target_is_the_view_or_the_rectangle(session):
    regions = session.regions
    assert regions.target is None
    regions.note_view((0, 0, 500, 500))
    assert regions.target == (0, 0, 500, 500)
    regions.choose(RegionChoice.RECTANGLE)
    assert regions.target is None
    regions.take_rectangle((-50, 10, 300, 400))
    assert regions.target == (0, 10, 300, 400)  # cut to the slide
    regions.choose(RegionChoice.FIELD_OF_VIEW)
    assert regions.target == (0, 0, 500, 500)


def test_without_region_and_target_there_is_nothing_to_segment(session):
    with pytest.raises(SlideError, match="drag a rectangle"):
        session.regions.segment()


def test_the_users_spacing_changes_areas_also_those_undone_to(session):
    click(session, 700, 420)
    session.annotation.commit()
    before = session.annotation.records[0].measured
    session.annotation.assign_class([1], 1)
    session.regions.set_spacing(0.25)
    assert session.regions.slide.spacing_source is SpacingSource.USER
    after = session.annotation.records[0].measured
    assert after.area_um2 == pytest.approx(before.area_um2 / 4)
    assert after.area_px == before.area_px
    session.undo()
    assert session.annotation.records[0].measured.area_um2 == after.area_um2
    assert session.regions.current.spacing_um == (0.5, 0.5)
    made = session.regions.show_box((0, 0, 400, 400))
    assert made.region.step_yx == (4.0, 4.0)  # new regions have the weights' size


def test_a_layers_scale_does_not_override_the_user(session):
    session.regions.set_spacing((0.3, 0.4))
    session.regions.set_spacing(0.9, SpacingSource.LAYER)
    assert session.regions.slide.spacing_um == (0.3, 0.4)
    session.regions.open_slide(make_scene(session.regions.slide.path))
    assert session.regions.slide.spacing_um == (0.3, 0.4)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), 1e6])
def test_an_absurd_spacing_is_refused(session, wrong):
    with pytest.raises(SlideError, match="micrometres per pixel"):
        session.regions.set_spacing(wrong)
    assert session.regions.slide.spacing_source is SpacingSource.FILE


def test_a_slide_without_spacing_gives_pixels_but_no_areas(slide):
    session = make_slide_session(
        slide, spacing_um=None, spacing_source=SpacingSource.ASSUMED
    )
    record = click(session, 700, 420)
    assert record.region.step_yx == (1.0, 1.0)
    session.annotation.commit()
    assert session.annotation.records[0].measured.area_um2 is None
    session.regions.set_spacing(0.5)
    area = math.pi * 60**2
    assert session.annotation.records[0].measured.area_um2 == pytest.approx(
        area, rel=0.02
    )


def test_other_weights_keep_old_regions_and_say_so_once(slide, tmp_path):
    sizes = iter((1.0, 2.0, 2.0))
    session = make_slide_session(slide, folder=tmp_path)
    session.model.host._load = lambda weights, *, device: SlidePredictor(
        card=FakeCard(spacing_um=next(sizes))
    )
    first = click(session, 700, 420)
    session.model.choose(weights="one")
    session.model.choose(weights="two")
    told = [note for note in session.notes if "Regions made before" in note]
    assert len(told) == 1
    assert "2 µm per pixel" in told[0]
    assert session.regions.current.region.step_yx == first.region.step_yx
    assert session.prediction.mask.any()
    made = session.regions.show_box((0, 0, 800, 800))
    assert made.region.step_yx == (4.0, 4.0)


def test_choosing_an_image_leaves_the_slide_and_coming_back_finds_it(slide, tmp_path):
    session = make_slide_session(slide, folder=tmp_path)
    click(session, 700, 420)
    session.annotation.commit()
    session.choose_image(make_image())
    assert session.regions.slide is None
    assert session.regions.all == ()
    session.regions.open_slide(make_scene(slide))
    assert len(session.annotation.records) == 1
    assert session.regions.current.number == 1


def test_closing_the_slide_leaves_nothing_to_work_on(session):
    click(session, *DISCS[2][:2])
    session.regions.close_slide()
    assert session.regions.slide is None
    assert session.image is None
    assert not session.has_image
    assert session.status.text.startswith("No image")


def test_a_commit_is_on_disk_at_once_and_an_undo_too(session):
    click(session, 700, 420)
    session.annotation.commit()
    store = session.stored_labels(session.workspace)
    labels, attributes = read_region_store(store.path)
    np.testing.assert_array_equal(labels, session.annotation.labels)
    assert attributes["spacing_um"] == [1.0, 1.0]
    assert session.failures == []
    session.undo()
    assert not read_region_store(store.path)[0].any()
    session.redo()
    np.testing.assert_array_equal(read_region_store(store.path)[0], labels)
    session.close()
    assert store.path is None


def test_regions_that_cannot_be_kept_say_so_and_work_goes_on(slide, tmp_path):
    (tmp_path / "regions").write_text("a file in the way")
    session = make_slide_session(slide, folder=tmp_path / "regions")
    click(session, 700, 420)
    session.annotation.commit()
    store = session.stored_labels(session.workspace)
    assert [type(error) for error in session.failures] == [SlideError]
    assert "stay in memory" in str(session.failures[0])
    np.testing.assert_array_equal(np.asarray(store), session.annotation.labels)


def test_painted_pixels_are_taken_in_where_they_were_painted(session):
    click(session, 700, 420)
    session.annotation.commit()
    store = session.stored_labels(session.workspace)
    area_px = session.annotation.records[0].measured.area_px
    store[0:4, 0:10] = 7
    session.annotation.correct(store, box=(0, 0, 4, 10))
    assert [one.id for one in session.annotation.records] == [1, 7]
    assert session.annotation.records[1].measured.area_um2 == 40
    assert session.annotation.records[0].measured.area_px == area_px
    session.undo()
    assert (np.asarray(store) == 7).sum() == 0
