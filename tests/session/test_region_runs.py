"""Segmenting a region: progress, cancel, clicks meanwhile, and what can go wrong."""

import pytest

from napari_segmoe.errors import DeviceError, SlideError
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.jobs import CLICKS, REGIONS
from napari_segmoe.session.status import Activity
from tests.session.fakes import ManualRunner
from tests.session.slide_fakes import (
    SlidePredictor,
    make_slide_session,
    write_slide,
)

WHOLE = (0, 0, 1536, 1536)
RUN = "segment region"


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slide") / "discs.ome.tif")


@pytest.fixture
def manual(slide, tmp_path):
    """A session whose jobs wait; its model is loaded."""
    session = make_slide_session(slide, folder=tmp_path, runner=ManualRunner())
    session.runner.finish("load")
    return session


def predictor_of(session) -> SlidePredictor:
    return session.model.host._predictor


def test_what_was_found_becomes_the_regions_prediction(slide):
    session = make_slide_session(slide)
    session.regions.segment(WHOLE)
    assert len(session.prediction.objects) == 5
    assert session.snapshot.is_automatic
    assert session.notes[-1] == "Region 1: 5 objects found."
    assert len(session.annotation.commit()) == 5
    areas = [one.measured.area_um2 for one in session.annotation.records]
    assert all(area > 2000 for area in areas)


def test_long_runs_have_a_lane_of_their_own(manual):
    manual.regions.segment(WHOLE)
    manual.prompting.add_click(10, 10)
    lanes = {job.topic: job.lane for job in manual.runner.jobs}
    assert lanes == {RUN: REGIONS, "predict": CLICKS}


def test_progress_comes_step_by_step_with_what_was_found(manual):
    regions, seen = manual.regions, []
    regions.progress_changed.connect(lambda: seen.append(regions.progress))
    regions.segment(WHOLE)
    assert regions.is_segmenting
    assert regions.progress is None
    assert not regions.partial.any()
    assert manual.status.activity is Activity.PREDICTING
    manual.runner.step(RUN, 2)
    assert (regions.progress.done, regions.progress.total) == (2, 4)
    assert regions.partial[:384].any()
    assert not regions.partial[384:].any()
    manual.runner.finish(RUN)
    assert [one.done if one else None for one in seen] == [None, 1, 2, 3, 4, None]
    assert not regions.is_segmenting
    assert regions.partial is None
    assert manual.status.activity is Activity.READY


def test_cancel_closes_the_run_and_keeps_what_was_there(manual):
    manual.regions.segment((0, 0, 800, 800))
    manual.runner.finish(RUN)
    before = manual.prediction
    assert before.objects
    manual.regions.segment((0, 0, 800, 800))
    manual.runner.step(RUN)
    manual.regions.cancel()
    assert predictor_of(manual).runs[-1] == "closed"
    assert manual.prediction is before
    assert not manual.regions.is_segmenting
    assert manual.failures == []
    manual.regions.cancel()  # nothing runs: nothing happens
    manual.regions.segment((0, 0, 800, 800))
    manual.runner.finish(RUN)
    assert len(manual.prediction.objects) == len(before.objects)


def test_undo_takes_the_answer_back_and_redo_shows_it_without_asking(slide):
    session = make_slide_session(slide)
    session.regions.segment(WHOLE)
    found = session.prediction
    session.undo()
    assert session.prediction is None
    session.redo()
    assert session.prediction is found
    assert session.model.host._predictor.runs == ["begun", "ended"]
    kinds = [event.kind for event in session.log.events]
    assert kinds.count(EventKind.AUTOMATIC) == 1


def test_a_click_is_answered_while_a_region_runs_and_not_lost_at_its_end(manual):
    manual.regions.segment(WHOLE)
    manual.runner.step(RUN, 1)
    manual.prompting.add_click(350, 210)
    manual.runner.finish("predict")
    clicked = manual.prediction
    assert clicked.mask.any()
    manual.runner.finish(RUN)
    assert manual.prediction is clicked
    assert "Commit or reject" in " ".join(manual.notes)
    manual.annotation.commit()
    assert len(manual.annotation.records) == 1
    assert len(manual.prediction.objects) == 5  # now the region's answer is shown
    manual.annotation.commit()
    assert len(manual.annotation.records) == 5  # one of them was committed before


