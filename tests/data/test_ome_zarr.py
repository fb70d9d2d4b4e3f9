import numpy as np
import pytest
import zarr

from napari_segmoe.data import ome_zarr
from napari_segmoe.data.ome_zarr import Dataset, LabelImage, Multiscales

both = pytest.mark.parametrize("version", ome_zarr.VERSIONS)


def scales(version):
    datasets = (
        Dataset("0", (1.0, 0.25, 0.5)),
        Dataset("1", (1.0, 0.5, 1.0), (0.0, 0.125, 0.25)),
    )
    units = {"y": "micrometer", "x": "micrometer"}
    return Multiscales("cyx", datasets, units, name="tissue", version=version)


@both
def test_what_was_written_is_read_again(tmp_path, version):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr", version=version)
    ome_zarr.write_multiscales(root, scales(version))
    again = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert ome_zarr.read_multiscales(again) == scales(version)
    assert ome_zarr.read_multiscales(again).spacing_um == (0.25, 0.5)


def test_version_04_is_zarr_2_with_plain_attributes(tmp_path):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr", version="0.4")
    ome_zarr.write_multiscales(root, scales("0.4"))
    assert (tmp_path / "a.ome.zarr" / ".zgroup").is_file()
    entry = root.attrs["multiscales"][0]
    assert entry["version"] == "0.4"
    assert entry["axes"][0] == {"name": "c", "type": "channel"}
    assert entry["axes"][1] == {"name": "y", "type": "space", "unit": "micrometer"}
    assert entry["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 0.5, 1.0]},
        {"type": "translation", "translation": [0.0, 0.125, 0.25]},
    ]


def test_version_05_is_zarr_3_under_the_key_ome(tmp_path):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr", version="0.5")
    ome_zarr.write_multiscales(root, scales("0.5"))
    ome_zarr.write_rgb_channels(root, "0.5")
    assert (tmp_path / "a.ome.zarr" / "zarr.json").is_file()
    assert set(root.attrs) == {"ome"}
    assert root.attrs["ome"]["version"] == "0.5"
    assert len(root.attrs["ome"]["omero"]["channels"]) == 3
    assert "version" not in root.attrs["ome"]["multiscales"][0]


def test_a_version_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"0\.4"):
        ome_zarr.open_root(tmp_path / "a.ome.zarr", version="0.9")


@both
def test_label_images_are_listed_under_their_image(tmp_path, version):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr", version=version)
    assert ome_zarr.read_label_names(root) == ()
    meaning = LabelImage(
        colours={1: (255, 0, 0, 255)},
        properties={1: {"class": "benign"}, 2: {"class": "malignant"}},
        source="../../",
    )
    for name in ("glands", "nuclei"):
        group = ome_zarr.add_labels_group(root, name, version=version)
        ome_zarr.write_label_image(group, meaning, version=version)
    again = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert ome_zarr.read_label_names(again) == ("glands", "nuclei")
    assert ome_zarr.read_label_image(again["labels/glands"]) == meaning
    assert ome_zarr.read_label_image(again) is None


@both
def test_chunks_of_zeros_take_no_room(tmp_path, version):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr", version=version)
    array = ome_zarr.create_array(root, "0", (100, 90), (32, 32), np.uint32)
    array[40:50, 40:50] = 7
    files = [p for p in (tmp_path / "a.ome.zarr" / "0").rglob("*") if p.is_file()]
    assert len([p for p in files if not p.name.startswith((".z", "zarr"))]) == 1
    assert int((array[:] == 7).sum()) == 100


def test_a_pyramid_says_where_the_centres_of_its_pixels_lie():
    made = ome_zarr.pyramid_scales("yx", (0.5, 0.25), (1, 2, 8))
    assert made.datasets[0].translation == ()
    assert made.datasets[1].translation == (0.25, 0.125)
    assert made.datasets[2].scale == (4.0, 2.0)
    assert made.datasets[2].translation == (1.75, 0.875)
    assert ome_zarr.pyramid_scales("yx", None, (1,)).spacing_um is None


@pytest.mark.parametrize(
    ("unit", "um"), [("nanometer", 0.001), ("millimeter", 1000.0), ("micrometer", 1.0)]
)
def test_units_become_micrometres(unit, um):
    made = Multiscales("yx", (Dataset("0", (2.0, 3.0)),), {"y": unit, "x": unit})
    assert made.spacing_um == pytest.approx((2 * um, 3 * um))


def test_no_unit_means_no_spacing():
    assert Multiscales("yx", (Dataset("0", (2.0, 3.0)),)).spacing_um is None
    seconds = {"y": "second", "x": "second"}
    assert Multiscales("yx", (Dataset("0", (2.0, 3.0)),), seconds).spacing_um is None


def test_a_scale_of_all_levels_multiplies_that_of_each(tmp_path):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr")
    one = [{"type": "scale", "scale": [2.0, 2.0]},
           {"type": "translation", "translation": [1.0, 0.0]}]  # fmt: skip
    shared = [{"type": "scale", "scale": [0.5, 0.25]},
              {"type": "translation", "translation": [0.0, 4.0]}]  # fmt: skip
    root.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "y"}, {"name": "x"}],
            "datasets": [{"path": "full", "coordinateTransformations": one}],
            "coordinateTransformations": shared,
        }
    ]
    dataset = ome_zarr.read_multiscales(root).datasets[0]
    assert dataset == Dataset("full", (1.0, 0.5), (0.5, 4.0))


def test_a_group_without_an_image_has_no_multiscales(tmp_path):
    root = ome_zarr.open_root(tmp_path / "a.ome.zarr")
    assert ome_zarr.read_multiscales(root) is None
    root.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": []}]
    assert ome_zarr.read_multiscales(root) is None
