"""Parts of the learning benchmark: users, divisions, naive tuning, summary, table."""

import json

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.project.records import Provenance, ReviewState
from napari_segmoe.project.store import ProjectStore

COUNT = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Make images of 96 x 128 px with three discs each, on dyed ground."""
    folder = tmp_path_factory.mktemp("glas")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,class,split,group"]
    y, x = np.mgrid[:96, :128]
    for number in range(COUNT):
        labels = np.zeros((96, 128), np.uint8)
        for place, centre in enumerate([(30, 30), (60, 70), (30, 100)], start=1):
            labels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 13**2] = place
        image = np.where(labels[..., None] > 0, (120, 70, 150), (230, 180, 210))
        image = image + rng.integers(-8, 8, image.shape)
        name = f"test_{number:02}"
        Image.fromarray(image.astype(np.uint8)).save(folder / f"images/{name}.png")
        Image.fromarray(labels).save(folder / f"masks/{name}.png")
        kind = ("benign", "malignant")[number % 2]
        rows.append(f"{name}.png,{kind},test,patient_{number % 5}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def material(data, tmp_path):
    from loop.material import read_glas
    from loop.stain_shift import StainShift

    return read_glas(data, tmp_path / "shifted", StainShift(), "test")


def test_the_shift_is_the_same_every_time_and_changes_colours_not_shapes(material):
    from loop.stain_shift import StainShift, mean_colour

    plain, shifted = material.plain[0].pixels(), material.shifted[0].pixels()
    again = StainShift().apply(plain)

    assert np.array_equal(shifted, again)
    assert shifted.shape == plain.shape
    before, after = mean_colour([plain]), mean_colour([shifted])
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 0.05
    assert np.array_equal(material.plain[0].truth(), material.shifted[0].truth())
    assert json.dumps(StainShift().describe())


def test_no_image_is_on_two_sides_of_a_seed(material):
    division = material.divide(3)
    sides = [
        {one.name for one in side}
        for side in (division.corrected, division.held_out, division.old)
    ]

    assert sum(len(side) for side in sides) == COUNT
    assert len(set.union(*sides)) == COUNT
    assert sides == [
        {one.name for one in side}
        for side in (
            material.divide(3).corrected,
            material.divide(3).held_out,
            material.divide(3).old,
        )
    ]
    assert sides[0] != {one.name for one in material.divide(4).corrected}


def test_a_user_corrects_two_objects_an_image_in_order(material):
    from loop.users import correct

    pictures = material.divide(0).corrected
    wanted = 2 * len(pictures) - 1
    found = list(correct(pictures, wanted, 0))

    assert len(found) == wanted
    assert [one.place for one in found] == [turn // 2 for turn in range(wanted)]
    for one in found:
        truth = pictures[one.place].truth()
        (number,) = np.unique(truth[one.mask])
        assert np.array_equal(one.mask, truth == number)
        assert one.class_name == pictures[one.place].item.class_name


def test_mistakes_are_what_they_say(material):
    from loop.users import Mistake, correct

    pictures = material.divide(0).corrected
    good = list(correct(pictures, 2, 0))
    inverted = list(correct(pictures, 2, 0, mistake=Mistake.INVERTED))
    shifted = list(correct(pictures, 2, 0, mistake=Mistake.SHIFTED))
    swapped = list(correct(pictures, 2, 0, mistake=Mistake.SWAPPED))

    for one in inverted:
        assert one.mask.any()
        assert not pictures[one.place].truth()[one.mask].any()
    for before, after in zip(good, shifted, strict=True):
        way = np.mean(np.nonzero(after.mask), 1) - np.mean(np.nonzero(before.mask), 1)
        assert 14 < np.hypot(*way) < 21  # a part may leave the image
    assert {one.class_name for one in swapped}.isdisjoint(
        {one.class_name for one in good[:1]}
    )
    assert np.array_equal(swapped[0].mask, good[0].mask)


def test_corrections_stand_accepted_in_a_whole_project(material, tmp_path):
    from loop.users import correct, fill_project, record_correction

    from napari_segmoe.project.verification import verify_project

    pictures = material.divide(0).corrected
    path = tmp_path / "study.segmoe"
    with ProjectStore.create(path) as store:
        records = fill_project(store, pictures, ("benign", "malignant"))
        done = list(correct(pictures, 3, 0))
        for one in done:
            record_correction(store, records[one.place], one)
        states = store.objects(records[0].name)
        labels = store.labels(records[0].name)

        assert len(store.images()) == len(pictures)
        assert np.array_equal(labels > 0, done[0].mask | done[1].mask)
    assert [one.state for one in states.values()] == [ReviewState.ACCEPTED] * 2
    assert {one.provenance for one in states.values()} == {Provenance.DRAWN}
    assert not verify_project(path).faults


def test_naive_tuning_learns_that_what_is_not_marked_is_background(material):
    import torch
    from loop.naive import NaiveSettings, tune_naively
    from loop.users import correct

    from napari_segmoe.models.card import WeightsCard
    from napari_segmoe.models.registry import create_model

    torch.manual_seed(0)
    model = create_model("utanet_lite", prompts=True).eval()
    card = WeightsCard(name="tiny", model="utanet_lite", input_px=64, spacing_um=0.62)
    pictures = material.divide(0).corrected
    done = list(correct(pictures, 4, 0))
    settings = NaiveSettings(steps=3, batch_size=2, learning_rate=1e-2)

    before = [value.clone() for value in model.parameters()]
    tuned = tune_naively(model, card, pictures, done, settings)

    image = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        assert tuned(image).foreground.mean() < model(image).foreground.mean()
    assert all(
        torch.equal(one, two)
        for one, two in zip(before, model.parameters(), strict=True)
    )


def _cell(arm, seed, *rounds, data="glas"):
    return {"data": data, "arm": arm, "count": 20, "seed": seed, "rounds": rounds}


def _round(published, after=0.8, old=0.93, count=20, reason=""):
    return {
        "count": count,
        "objects": count,
        "published": published,
        "reason": reason,
        "new_before": 0.7,
        "new_after": after,
        "old_before": 0.93,
        "old_after": old,
    }


def test_promises_hold_only_where_figures_say_so():
    from loop.summary import promises

    cells = [_cell("good", seed, _round(seed < 4)) for seed in range(5)]
    cells.append(_cell("inverted", 0, _round(False)))
    assert [one["holds"] for one in promises(cells)] == [True] * 4

    worse = [*cells[:4], _cell("good", 4, _round(True, after=0.6, old=0.9))]
    worse.append(_cell("swapped_classes", 0, _round(True)))
    held = {one["name"]: one["holds"] for one in promises(worse)}
    assert list(held.values()) == [True, False, False, False]
    assert not any(one["holds"] for one in promises([]))


def test_rounds_are_compared_by_seed_and_told_as_a_table(tmp_path, monkeypatch):
    from loop.stain_shift import StainShift
    from loop.summary import summarise
    from tables import learning, sources

    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    assert "Not run yet" in learning.learning()
    cells = [
        *(_cell("good", seed, _round(True, after=0.8 + seed / 100)) for seed in (0, 1)),
        *(_cell("naive", seed, _round(True, after=0.6, old=0.5)) for seed in (0, 1)),
        _cell("shifted_20px", 0, _round(False, reason="Worse on old images.")),
        _cell(
            "rounds", 0, _round(True, count=10), _round(True), _round(True, count=40)
        ),
    ]
    summary = summarise(cells)
    (naive,) = summary["naive"]
    assert naive["seeds"] == [0, 1]
    assert naive["new_after"]["mean"] == pytest.approx(-0.205)
    report = {
        "command": "c",
        "shift": StainShift().describe(),
        "cells_done": 6,
        "cells_wanted": 9,
        "summary": summary,
    }
    (tmp_path / "learning_loop.json").write_text(json.dumps(report))
    text = learning.learning()
    assert "6 of 9 cells" in text
    assert "Worse on old images." in text
    assert "| glands -> glas, shifted | one round | 20 | 2 | 2 |" in text


def test_the_data_folder_of_shifted_images_can_be_read(material):
    folder = read_data_folder(material.shifted[0].item.image_path.parents[1])
    assert len(folder.items) == COUNT
