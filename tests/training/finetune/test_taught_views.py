"""What a round took for true is kept; rejected places teach no more."""

import numpy as np
import pytest
import torch

from napari_segmoe.models.card import read_card
from napari_segmoe.project.proposals import FILE, read_proposals
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    JudgedPlace,
    PlaceVerdict,
)
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune.gathering import gather, tissue_views
from napari_segmoe.training.finetune.pictures import Pictures
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.finetune.settings import make_settings
from napari_segmoe.training.finetune.snapshot import (
    load_snapshot,
    save_snapshot,
    take_snapshot,
)
from napari_segmoe.training.finetune.taught_views import TaughtView, write_taught
from napari_segmoe.training.finetune.view_places import ViewPlace, leave_out
from napari_segmoe.training.finetune.views import (
    PartialSample,
    make_source,
    plain_view,
    sight_of,
    with_ids,
)
from tests.session.fakes import make_session
from tests.session.pseudo_fakes import write_round
from tests.training.finetune.tiny import (
    SHAPE,
    add_image,
    make_project,
    paint,
    save_tiny,
)

RECORD = ImageRecord(name="image-0001", fingerprint="f" * 32, shape=SHAPE)
WHOLE = (0, 0, *SHAPE)


def add_unlabelled(project, count, **painted):
    """Add images with discs that nobody has labelled; returns their names."""
    folder = project.with_suffix("") / "images"
    names = []
    with ProjectStore.open(project) as store:
        for number in range(20, 20 + count):
            record = add_image(
                store,
                folder / f"{number}.png",
                number,
                change=lambda ids, name, _: (ids * 0, name),
                **painted,
            )
            names.append(record.name)
    return names


def judge(project, image, box, verdict=PlaceVerdict.REJECTED):
    place = JudgedPlace(box=box, verdict=verdict, source="glands")
    with ProjectStore.open(project) as store:
        store.append(EventKind.REJECT, Change(places=(place,)), image=image)


def pool_of(project, weights):
    """Return a round's snapshot and the views that may teach in it."""
    with ProjectStore.open(project) as store:
        snapshot = take_snapshot(store, field_um=None, assumed_um=None, seed=0)
    card = read_card(weights)
    sight, pictures = sight_of(card), Pictures(project)
    gathered = gather(snapshot, pictures, card, sight, class_map={}, seed=0)
    views = tissue_views(gathered, snapshot, pictures, sight, count=40, seed=1)
    return snapshot, views


# ---- where a view lies ---------------------------------------------------------------


@pytest.mark.parametrize("spacing", [None, 0.8])
def test_what_a_view_says_comes_back_to_its_pixels(tmp_path, spacing):
    weights = save_tiny(tmp_path / "tiny.safetensors", spacing_um=spacing)
    sight = sight_of(read_card(weights))
    pixels, ids, _ = paint(3)
    part = (4, 6, 70, 78)
    cut = np.s_[4:70, 6:78]
    source = make_source("a", pixels[cut], sight, None if spacing is None else 1.0)
    source = with_ids(source, ids[cut].astype(np.int32), {})
    centre = source.centre_yx if spacing is None else (30.25, 40.5)
    _, seen = plain_view(source, centre, sight)
    place = ViewPlace(RECORD, part, centre, sight.side(source))
    back = place.to_image(np.maximum(seen, 0), order=0)
    y0, x0, y1, x1 = place.box
    assert back.shape == (y1 - y0, x1 - x0)
    assert part[0] <= y0 < y1 <= part[2]
    assert part[1] <= x0 < x1 <= part[3]
    truth = ids[y0:y1, x0:x1]
    assert (truth > 0).any()
    assert (back == truth).mean() > 0.97
    if spacing is None:
        assert place.box == part


def test_rejected_boxes_of_a_part_count_as_known(tmp_path):
    sight = sight_of(read_card(save_tiny(tmp_path / "tiny.safetensors")))
    source = make_source("a", paint(3)[0][10:60, 20:70], sight, None)
    ids = np.full((50, 50), -1, np.int32)
    ids[:5, :5] = 7
    found = leave_out(with_ids(source, ids, {}), (10, 20, 60, 70), [(0, 0, 20, 30)])
    labels = found.labels[0].numpy()
    assert (labels[:5, :5] == 7).all()
    assert (labels[5:10, :10] == 0).all()
    assert (labels[10:, 10:] == -1).all()
    assert (source.labels[0] == -1).all()


# ---- what is written -----------------------------------------------------------------


def test_objects_are_parted_measured_and_counted_only_where_they_taught(tmp_path):
    foreground = torch.zeros(40, 40, dtype=torch.uint8)
    foreground[2:14, 2:14] = 230
    foreground[20:32, 20:32] = 204  # nobody was taught there
    counted = torch.zeros(40, 40, dtype=torch.bool)
    counted[:16, :16] = True
    view = PartialSample(
        torch.zeros(3, 40, 40),
        np.full((40, 40), -1, np.int32),
        place=ViewPlace(RECORD, (0, 0, 60, 60), (39.5, 39.5), 40.0),
    )
    taught = {0: TaughtView(foreground, None, counted, 0.75, 0.2)}
    figures = write_taught(tmp_path, [view], taught)
    (place,) = read_proposals(tmp_path / FILE)
    assert place.box == (20, 20, 60, 60)
    assert place.source == tmp_path.name
    assert (place.agreement, place.weight) == (0.75, 0.2)
    assert len(place.objects) == 1
    assert place.objects[0].confidence == pytest.approx(230 / 255, abs=1e-3)
    assert place.labels.sum() == 144
    assert (place.labels[2:14, 2:14] == 1).all()
    assert figures == {
        "views": 1,
        "places": 1,
        "objects": 1,
        "agreement": 0.75,
        "weight": 0.2,
    }