def test_the_run_goes_on_while_another_region_is_worked_on(manual):
    first = manual.regions.show_box((0, 0, 1536, 1000))
    manual.regions.segment(first.box)
    manual.runner.step(RUN)
    manual.regions.show_box((900, 900, 1536, 1536))
    assert manual.prediction is None
    manual.runner.finish(RUN)
    assert manual.prediction is None
    manual.regions.show(first.number)
    assert len(manual.prediction.objects) == 4


def test_one_run_at_a_time(manual):
    manual.regions.segment(WHOLE)
    manual.regions.segment((0, 0, 500, 500))
    assert len([job for job in manual.runner.jobs if job.topic == RUN]) == 1
    assert "being segmented" in manual.notes[-1]


def test_key_a_segments_the_field_of_view(slide):
    session = make_slide_session(slide)
    session.regions.note_view((0, 0, 560, 1200))
    session.prompting.segment_image()
    assert session.regions.current.box == (0, 0, 560, 1200)
    assert len(session.prediction.objects) == 2


def test_a_region_of_background_says_that_nothing_is_there(slide):
    session = make_slide_session(slide)
    session.regions.segment((0, 1100, 300, 1500))
    assert session.notes[-1] == "No object was found in region 1."
    assert not session.prediction.mask.any()


def test_small_objects_are_left_out(slide):
    session = make_slide_session(slide)
    smallest = {"smallest_object_px": 4000}
    session.change_options(session.options.model_copy(update=smallest))
    session.regions.segment(WHOLE)
    assert len(session.prediction.objects) == 4


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SlideError("discs was deleted. Copy it back."), "was deleted"),
        (MemoryError("The model's process was killed: out of memory."), "Memory ran"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "Memory ran"),
        (DeviceError("The model's process ended (status 1)."), "process ended"),
        (ValueError("bad things"), "could not answer: bad things"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_nothing_is_lost(slide, error, words):
    predictor = SlidePredictor()
    session = make_slide_session(slide, predictor=predictor)
    session.regions.segment((0, 0, 800, 800))
    session.annotation.commit()
    records, labels = session.annotation.records, session.annotation.labels.copy()
    predictor.fail_at, predictor.error = 2, error
    session.regions.segment((0, 0, 800, 800))
    assert len(session.failures) == 1
    assert words in str(session.failures[0])
    assert session.annotation.records == records
    assert (session.annotation.labels == labels).all()
    assert not session.regions.is_segmenting
    predictor.fail_at = predictor.error = None
    session.regions.segment(WHOLE)
    assert session.prediction.objects


def test_a_device_that_is_too_small_leaves_the_region_to_the_cpu(slide):
    devices = []

    def load(weights, *, device):
        devices.append(device)
        full = RuntimeError("CUDA out of memory") if device == "auto" else None
        return SlidePredictor(fail_at=1 if full else None, error=full)

    session = make_slide_session(slide)
    session.model.host._load = load
    session.model.host.release()
    session.regions.segment(WHOLE)
    assert devices == ["auto", "cpu"]
    assert len(session.prediction.objects) == 5
    assert any("the CPU answered" in note for note in session.notes)


def test_weights_that_cannot_be_read_end_the_run_with_one_sentence(slide):
    session = make_slide_session(slide)

    def refuse(weights, *, device):
        raise SlideError("no such weights")

    session.release()
    session.model.host._load = refuse
    session.regions.segment(WHOLE)
    assert [str(error) for error in session.failures] == ["no such weights"]
    assert not session.regions.is_segmenting


def test_choosing_other_weights_ends_the_run(manual):
    manual.regions.segment(WHOLE)
    manual.runner.step(RUN)
    manual.model.choose(weights="other")
    assert not manual.regions.is_segmenting
    assert not any(job.topic == RUN for job in manual.runner.jobs)


def test_leaving_the_slide_keeps_the_run_closing_it_ends_it(manual):
    manual.regions.segment(WHOLE)
    manual.runner.step(RUN)
    manual.regions.close_slide()
    assert not manual.regions.is_segmenting


def test_an_estimate_of_before_is_dropped(manual):
    manual.regions.estimate((0, 0, 512, 512))
    manual.regions.estimate((0, 0, 1536, 1536))
    manual.runner.finish("estimate region", 1)
    windows = manual.regions.estimated.windows
    manual.runner.finish("estimate region", 0)
    assert manual.regions.estimated.windows == windows == 768 * 768 // 65536
