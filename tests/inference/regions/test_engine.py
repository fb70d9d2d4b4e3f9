"""A region's objects do not depend on how it is read, computed or finished."""

import numpy as np
import pytest
from scipy import ndimage

from napari_segmoe.errors import RegionTooLargeError, SlideError
from napari_segmoe.inference.regions import estimating
from napari_segmoe.inference.regions.engine import segment_tiles
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.inference.selection import label_objects
from tests.inference.regions.fakes import (
    SIDE,
    DarkNetwork,
    Pixels,
    many_discs,
    paint,
    reading_threads,
    run,
)

SHAPE = (300, 410)


@pytest.fixture(scope="module")
def tissue():
    return paint(SHAPE, many_discs(SHAPE))


@pytest.fixture(scope="module")
def usual(tissue):
    return run(DarkNetwork(), Pixels(tissue))[0]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 2},
        {"batch_size": 5},
        {"block_px": 75},
        {"block_px": 128, "chunk_px": 128},
        {"block_px": 2048, "chunk_px": 2048},
        {"readers": 2},
        {"readers": 3, "block_px": 90, "chunk_px": 33, "batch_size": 3},
    ],
    ids=str,
)
def test_sizes_and_threads_do_not_change_the_answer(tissue, usual, options):
    answer, _ = run(DarkNetwork(), Pixels(tissue), **options)
    away = answer.probability.astype(int) - usual.probability
    assert np.abs(away).max() <= 1
    np.testing.assert_array_equal(answer.labels, usual.labels)
    assert answer.scores.keys() == usual.scores.keys()
    for number, scores in usual.scores.items():
        np.testing.assert_allclose(answer.scores[number], scores, atol=1e-5)


def test_objects_are_numbered_by_size_and_each_is_connected(usual):
    sizes = np.bincount(usual.labels.ravel())[1:]
    assert len(sizes) > 20
    assert (np.diff(sizes) <= 0).all()
    assert sizes.min() >= 0.005 * SIDE**2
    for number, place in enumerate(ndimage.find_objects(usual.labels), 1):
        mask = usual.labels[place] == number
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("with_distance", [True, False])
def test_doubtful_objects_are_dropped_and_the_others_stay(tissue, with_distance):
    """Every other disc is paler; a part is judged by itself."""
    discs = [(y, x, 11, (90, 90, 90)) for y in (40, 110) for x in (40, 100)]
    discs += [(40, 170, 12, (118, 118, 118)), (110, 170, 12, (118, 118, 118))]
    discs += [(110, 190, 12, (60, 60, 60))]  # touches a pale one
    image = Pixels(paint((150, 240), discs))
    network = DarkNetwork(with_distance=with_distance)
    before, _ = run(network, image)
    means = ndimage.mean(
        before.probability / 255, before.labels, range(1, before.labels.max() + 1)
    )
    network.card = network.card.model_copy(update={"keep_above": 0.7})
    after, _ = run(network, image, chunk_px=50)
    sure = 1 + np.flatnonzero(means >= 0.7)
    assert 0 < len(sure) < before.labels.max()
    assert after.labels.max() == len(sure)
    expected = np.isin(before.labels, sure)
    np.testing.assert_array_equal(after.labels > 0, expected)
    assert set(after.scores) == set(range(1, len(sure) + 1))


def test_an_image_of_one_window_is_segmented_as_without_tiles():
    discs = [(20, 20, 12, (150, 20, 60)), (38, 38, 14, (60, 20, 150))]
    tissue = paint((SIDE, SIDE), discs)
    network = DarkNetwork()
    answer, _ = run(network, Pixels(tissue))
    alone = network.answer_tiles(tissue[None])
    assert np.abs(answer.probability / 255 - alone.probability[0]).max() < 0.6 / 255
    labels = label_objects(
        alone.probability[0] > 0.5, 0.005, distance=alone.distance[0]
    )
    assert labels.max() == 2
    assert (labels != answer.labels).sum() <= 3  # the distance was rounded to 16 bits


def test_a_disc_at_every_place_on_a_border_has_one_id():
    for middle in (24, 48, 56, 64, 72, 96):
        tissue = paint((160, 160), [(middle, middle, 11, (150, 20, 60))])
        answer, _ = run(DarkNetwork(), Pixels(tissue), block_px=64, chunk_px=48)
        assert answer.labels.max() == 1
        assert answer.labels[middle, middle] == 1
        assert (answer.labels > 0).sum() == pytest.approx(np.pi * 11**2, rel=0.1)


def test_an_object_longer_than_many_windows_has_one_id():
    tissue = paint((120, 500), [])
    tissue[50:70, 10:490] = (150, 20, 60)
    answer, _ = run(DarkNetwork(with_distance=False), Pixels(tissue))
    assert answer.labels.max() == 1
    assert set(answer.scores) == {1}


@pytest.mark.parametrize("shift", [0, 13, 31, 40])
def test_touching_objects_are_parted_wherever_the_borders_lie(shift):
    discs = [(60, 60 + shift, 14, (150, 20, 60)), (60, 84 + shift, 14, (60, 20, 150))]
    answer, _ = run(DarkNetwork(), Pixels(paint((128, 200), discs)), chunk_px=50)
    assert answer.labels.max() == 2
    one, other = answer.labels[60, 60 + shift], answer.labels[60, 84 + shift]
    assert {one, other} == {1, 2}
    assert answer.scores[one][0] > answer.scores[one][1]
    assert answer.scores[other][0] < answer.scores[other][1]


