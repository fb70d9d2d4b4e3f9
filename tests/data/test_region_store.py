"""Labels of regions on disk: written at once, whole after a crash, kept in memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_segmoe.data.region_store import RegionStore, index_box, read_region_store
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import SlideError

REGION = SlideRegion(Path("secret name.svs"), (100.0, 50.0), (2.0, 2.0), (700, 1100))


@pytest.fixture
def store(tmp_path):
    made = RegionStore((700, 1100))
    made.create(tmp_path / "slide", REGION, spacing_um=(1.0, 1.0))
    return made


def on_disk(store):
    return np.asarray(zarr.open_array(str(store.path), mode="r")[...])


def test_what_is_painted_is_on_disk_at_once(store):
    store[10:20, 30:50] = 4
    rows, columns = np.nonzero(np.ones((3, 3)))
    store[rows + 600, columns + 1090] = np.uint32(70_000)  # as napari's brush does
    store[699, 0] = 9
    assert store[15, 40] == 4
    np.testing.assert_array_equal(on_disk(store), np.asarray(store))
    assert on_disk(store)[601, 1091] == 70_000
    assert on_disk(store)[699, 0] == 9


def test_where_it_lies_is_written_and_who_it_is_not(store):
    store[0, 0] = 1
    labels, attributes = read_region_store(store.path)
    assert labels.dtype == np.uint32
    assert attributes["origin_yx_level0_px"] == [100.0, 50.0]
    assert attributes["step_yx_level0_px"] == [2.0, 2.0]
    assert attributes["spacing_um"] == [1.0, 1.0]
    words = b"".join(p.read_bytes() for p in store.path.rglob("*.json"))
    assert b"secret" not in words


def test_another_pixel_size_is_noted(store):
    store[0, 0] = 1
    store.note_spacing(None)
    assert read_region_store(store.path)[1]["spacing_um"] is None


def test_chunks_are_of_512_pixels(store):
    assert zarr.open_array(str(store.path), mode="r").chunks == (512, 512)


def test_two_stores_never_share_a_folder(tmp_path, store):
    other = RegionStore((700, 1100))
    other.create(tmp_path / "slide", REGION, spacing_um=None)
    assert other.path != store.path
    assert other.path.name == "region-0002.zarr"


def test_an_empty_store_leaves_nothing_behind(store):
    path = store.path
    store.close()
    assert not path.exists()


def test_a_store_with_labels_stays(store):
    path = store.path
    store[3, 3] = 1
    store.close()
    assert read_region_store(path)[0].sum() == 1


def test_a_killed_program_leaves_a_store_that_can_be_read(tmp_path):
    script = """
import os, sys
from pathlib import Path
from napari_segmoe.data.region_store import RegionStore
from napari_segmoe.data.slides.region import SlideRegion
store = RegionStore((600, 600))
region = SlideRegion(Path("x"), (0.0, 0.0), (1.0, 1.0), (600, 600))
store.create(Path(sys.argv[1]), region, spacing_um=None)
store[10:590, 10:590] = 7
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    assert ended.returncode == -9
    labels, _ = read_region_store(tmp_path / "region-0001.zarr")
    assert (labels == 7).sum() == 580**2


@pytest.mark.skipif(os.name == "nt", reason="folders have other rights there")
def test_a_folder_that_cannot_be_written_says_so_and_work_goes_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store, told = RegionStore((50, 50)), []
    store.failed.connect(told.append)
    store.create(tmp_path / "file", REGION, spacing_um=None)
    store[0:5, 0:5] = 3
    assert np.asarray(store).sum() == 75
    assert not store.is_on_disk
    assert len(told) == 1
    assert "stay in memory" in str(told[0])
    store.close()


def test_a_disk_that_fills_up_is_told_once_and_loses_nothing(store, monkeypatch):
    told = []
    store.failed.connect(told.append)
    store[0:5, 0:5] = 3

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write_chunks", refuse)
    store[10, 10] = 4
    store[11, 11] = 5
    assert [str(one) for one in told] == [str(store.failure)]
    assert "No space left on device" in str(told[0])
    assert store[11, 11] == 5
    assert store[2, 2] == 3


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(SlideError, match="holds no labels"):
        read_region_store(tmp_path / "missing.zarr")
    zarr.create_array(str(tmp_path / "other.zarr"), shape=(4, 4), dtype="u1")
    with pytest.raises(SlideError, match="holds no labels"):
        read_region_store(tmp_path / "other.zarr")


@pytest.mark.parametrize(
    ("index", "box"),
    [
        ((slice(3, 9), slice(None)), (3, 0, 9, 20)),
        ((4, 5), (4, 5, 5, 6)),
        ((np.array([2, 7]), np.array([9, 1])), (2, 1, 8, 10)),
        ((slice(None, None, -1), 3), (0, 3, 10, 4)),
        ((np.array([-1]), np.array([0])), (0, 0, 10, 1)),
        (np.ones((10, 20), bool), (0, 0, 10, 20)),
        (..., (0, 0, 10, 20)),
    ],
)
def test_the_box_of_an_index_holds_all_its_pixels(index, box):
    assert index_box(index, (10, 20)) == box