def test_objects_that_a_views_edge_cuts_are_left_out_those_at_the_images_edge_not(
    tmp_path,
):
    foreground = torch.zeros(40, 40, dtype=torch.uint8)
    foreground[10:30, :12] = foreground[10:30, 28:] = 250
    view = PartialSample(
        torch.zeros(3, 40, 40),
        np.full((40, 40), -1, np.int32),
        place=ViewPlace(RECORD, WHOLE, (30, 19.5), 40.0),
    )
    counted = torch.ones(40, 40, dtype=torch.bool)
    write_taught(tmp_path, [view], {0: TaughtView(foreground, None, counted, 1.0, 0.2)})
    (place,) = read_proposals(tmp_path / FILE)
    assert place.box[1] == 0  # the image's own edge
    assert place.box[3] == 40 < SHAPE[1]
    assert len(place.objects) == 1
    assert place.labels[:, :12].any()
    assert not place.labels[:, 28:].any()


def test_a_round_keeps_what_it_was_taught_and_says_how_much(tmp_path):
    project = make_project(tmp_path / "study.segmoe", bright=0.42)
    others = add_unlabelled(project, 2, bright=0.9)  # the weights know them well
    settings = make_settings(
        weights=str(save_tiny(tmp_path / "tiny.safetensors")),
        steps=24,
        batch_size=8,
        validate_every=8,
        learning_rate=1e-2,
        pseudo_weight=0.5,
        nice=0,
        device="cpu",
    )
    events = list(run_round(project, settings))
    told = [one for one in events if one["event"] == "pseudo_labels_kept"][-1]
    places = read_proposals(project / "runs" / "round-0001" / FILE)
    assert told["places"] == len(places) > 0
    assert told["objects"] == sum(len(one.objects) for one in places)
    assert 0 < told["agreement"] <= 1
    assert 0 < told["weight"] <= 0.5
    assert {one.source for one in places} == {"round-0001"}
    unlabelled = [one for one in places if one.image in others]
    assert unlabelled
    for one in unlabelled:
        truth = paint(20 + others.index(one.image))[1] > 0
        found = one.labels > 0
        y0, x0, y1, x1 = one.box
        both = (found & truth[y0:y1, x0:x1]).sum()
        assert 2 * both / (found.sum() + truth.sum()) > 0.5


# ---- what becomes of a word on it ----------------------------------------------------


def test_a_rejected_image_is_not_in_the_next_rounds_pool(tmp_path):
    weights = save_tiny(tmp_path / "tiny.safetensors")
    project = make_project(tmp_path / "study.segmoe", images=3)
    bad, good = add_unlabelled(project, 2)
    snapshot, views = pool_of(project, weights)
    assert {bad, good} == {one.name for one in snapshot.others}
    assert {bad, good} <= {one.place.record.name for one in views}
    judge(project, bad, WHOLE)
    snapshot, views = pool_of(project, weights)
    assert {one.name for one in snapshot.others} == {good}
    assert bad not in {one.place.record.name for one in views}
    judge(project, bad, WHOLE, PlaceVerdict.PROPOSED)
    assert len(pool_of(project, weights)[0].others) == 2


@pytest.mark.parametrize("is_corrected", [False, True])
def test_in_a_rejected_tile_no_answer_counts(tmp_path, is_corrected):
    weights = save_tiny(tmp_path / "tiny.safetensors", spacing_um=0.4)
    project = make_project(tmp_path / "study.segmoe", images=3)
    (other,) = add_unlabelled(project, 1)
    image, box = ("image-0001" if is_corrected else other), (0, 0, 40, 50)
    judge(project, image, box)
    snapshot, views = pool_of(project, weights)
    assert snapshot.rejected == {image: (box,)}
    met = 0
    for view in views:
        if view.place.record.name != image:
            continue
        unknown = view.place.to_image(view.ids < 0, order=0) > 0
        y0, x0, *_ = view.place.box
        inside = unknown[: max(box[2] - 1 - y0, 0), : max(box[3] - 1 - x0, 0)]
        met += inside.size
        assert not inside.any()
    assert met


def test_a_snapshot_remembers_what_was_rejected(tmp_path):
    project = make_project(tmp_path / "study.segmoe", images=3)
    judge(project, "image-0002", (0, 0, 8, 9))
    with ProjectStore.open(project) as store:
        snapshot = take_snapshot(store, field_um=None, assumed_um=None, seed=0)
    save_snapshot(snapshot, tmp_path)
    assert load_snapshot(tmp_path).rejected == {"image-0002": ((0, 0, 8, 9),)}


def test_accepted_pseudo_labels_teach_as_accepted_corrections(tmp_path):
    weights = save_tiny(tmp_path / "tiny.safetensors")
    project = make_project(tmp_path / "study.segmoe", images=3)
    (other,) = add_unlabelled(project, 1)
    session = make_session(image=False)
    session.project.open(project)
    write_round(session, (0, 0, 30, 30), (30, 30, 70, 70), image=other, number=7)
    assert session.pseudo_labels.accept_above(0.5) == 2
    session.close()
    snapshot, views = pool_of(project, weights)
    assert snapshot.others == ()
    (patch,) = (one for one in snapshot.patches if one.record.name == other)
    assert [one.weight for one in patch.objects] == [0.5, 0.5]
    assert sorted(one.box for one in patch.objects) == [
        (2, 2, 28, 28),
        (32, 32, 68, 68),
    ]
    assert {one.name for one in snapshot.others} == set()
    assert other in {one.place.record.name for one in views}  # beside what is known
