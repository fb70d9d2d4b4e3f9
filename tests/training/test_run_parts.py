"""Several data folders in one run."""

from dataclasses import replace

import numpy as np
import pytest

from napari_segmoe.data.splits import split_hash
from napari_segmoe.errors import ConfigError, DataFolderError
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.config import load_config, make_config, save_config
from napari_segmoe.training.engine import fit
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.run_parts import read_parts
from tests.training.tissue import touching_glands, write_folder


def _binary():
    return (touching_glands() > 0).astype(np.uint8) * 255


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of the same file names: ids in one, binary masks in the other."""
    root = tmp_path_factory.mktemp("two")
    return (
        write_folder(root / "ids", [touching_glands()] * 4),
        write_folder(root / "binary", [_binary()] * 5),
    )


def _config(folders, **changes):
    values = {
        "data": folders[0],
        "more_data": folders[1:],
        "out": folders[0] / "out",
        "spacing_um": 1.0,
        "data_spacing_um": 0.5,
        "validation_fraction": 0.3,
        "image_head": False,
    }
    return make_config(**(values | changes))


def test_images_of_both_folders_are_trained_and_validated_on(folders):
    data = load_run_data(_config(folders))
    for side in (data.train, data.validation):
        assert {source.name.split("/")[0] for source in side} == {"ids", "binary"}
    names = [source.name for source in (*data.train, *data.validation)]
    assert len(set(names)) == len(names) == 9


def test_each_folder_is_split_as_it_is_alone(folders):
    parts = read_parts(_config(folders))
    for folder, part in zip(folders, parts, strict=True):
        (alone,) = read_parts(_config((folder,)))
        assert [f"{part.name}/{item.name}" for item in alone.train] == [
            item.name for item in part.train
        ]
        assert [item.image_path for item in alone.validation] == [
            item.image_path for item in part.validation
        ]
        groups = [
            {item.group for item in side} for side in (part.train, part.validation)
        ]
        assert not groups[0] & groups[1]


def test_the_hash_is_over_all_folders(folders):
    parts = read_parts(_config(folders))
    expected = split_hash(
        [replace(item, split="train") for part in parts for item in part.train]
        + [replace(item, split="validation") for p in parts for item in p.validation]
    )
    both = load_run_data(_config(folders)).split
    alone = load_run_data(_config(folders[:1])).split
    assert both["sha256"] == expected != alone["sha256"]
    assert (both["train"], both["validation"]) == (
        sum(len(part.train) for part in parts),
        sum(len(part.validation) for part in parts),
    )


def test_one_folder_keeps_its_names_and_its_card(folders):
    data = load_run_data(_config(folders[:1]))
    assert all("/" not in source.name for source in data.train)
    assert data.described == {"folder": "ids", "train": len(data.train)}


def test_masks_are_read_as_what_their_folder_holds(folders):
    data = load_run_data(_config(folders))
    counts = {
        source.name.split("/")[0]: len(source.objects)
        for source in (*data.train, *data.validation)
    }
    assert counts == {"ids": 4, "binary": 3}  # two glands touch


def test_each_folder_has_its_own_pixel_size(folders):
    data = load_run_data(_config(folders, data_spacing_um={"ids": 0.5, "binary": 0.25}))
    found = {source.name.split("/")[0]: source.spacing_um for source in data.train}
    assert found == {"ids": 0.5, "binary": 0.25}
    card = data.card(_config(folders), {}, validation={})
    assert card.assumed_spacing_um == 0.5
    assert [part["assumed_spacing_um"] for part in card.data["folders"]] == [0.5, 0.25]


def test_a_column_of_pixel_sizes_wins(folders, tmp_path):
    stated = write_folder(tmp_path / "own", [_binary()] * 4, spacings=[0.8] * 4)
    data = load_run_data(_config((folders[0], stated)))
    found = {source.name.split("/")[0]: source.spacing_um for source in data.train}
    assert found == {"ids": 0.5, "own": 0.8}


def test_the_card_lists_the_folders_and_holds_no_path(folders):
    config = _config(folders)
    card = load_run_data(config).card(config, {}, validation={})
    assert card.data["folder"] == "ids + binary"
    assert [part["masks"] for part in card.data["folders"]] == ["instances", "binary"]
    assert str(folders[0].parent) not in card.model_dump_json()


def test_folders_of_one_name_are_told_apart(folders, tmp_path):
    other = write_folder(tmp_path / "ids", [_binary()] * 4)
    parts = read_parts(_config((folders[0], other)))
    assert [part.name for part in parts] == ["ids", "ids-2"]


def test_notes_say_which_folder_they_are_about(folders):
    notes = load_run_data(_config(folders)).notes
    assert "ids: Masks were taken as instances." in notes
    assert "binary: Masks were taken as binary." in notes


def test_without_an_object_head_no_object_has_a_class(folders):
    assert load_run_data(_config(folders)).object_classes == ("benign", "malignant")
    data = load_run_data(_config(folders, object_head=False))
    assert data.object_classes == ()
    assert {source.object_class for source in data.train} == {-1}


def test_a_folder_given_twice_is_refused(folders):
    with pytest.raises(ConfigError, match="given twice"):
        read_parts(_config((folders[0], folders[0])))


def test_a_pixel_size_for_no_folder_is_refused(folders):
    with pytest.raises(ConfigError, match="names 'idz'; the data folders are ids"):
        read_parts(_config(folders, data_spacing_um={"idz": 0.5}))


def test_a_folder_without_a_pixel_size_is_refused(folders):
    with pytest.raises(ConfigError, match="nothing says how large the pixels"):
        load_run_data(_config(folders, data_spacing_um={"ids": 0.5}))


def test_a_pixel_size_that_is_not_positive_is_refused(folders):
    with pytest.raises(ConfigError, match="data_spacing_um"):
        _config(folders, data_spacing_um={"ids": -0.5})


def test_one_unusable_folder_ends_the_run(folders, tmp_path):
    with pytest.raises(DataFolderError, match="no folder"):
        load_run_data(_config((folders[0], tmp_path / "nothing")))


def test_settings_survive_the_run_folder(folders, tmp_path):
    config = _config(folders, data_spacing_um={"ids": 0.5, "binary": 0.25})
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_a_run_trains_on_both_and_resumes_to_the_same_curve(folders, tmp_path):
    config = _config(
        folders,
        out=tmp_path / "whole",
        recipe="supervised",
        model="mixsearch_lite",
        model_options={"distance_head": True, "fine_channels": 8},
        modality="histology",
        scanner_augmentation=True,
        object_head=False,
        distance_weight=1.0,
        input_px=64,
        epochs=2,
        batch_size=2,
        warmup_steps=1,
        precision="32-true",
        device="cpu",
        threads=1,
    )
    whole = list(fit(config))
    _, card = load_weights(config.out / "last.safetensors")
    assert [part["folder"] for part in card.data["folders"]] == ["ids", "binary"]
    assert card.options["distance_head"] is True
    parts = config.model_copy(update={"out": tmp_path / "parts"})
    unfinished = fit(parts)
    next(event for event in unfinished if event["event"] == "epoch")
    unfinished.close()
    resumed = list(fit(parts, resume=True))
    assert _losses(resumed) == pytest.approx(_losses(whole)[1:], rel=1e-4)


def _losses(events):
    return [event["train"]["loss"] for event in events if event["event"] == "epoch"]
