import numpy as np
import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.errors import ConfigError, DataFolderError
from napari_segmoe.training.config import make_config
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.spaced_samples import plain_crop
from napari_segmoe.training.spaced_sources import load_spaced_sources
from tests.training.tissue import many_glands, touching_glands, write_folder


def _run_data(folder, **changes):
    values = {
        "data": folder,
        "out": folder / "run",
        "spacing_um": 1.0,
        "data_spacing_um": 0.5,
        "modality": "histology",
        "image_head": False,
        "validation_fraction": 0.3,
    }
    return load_run_data(make_config(**(values | changes)))


def test_touching_glands_keep_their_own_ids(tmp_path):
    ids = touching_glands()
    data = _run_data(write_folder(tmp_path / "d", [ids] * 4))
    for source in (*data.train, *data.validation):
        assert (source.labels[0].numpy() == ids).all()
        assert [found.id for found in source.objects] == [1, 2, 3, 4]
        assert source.spacing_um == 0.5


def test_more_than_255_ids_survive(tmp_path):
    ids = many_glands()
    source = _run_data(write_folder(tmp_path / "d", [ids] * 4)).train[0]
    assert (source.labels[0].numpy() == ids).all()
    assert len(source.objects) == 900


def test_masks_of_one_value_become_one_object_a_piece(tmp_path):
    mask = (touching_glands() > 0).astype(np.uint16) * 255
    source = _run_data(write_folder(tmp_path / "d", [mask] * 4)).train[0]
    assert len(source.objects) == 3  # the touching ones are one piece


def test_the_card_says_the_pixel_sizes_and_no_image_classes(tmp_path):
    folder = write_folder(tmp_path / "d", [touching_glands()] * 4)
    config = make_config(
        data=folder,
        out=tmp_path,
        spacing_um=1.0,
        data_spacing_um=0.5,
        image_head=False,
        validation_fraction=0.3,
    )
    card = load_run_data(config).card(config, {}, validation={})
    assert (card.spacing_um, card.assumed_spacing_um) == (1.0, 0.5)
    assert card.classes == ()
    assert card.object_classes == ("benign", "malignant")


def test_a_crop_has_its_physical_size_whatever_the_file(tmp_path):
    """The square gland is 60 px high: 60 um in one file, 30 um in the other."""
    folder = write_folder(
        tmp_path / "d", [touching_glands()] * 4, spacings=["1.0", "1.0", "0.5", "0.5"]
    )
    data = _run_data(folder, data_spacing_um=None)
    heights = {
        source.spacing_um: _height(source) for source in (*data.train, *data.validation)
    }
    assert heights == {1.0: 60, 0.5: 30}


def _height(source):
    _, ids = plain_crop(source, centre_yx=(70, 250), output_px=64, spacing_um=1.0)
    return int((ids == 3).any(axis=1).sum())


def test_the_column_wins_over_the_setting(tmp_path):
    folder = write_folder(
        tmp_path / "d", [touching_glands()] * 4, spacings=["0.25", "", "", ""]
    )
    data = _run_data(folder)
    found = {s.name: s.spacing_um for s in (*data.train, *data.validation)}
    assert found["tissue_00"] == 0.25
    assert found["tissue_01"] == 0.5


def test_levels_are_no_finer_than_zooming_in_needs(tmp_path):
    source = _run_data(
        write_folder(tmp_path / "d", [touching_glands()] * 4), data_spacing_um=0.25
    ).train[0]
    assert [tuple(level.shape) for level in source.levels] == [
        (3, 80, 128),
        (3, 50, 80),
    ]


def test_unknown_pixel_sizes_are_refused(tmp_path):
    folder = write_folder(tmp_path / "d", [touching_glands()] * 4)
    with pytest.raises(ConfigError, match="Give data_spacing_um"):
        _run_data(folder, data_spacing_um=None)


@pytest.mark.parametrize("words", ["small", "-1", "0", "nan"])
def test_a_pixel_size_that_is_none_is_refused(tmp_path, words):
    folder = write_folder(tmp_path / "d", [touching_glands()] * 4, spacings=[words] * 4)
    with pytest.raises(DataFolderError, match=r"tissue_0\d the pixel size"):
        _run_data(folder)


def test_the_pixel_size_of_files_alone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="give spacing_um"):
        make_config(data=tmp_path, out=tmp_path, data_spacing_um=0.5)


@pytest.mark.parametrize("value", [0, -0.5])
def test_a_spacing_that_is_not_positive_is_refused(tmp_path, value):
    with pytest.raises(ConfigError, match="spacing_um"):
        make_config(data=tmp_path, out=tmp_path, spacing_um=value)


@pytest.mark.filterwarnings("ignore::napari_segmoe.data.folder.LeakySplitWarning")
def test_glas_keeps_its_glands_and_sizes(glas):
    folder = read_data_folder(glas)
    items = folder.select("train")[:3]
    sources = load_spaced_sources(
        items,
        classes=(),
        object_classes=("benign", "malignant"),
        spacing_um=1.0,
        data_spacing_um=0.62,
        kind=folder.mask_kind,
    )
    for item, source in zip(items, sources, strict=True):
        assert len(source.objects) == int(item.extra["n_glands"])
        assert source.levels[-1].shape[-1] == round(source.shape[1] * 0.62)
        assert ("benign", "malignant")[source.object_class] == item.class_name
