"""A whole search: its data, its plan, its table, and that it can be resumed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from napari_segmoe.errors import DataFolderError, ModelOptionError, RunFolderError
from napari_segmoe.models.genotypes import load_genotype
from napari_segmoe.models.search_space import SearchSpace
from napari_segmoe.training.search import plan
from napari_segmoe.training.search.config import (
    load_search_config,
    make_search_config,
)
from napari_segmoe.training.search.contest import (
    PlainUNet,
    count_parameters,
    genotype_of,
    unet_width,
)
from napari_segmoe.training.search.images import SearchSet, load_search_data
from napari_segmoe.training.search.plan import SearchPlan, make_plan
from napari_segmoe.training.search.report import (
    compare_scores,
    describe_scores,
    tell_outcome,
)
from napari_segmoe.training.search.run import check_sizes, search
from tests.training.search_folders import TINY, write_folder

CPU = torch.device("cpu")
TIMES = {"seconds"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("search")
    return (
        write_folder(root / "bright", count=9),
        write_folder(root / "dark", count=7, bright=False),
    )


def _config(folders, out, **values):
    return make_search_config(**{"data": folders, "out": out, **TINY, **values})


def _timeless(event):
    if isinstance(event, dict):
        return {k: _timeless(v) for k, v in event.items() if k not in TIMES}
    return [_timeless(v) for v in event] if isinstance(event, list) else event


def _curve(out):
    lines = (out / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [_timeless(json.loads(line)) for line in lines]


@pytest.fixture(scope="module")
def whole(folders, tmp_path_factory):
    """The run folder and report of a search that was not stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    *_, done = search(_config(folders, out))
    return out, done


def test_a_search_writes_its_genotype_table_and_curve(whole):
    out, done = whole
    report = json.loads((out / "search.json").read_text(encoding="utf-8"))
    assert done == {"event": "done", **report}
    assert [row["name"] for row in report["table"]] == ["searched", "random_1", "unet"]
    for row in report["table"]:
        assert row["steps"] == 4  # all the same
        assert row["dice"]["low"] <= row["dice"]["mean"] <= row["dice"]["high"]
        assert set(row["per_data"]) == {"bright", "dark"}
    assert set(report["differences"]) == {"random_1", "unet", "random_mean"}
    assert report["outcome"]
    genotype = load_genotype(out / "genotype.json")
    assert report["genotype"]["up"] == genotype.model_dump(mode="json")["up"]
    assert len(genotype.trace.entropies) == 2
    assert genotype.trace.search["stage"] == 2
    epochs = [event for event in _curve(out) if event["event"] == "epoch"]
    assert [event["phase"] for event in epochs] == [
        phase
        for phase in ("stage_1", "stage_2", "searched", "random_1", "unet")
        for _ in range(2)
    ]