def test_without_distance_components_are_the_objects(tissue):
    answer, _ = run(DarkNetwork(with_distance=False), Pixels(tissue))
    mask = answer.probability > 127
    expected = label_objects(mask, 0.005 * SIDE**2 / mask.size)
    np.testing.assert_array_equal(answer.labels, expected)


def test_more_than_200_objects_are_kept():
    discs = [
        (y, x, 6, (150, 20, 60)) for y in range(10, 330, 20) for x in range(10, 330, 20)
    ]
    answer, _ = run(DarkNetwork(), Pixels(paint((330, 330), discs)))
    assert answer.labels.max() == 256
    assert len(answer.scores) == 256


def test_every_object_has_scores_of_its_own_colour(tissue, usual):
    assert set(usual.scores) == set(range(1, usual.labels.max() + 1))
    right = []
    for number, scores in usual.scores.items():
        colour = np.median(tissue[usual.labels == number], axis=0)
        right.append((scores[0] > scores[1]) == (colour[0] > colour[2]))
    assert np.mean(right) > 0.9  # some that touch are of both colours


def test_without_class_names_nothing_is_scored(tissue):
    assert run(DarkNetwork(classes=0), Pixels(tissue))[0].scores == {}


def test_locked_pixels_belong_to_no_object(tissue, usual):
    locked = np.zeros(SHAPE, bool)
    locked[100:180, 50:300] = True
    answer, steps = run(DarkNetwork(), Pixels(tissue), locked=locked)
    assert not answer.labels[locked].any()
    assert answer.labels[~locked].any()
    for step in steps:
        if step.box is not None:
            y0, x0, y1, x1 = step.box
            assert not (step.mask & locked[y0:y1, x0:x1]).any()


def test_progress_counts_windows_and_shows_every_part_once(tissue, usual):
    answer, steps = run(DarkNetwork(), Pixels(tissue), batch_size=3)
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total == answer.windows
    assert all(step.seconds_left >= 0 for step in steps if step.done)
    shown = np.zeros(SHAPE, int)
    mask = np.zeros(SHAPE, bool)
    for step in steps:
        if step.box is not None:
            y0, x0, y1, x1 = step.box
            shown[y0:y1, x0:x1] += 1
            mask[y0:y1, x0:x1] = step.mask
    assert (shown == 1).all()
    np.testing.assert_array_equal(mask, usual.probability > 127)


def test_glass_is_not_computed_and_changes_nothing_elsewhere(tissue):
    network = DarkNetwork(classes=0)
    wide = np.full((SHAPE[0], 900, 3), 243, np.uint8)
    wide[:, : SHAPE[1]] = tissue
    answer, steps = run(network, Pixels(wide))
    assert answer.empty_windows > 0.3 * answer.windows
    assert sum(network.sizes) == answer.windows - answer.empty_windows
    assert steps[-1].done == answer.windows
    assert not answer.labels[:, SHAPE[1] + 1 :].any()
    assert answer.notes == ()


@pytest.mark.parametrize(
    ("pixels", "note"),
    [
        (np.full((150, 150, 3), 240, np.uint8), "No tissue was found."),
        (paint((150, 150), [], grain=12), "No object was found."),
    ],
)
def test_a_region_of_background_is_answered_in_a_sentence(pixels, note):
    answer, _ = run(DarkNetwork(), Pixels(pixels))
    assert answer.notes == (note,)
    assert not answer.labels.any()
    assert answer.scores == {}


def test_closing_it_ends_the_threads_and_the_reading(tissue):
    pixels = Pixels(tissue)
    steps = segment_tiles(DarkNetwork(), pixels, options=TileOptions(block_px=64))
    next(steps)
    next(steps)
    assert reading_threads()
    steps.close()
    assert not reading_threads()
    assert len(pixels.boxes) < 10  # of 35


def test_an_unreadable_part_is_said_and_ends_the_threads(tissue):
    with pytest.raises(SlideError, match="cannot be read there"):
        run(DarkNetwork(), Pixels(tissue, broken=3), block_px=64)
    assert not reading_threads()


def test_a_region_larger_than_memory_is_refused_before_it_is_read(monkeypatch):
    class Huge:
        shape = (3_000_000, 3_000_000)

        def read(self, box, shape=None):
            raise AssertionError

    with pytest.raises(RegionTooLargeError, match="Choose a smaller region"):
        segment_tiles(DarkNetwork(), Huge())


def test_the_estimate_is_that_of_the_run(tissue):
    network = DarkNetwork()
    before = estimating.estimate(SHAPE, network)
    answer, _ = run(network, Pixels(tissue))
    after = estimating.estimate(SHAPE, network)
    assert before.windows == after.windows == answer.windows
    assert before.seconds > 0
    assert after.seconds == pytest.approx(
        after.windows * estimating.seconds_per_window(network)
    )
    assert before.memory_bytes >= answer.labels.nbytes + answer.probability.nbytes