def test_no_path_is_told(whole, folders):
    out, _ = whole
    for name in ("search.json", "genotype.json", "events.jsonl"):
        assert str(folders[0].parent) not in (out / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("stop_at", [4, 6, 9])
def test_a_stopped_search_resumes_to_the_same_curve(whole, folders, tmp_path, stop_at):
    """In both stages and in a training; what came after the last epoch is told anew."""
    config = _config(folders, tmp_path / "run")
    events = search(config)
    for _ in range(stop_at):
        next(events)
    events.close()
    with (tmp_path / "run" / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "epoch", "half a li')
    *_, done = search(config, resume=True)
    assert _timeless(done) == _timeless(whole[1])
    assert _curve(tmp_path / "run") == _curve(whole[0])
    stored = load_genotype(tmp_path / "run" / "genotype.json")
    assert stored.trace == load_genotype(whole[0] / "genotype.json").trace


def test_another_seed_is_another_search(whole, folders, tmp_path):
    first = next(
        event
        for event in search(_config(folders, tmp_path / "run", seed=5))
        if event["event"] == "epoch"
    )
    of_whole = next(event for event in _curve(whole[0]) if event["event"] == "epoch")
    assert first["loss"] != of_whole["loss"]


def test_a_folder_with_a_run_is_not_written_over(whole, folders):
    with pytest.raises(RunFolderError, match="holds a run already"):
        next(search(_config(folders, whole[0])))


def test_resuming_with_other_settings_is_refused(whole, folders):
    with pytest.raises(RunFolderError, match="other values of k, mu"):
        next(search(_config(folders, whole[0], k=3, mu=1.0), resume=True))


def test_nothing_to_resume_is_said(folders, tmp_path):
    with pytest.raises(RunFolderError, match="no search to resume"):
        next(search(_config(folders, tmp_path), resume=True))


def test_images_are_divided_in_three_by_group(folders, tmp_path):
    data = load_search_data(_config(folders, tmp_path))
    for parts in zip(data.weights, data.architecture, data.held_out, strict=True):
        groups = [set(part.groups) for part in parts]
        assert all(groups)
        assert sum(map(len, groups)) == len(set.union(*groups))
    assert sum(map(len, data.training)) + sum(map(len, data.held_out)) == 8 + 6
    assert "group_8" not in {
        group for part in (*data.training, *data.held_out) for group in part.groups
    }  # the test split is not read
    assert data.weights[0].images.shape[1:] == (3, 32, 32)


def test_masks_are_resized_with_their_images(folders, tmp_path):
    data = load_search_data(_config(folders, tmp_path))
    one = data.weights[0]
    inside = one.images[:, :1][one.masks].float().mean()
    outside = one.images[:, :1][~one.masks].float().mean()
    assert inside > 200
    assert outside < 130


def test_a_few_images_can_be_taken_and_same_names_told_apart(folders, tmp_path):
    twice = (folders[0], folders[0])
    data = load_search_data(_config(twice, tmp_path, images_per_set=5))
    assert [part.name for part in data.held_out] == ["bright", "bright-2"]
    assert all(
        one["weights"] + one["architecture"] + one["held_out"] == 5
        for one in data.sizes()
    )


def test_bad_folders_are_one_sentence_each(folders, tmp_path):
    def load(path):
        load_search_data(_config((folders[0], path), tmp_path / "run"))

    with pytest.raises(DataFolderError, match="There is no folder"):
        load(tmp_path / "missing")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(DataFolderError, match="no images in"):
        load(tmp_path / "empty")
    few = write_folder(tmp_path / "few", count=3)
    with pytest.raises(DataFolderError, match="2 images in 2 groups; a search needs"):
        load(few)
    unmarked = write_folder(tmp_path / "unmarked")
    for path in (unmarked / "masks").iterdir():
        Image.fromarray(np.zeros((40, 44), np.uint8)).save(path)
    with pytest.raises(DataFolderError, match="Nothing is marked"):
        load(unmarked)
    bare = write_folder(tmp_path / "bare")
    for path in (bare / "masks").iterdir():
        path.unlink()
    with pytest.raises(DataFolderError, match="has no masks"):
        load(bare)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model": "utanet_lite"}, "no search for 'utanet_lite'"),
        ({"input_px": 40}, "needs a multiple of"),
        ({"layers": 8}, "8 layers"),
        ({"partial_channels": 3}, "cannot be divided"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(values, expected, tmp_path):
    with pytest.raises(ModelOptionError, match=expected):
        check_sizes(_config(("a",), tmp_path, **values))


def test_minutes_decide_the_epochs(folders, tmp_path, monkeypatch):
    config = _config(folders, tmp_path, minutes=10, random_genotypes=3)
    monkeypatch.setattr(plan, "_time_stage", lambda *given: 0.5 * given[3])
    monkeypatch.setattr(plan, "_time_contest", lambda *given: 1.0)
    made = make_plan(config, None, CPU, spent_s=0)
    # 528 s: 132 at 1 s, 132 at 2 s, 264 at 2 s an epoch of two steps
    assert made == SearchPlan(131, 65, 131)
    short = make_plan(config.model_copy(update={"minutes": 0.01}), None, CPU, spent_s=0)
    assert short == SearchPlan(2, 2, 2)


def test_a_few_timed_steps_make_a_plan(folders, tmp_path):
    config = _config(folders, tmp_path, minutes=0.001)
    data = load_search_data(config)
    assert make_plan(config, data, CPU, spent_s=0) == SearchPlan(2, 2, 2)


def test_a_u_net_of_like_size_competes():
    wanted = 250_000
    size = count_parameters(PlainUNet(unet_width(wanted)))
    assert abs(size / wanted - 1) < 0.2


def test_random_rivals_are_the_same_for_one_seed(tmp_path):
    config = _config(("a",), tmp_path)
    found = genotype_of("random_2", config, load_genotype("cvc"))
    assert found == genotype_of("random_2", config, load_genotype("chaos"))
    assert found != genotype_of("random_1", config, load_genotype("cvc"))
    assert genotype_of("unet", config, load_genotype("cvc")) is None


def _held(name, groups):
    empty = torch.zeros(len(groups), 1, 1, 1)
    return SearchSet(name, empty, empty.bool(), tuple(groups))


def test_every_set_counts_alike_and_differences_are_paired():
    held = (_held("large", "abcdefgh"), _held("small", "xy"))
    own = {"large": [0.8, 0.6] * 4, "small": [0.1, 0.3]}
    random = {name: [value - 0.1 for value in values] for name, values in own.items()}
    assert describe_scores(own, held)["dice"]["mean"] == pytest.approx(0.45)
    found = compare_scores({"searched": own, "random_1": random}, held)
    # each image is 0.1 better, so the interval has no width
    assert found["random_mean"]["low"] == pytest.approx(0.1)
    assert found["random_mean"]["high"] == pytest.approx(0.1)
    assert "is better than the random" in tell_outcome(found)
    turned = compare_scores({"searched": random, "random_1": own}, held)
    assert "is worse than the random" in tell_outcome(turned)


def test_no_difference_is_called_none():
    figure = {"mean": 0.01, "low": -0.02, "high": 0.03}
    assert "no better and no worse" in tell_outcome({"random_mean": figure})
    assert "nothing says" in tell_outcome({})


def test_the_configuration_survives_its_file(whole, folders):
    config = load_search_config(whole[0] / "config.yaml")
    assert config == _config(folders, whole[0])
    assert SearchSpace().size("normal") == 7
